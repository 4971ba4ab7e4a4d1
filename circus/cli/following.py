"""Events as they happen: ``circusctl listen`` and ``circusctl events --follow``."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from circus.client import connect
from circus.commands.events import event_line
from circus.consumer import SYNC, TICK, Delivery, Lost, Stream
from circus.events import Event
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
        with subscriber(session, endpoint, topics) as socket:
            while True:
                topic, message = socket.recv_multipart()[:2]
                if as_json:
                    line = json.dumps({"topic": topic.decode(), "data": json.loads(message)})
                else:
                    line = f"{topic!r}: {message!r}"
                print(line, flush=True)
    except KeyboardInterrupt:
        return interrupted()


def events(invocation: Invocation, session: Session) -> int:
    """Print the events that the daemon keeps, then those that happen, each once and in order, until interrupted."""
    follower = Follower(session, bool(invocation.settings.get("json")), invocation.options.get("since", 0))
    sync = f"{SYNC}{os.urandom(16).hex()}"
    try:
        with subscriber(session, pubsub_endpoint(session), [_WATCHER_EVENTS, TICK, sync]) as socket:
            follower.catch_up()
            while True:
                topic, message = socket.recv_multipart()[:2]
                if topic == sync.encode():
                    follower.catch_up()  # with what has happened until the subscription was live
                else:
                    follower.take(topic.decode(), json.loads(message))
    except KeyboardInterrupt:
        return interrupted()


def interrupted() -> int:
    """Leave the terminal's line with ^C to itself, and return the exit status."""
    if sys.stderr.isatty():
        print(file=sys.stderr)  # the terminal has shown ^C in a line of its own, which the prompt is not to share
    return 0


class Follower:
    """Prints each event once and in order, from the daemon's own record where the subscription has lost some."""

    def __init__(self, session: Session, as_json: bool, since: int) -> None:
        self.session = session
        self.as_json = as_json
        self.stream = Stream(since)

    def catch_up(self) -> None:
        """Print what was missed: the replies of ``events`` are whole, a subscription may lose messages."""
        self.stream.live()
        self._ask()

    def take(self, topic: str, data: Json) -> None:
        """Print one published event, and first those before it that did not arrive."""
        self._print(self.stream.take(topic, data))
        self._ask()

    def _ask(self) -> None:
        while question := self.stream.question:
            self._print(self.stream.answer(self.session.request(*question)))

    def _print(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if isinstance(delivery, Lost):
                text = f"(events {delivery.first} to {delivery.last} are no longer kept)"
                print(text, file=sys.stderr if self.as_json else sys.stdout, flush=True)
            elif isinstance(delivery, Event):
                topic, data = delivery.topic, delivery.data
                print(
                    json.dumps({"topic": topic, "data": data}) if self.as_json else event_line(topic, data), flush=True
                )


def pubsub_endpoint(session: Session) -> str:
    """Return where the daemon publishes its events, as it says itself."""
    reply = session.request("globaloptions", {"option": "pubsub_endpoint"})
    return str(reply.get("options", {}).get("pubsub_endpoint") or default_pubsub_endpoint())


def subscriber(session: Session, endpoint: str, topics: list[str]) -> zmq.Socket[Any]:
    """Return a subscription to topics that begin so, on the machine that the session is about."""
    from zmq import SUB, SUBSCRIBE

    socket = session.client.context.socket(SUB)
    for topic in topics:
        socket.setsockopt(SUBSCRIBE, topic.encode())
    connect(socket, endpoint, session.settings.get("ssh"), session.settings.get("ssh_keyfile"))
    return socket
