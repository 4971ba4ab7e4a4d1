"""What a daemon has published, for tests to look at and to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import zmq

from circus.events import Event, topic_name
from circus.testing.waiting import DEADLINE

Past = Callable[[int], dict[str, Any] | None]
"""Asks the daemon for what it keeps of the events after a number; None if there is no daemon any more."""


class Events:
    """The events of a daemon from a certain number on, complete and in order.

    They come by subscription. What was published before the subscription was live, or was lost, is asked for.
    Iterating gives :class:`circus.events.Event` objects; all that has happened so far is among them.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str, past: Past, since: int = 0) -> None:
        self._seen: list[Event] = []
        self._past = past
        self._last = since
        self._boot = ""
        self._live = False
        self._socket = context.socket(zmq.SUB)
        self._socket.set_hwm(0)
        self._socket.subscribe("watcher.")
        self._socket.connect(endpoint)
        self._replay()

    def __iter__(self) -> Iterator[Event]:
        self.catch_up()
        return iter(self._seen)

    def __len__(self) -> int:
        self.catch_up()
        return len(self._seen)

    def actions(self, watcher: str) -> list[str]:
        """Return the actions of a watcher so far, in order: ``["spawn", "start"]``."""
        return [event.action for event in self if event.watcher == topic_name(watcher)]

    def of(self, action: str, *, watcher: str | None = None, **data: Any) -> list[Event]:
        """Return the events of one kind so far: those of a watcher, and with that data, where these are given."""
        self.catch_up()
        return self._of(action, watcher, data)

    def wait_for(self, action: str, *, watcher: str | None = None, count: int = 1, **data: Any) -> Event:
        """Return the ``count``-th event of one kind, counted as in :meth:`of`, also one that has come already.

        Raise ``AssertionError`` when it has not come within :data:`circus.testing.DEADLINE` seconds.
        """
        end = time.monotonic() + DEADLINE
        while len(found := self._of(action, watcher, data)) < count:
            if time.monotonic() > end:
                wanted = " ".join(
                    [action, *([f"of {watcher}"] if watcher else []), *([f"with {data}"] if data else [])]
                )
                seen = ", ".join(f"{event.watcher}.{event.action}" for event in self._seen[-200:])
                raise AssertionError(f"{len(found)} of {count} times {wanted} within {DEADLINE} s; seen: {seen}")
            self.collect(0.05)
        return found[count - 1]

    def collect(self, timeout: float = 0.0) -> None:
        """Take in what has come; wait at most ``timeout`` seconds for the first."""
        while self._socket.poll(int(timeout * 1000)):
            self._take(Event.decode(self._socket.recv_multipart()))
            self._live = True
            timeout = 0.0
        if not self._live:
            self._replay()

    def catch_up(self) -> None:
        """Take in all that has happened so far: a reply may be quicker than the events before it."""
        reply, end = self._past(self._last), time.monotonic() + DEADLINE
        while reply and self._is_behind(reply) and time.monotonic() < end:
            self.collect(0.05)
        self.collect()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close(linger=0)

    def _of(self, action: str, watcher: str | None, data: dict[str, Any]) -> list[Event]:
        topic = topic_name(watcher) if watcher is not None else None
        return [
            event
            for event in self._seen
            if event.action == action and topic in (None, event.watcher) and data.items() <= event.data.items()
        ]

    def _is_behind(self, reply: dict[str, Any]) -> bool:
        return bool(reply["boot"] != self._boot or self._last < reply["last_seq"])

    def _take(self, event: Event) -> None:
        self._meet(event.boot)
        if event.seq > self._last + 1:
            self._replay()
        self._add(event)

    def _replay(self) -> None:
        """Ask for what came after the last event that is known."""
        while (reply := self._past(self._last)) is not None:
            if self._meet(reply["boot"]):
                continue
            for event in reply["events"]:
                self._add(Event(event["topic"], event["data"]))
            if not self._is_behind(reply):
                return

    def _meet(self, boot: str) -> bool:
        """Return whether this is another daemon than before; its events count from 1."""
        is_another = self._boot not in ("", boot)
        if is_another:
            self._last = 0
        self._boot = boot
        return is_another

    def _add(self, event: Event) -> None:
        if event.seq > self._last:
            self._seen.append(event)
            self._last = event.seq
