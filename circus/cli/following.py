"""Events as they happen: ``circusctl listen`` and ``circusctl events --follow``."""

from __future__ import annotations

import json
import sys
from typing import Any

from circus.client import connect
from circus.commands.events import event_line
from circus.exc import CallError
from circus.util import default_pubsub_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    import zmq

    from circus.cli.session import Session
    from circus.cli.words import Invocation
    from circus.commands.base import Json

_WATCHER_EVENTS = "watcher."


def listen(invocation: Invocation, session: Session) -> int:
    """Print the events of the given topics until interrupted; ``--endpoint`` is here that of the events."""
    endpoint = invocation.settings.get("endpoint") or pubsub_endpoint(session)
    topics = invocation.arguments or [_WATCHER_EVENTS]
    as_json = invocation.settings.get("json")
    try:
        with _subscriber(session, endpoint, topics) as socket:
            while True:
                topic, message = socket.recv_multipart()[:2]
                if as_json:
                    line = json.dumps({"topic": topic.decode(), "data": json.loads(message)})
                else:
                    line = f"{topic!r}: {message!r}"
                print(line, flush=True)
    except KeyboardInterrupt:
        return _interrupted()


def events(invocation: Invocation, session: Session) -> int:
    """Print the events that the daemon keeps, then those that happen, each once and in order, until interrupted."""
    follower = Follower(session, bool(invocation.settings.get("json")), invocation.options.get("since", 0))
    try:
        with _subscriber(session, pubsub_endpoint(session), [""]) as socket:
            follower.catch_up()
            while True:
                topic, message = socket.recv_multipart()[:2]
                follower.take(topic.decode(), json.loads(message))
    except KeyboardInterrupt:
        return _interrupted()


def _interrupted() -> int:
    if sys.stderr.isatty():
        print(file=sys.stderr)  # the terminal has shown ^C in a line of its own, which the prompt is not to share
    return 0


class Follower:
    """Prints each event once and in order, from the daemon's own record where the subscription has lost some."""

    def __init__(self, session: Session, as_json: bool, since: int) -> None:
        self.session = session
        self.as_json = as_json
        self.seq = since
        self.boot: str | None = None

    def catch_up(self) -> None:
        """Print what was missed: the replies of ``events`` are whole, a subscription may lose messages."""
        while True:
            reply = self.session.request("events", {"since": self.seq})
            if reply.get("status") == "error":
                raise CallError(f"circusd has no command for events: {reply.get('reason')}")
            if self.boot not in (None, reply["boot"]):
                self.seq = 0
                self.boot = reply["boot"]
                continue
            self.boot = reply["boot"]
            for event in reply["events"]:
                self._print(event["topic"], event["data"])
            if not reply["events"]:
                self.seq = reply["last_seq"]
                return

    def take(self, topic: str, data: Json) -> None:
        """Print one published event, and first those before it that did not arrive."""
        seq = data.get("seq")
        if seq is None:
            return
        other_life = data.get("boot") not in (None, self.boot)
        # The number of a tick is that of the last event.
        numbered = topic.startswith(_WATCHER_EVENTS)
        if other_life or seq > self.seq + (1 if numbered else 0):
            self.catch_up()
        elif numbered and seq == self.seq + 1:
            self._print(topic, data)

    def _print(self, topic: str, data: Json) -> None:
        self.seq = data["seq"]
        print(json.dumps({"topic": topic, "data": data}) if self.as_json else event_line(topic, data), flush=True)


def pubsub_endpoint(session: Session) -> str:
    """Return where the daemon publishes its events, as it says itself."""
    reply = session.request("globaloptions", {"option": "pubsub_endpoint"})
    return str(reply.get("options", {}).get("pubsub_endpoint") or default_pubsub_endpoint())


def _subscriber(session: Session, endpoint: str, topics: list[str]) -> zmq.Socket[Any]:
    from zmq import SUB, SUBSCRIBE

    socket = session.client.context.socket(SUB)
    for topic in topics:
        socket.setsockopt(SUBSCRIBE, topic.encode())
    connect(socket, endpoint, session.settings.get("ssh"), session.settings.get("ssh_keyfile"))
    return socket
