"""``circusctl logs``: the end of what processes have written, and what they write while somebody looks."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from circus.cli.following import interrupted, pubsub_endpoint, subscriber
from circus.cli.joining import Dead, Delivery, Joiner, Piece, Process, Skipped
from circus.cli.logview import View, skipped_text
from circus.cli.render import as_json, coloured
from circus.consumer import SYNC, TICK
from circus.events import topic_name
from circus.exc import CallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import zmq

    from circus.cli.session import Session
    from circus.cli.words import Invocation
    from circus.commands.base import Json

DONE, REFUSED = 0, 3

_EVERYTHING = 1_000_000
"""Lines to ask for after a connection that was lost: circusd keeps fewer."""
_SILENCE = 5_000
"""Milliseconds without a word of circusd, which ticks each second, after which its silence is told."""
_NAMED = 3
"""Watchers whose output is not captured that are told of one by one."""


def logs(invocation: Invocation, session: Session) -> int:
    """Print the last lines, and with ``--follow`` what comes after them, until interrupted. Return the exit status."""
    properties, as_objects = invocation.message(), bool(invocation.settings.get("json"))
    follows = bool(invocation.options.get("follow"))
    reply = session.request("logs", {**properties, "pieces": follows or not as_objects})
    refused = reply.get("status") == "error"
    if as_objects and (refused or not follows):
        print(as_json(reply, prettify=bool(invocation.settings.get("prettify"))))
        return REFUSED if refused else DONE
    if refused:
        print(f"error: {reply.get('reason')}", file=sys.stderr)
        return REFUSED
    terminal = sys.stdout.isatty() and not as_objects
    screen = Screen(View(terminal=terminal, coloured=terminal and coloured(), as_json=as_objects))
    follower = Follower(session, properties, screen, last=not follows)
    try:
        follower.begin(reply)
        return follower.follow() if follows else DONE
    except KeyboardInterrupt:
        screen.close()
        return interrupted()
    finally:
        screen.close()


class Screen:
    """Writes what is shown to standard output, and remarks to standard error."""

    def __init__(self, view: View) -> None:
        self.view = view

    def show(self, deliveries: list[Delivery]) -> None:
        """Show what was delivered."""
        for delivery in deliveries:
            self._write(self.view.show(delivery))
            if isinstance(delivery, Skipped):
                self.remark(skipped_text(delivery))
            elif isinstance(delivery, Dead) and self.view.terminal:
                self.remark(f"(process {delivery.process.pid} of {delivery.process.label} has ended)")
        sys.stdout.buffer.flush()

    def remark(self, text: str) -> None:
        """Say something that no program has written."""
        self._write(self.view.new_line())
        sys.stdout.buffer.flush()
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Show what was held back."""
        self._write(self.view.close())
        sys.stdout.buffer.flush()

    def _write(self, data: bytes) -> None:
        if data:
            sys.stdout.buffer.write(data)


class Follower:
    """Shows what processes write, in whatever order replies and messages arrive."""

    def __init__(self, session: Session, properties: Json, screen: Screen, *, last: bool) -> None:
        self.session = session
        self.properties = properties
        self.screen = screen
        self._joiner = Joiner(last=last)
        self._away = False
        """Whether it was said that circusd is not heard."""
        self._behind = False
        """Whether something was published that has not arrived."""

    def begin(self, reply: Json) -> None:
        """Show the last lines."""
        texts = list(reply.get("uncaptured", {}).values())
        for text in texts[:_NAMED]:
            self.screen.remark(text)
        if len(texts) > _NAMED:
            more = len(texts) - _NAMED
            self.screen.remark(f"and so it is with {more} more watcher{'s' * (more > 1)}, as --json tells")
        for entry in reply["logs"]:
            self.screen.view.expect(Process.of(entry))
        self._show(self._joiner.reply(reply, live=False))

    def follow(self) -> int:
        """Show what comes, until interrupted, or until nobody reads it. Return the exit status."""
        from zmq import POLLERR, POLLIN, Poller

        name = self.properties.get("name")
        topic = f"log.{topic_name(name) if name else ''}"
        sync = f"{SYNC}{os.urandom(16).hex()}"
        with (
            subscriber(self.session, pubsub_endpoint(self.session), [topic, TICK, sync]) as socket,
            socket.get_monitor_socket() as monitor,
        ):
            poller = Poller()
            poller.register(monitor, POLLIN)
            poller.register(socket, POLLIN)
            poller.register(sys.stdout.fileno(), POLLERR)
            while True:
                ready = dict(poller.poll(_SILENCE))
                if sys.stdout.fileno() in ready:
                    raise BrokenPipeError
                if socket in ready:
                    self._hear(socket.recv_multipart(), topic if name else "", sync)
                elif monitor in ready:
                    # What has arrived before was heard already, and a new connection is not made in no time.
                    self._look(monitor)
                elif not ready:
                    self._miss("circusd is not heard any more")
                if self._behind and not self._catch_up():
                    return REFUSED

    def _look(self, monitor: zmq.Socket[Any]) -> None:
        """See whether the connection is lost."""
        from zmq import EVENT_DISCONNECTED
        from zmq.utils.monitor import recv_monitor_message

        if recv_monitor_message(monitor)["event"] == EVENT_DISCONNECTED:
            self._joiner.lost()
            self._miss("circusd is gone")

    def _hear(self, frames: list[bytes], topic: str, sync: str) -> None:
        """Take a message. A subscription to ``log.web`` brings that of ``log.web-2`` too, which is not meant."""
        heard = frames[0].decode()
        if heard == sync:
            self._behind = True
        elif heard != TICK and (not topic or heard == topic):
            self._show(self._joiner.take(json.loads(frames[1])))
        if self._away and self._joiner.live:
            self._away = False
            self.screen.remark("(circusd is heard again)")

    def _miss(self, text: str) -> None:
        if not self._away:
            self._away = True
            self.screen.remark(f"({text}; waiting for it)")

    def _catch_up(self) -> bool:
        """Show what was written until the subscription was live. Return False if circusd refuses to tell."""
        asked = {"lines": _EVERYTHING, "pieces": True}
        if "name" in self.properties:
            asked["name"] = self.properties["name"]
        try:
            reply = self.session.request("logs", asked)
        except CallError:
            return True  # it is gone again, or busy: the next word of it is reason to ask once more
        self._behind = False
        if reply.get("status") == "error":
            self.screen.remark(f"error: {reply.get('reason')}")
            return False
        if self._away:
            self._away = False
            self.screen.remark(
                f"({'circusd is back' if reply['boot'] == self._joiner.boot else 'another circusd runs'})"
            )
        self._show(self._joiner.reply(reply, live=True))
        return True

    def _show(self, deliveries: list[Delivery]) -> None:
        only = "stderr" if self.properties.get("stderr") else ""
        self.screen.show(
            [item for item in deliveries if not only or not isinstance(item, Piece) or item.stream == only]
        )
