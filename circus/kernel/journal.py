"""What happened: each event gets the next number, is kept in a ring, and is handed to the publisher."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from circus.events import make_topic

RING_SIZE: Final = 16_384
PAGE: Final = 1_000
"""Most events in one reply of ``since``; a client asks again for the rest."""

Sink = Callable[[str, dict[str, Any]], None]


class Journal:
    """Numbered facts. ``seq`` is the number of the last event, ``boot`` the identity of this daemon's life."""

    def __init__(self, size: int = RING_SIZE) -> None:
        self.boot: Final = os.urandom(8).hex()
        self.seq = 0
        self._ring: list[tuple[str, dict[str, Any]] | None] = [None] * size
        self._sinks: list[Sink] = []

    def subscribe(self, sink: Sink) -> None:
        """Call ``sink(topic, data)`` for each event from now on. It must return at once and must not raise."""
        self._sinks.append(sink)

    def publish(self, watcher: str, action: str, /, **data: Any) -> dict[str, Any]:
        """Record an event of a watcher and return what was published. ``time`` is now unless it is given."""
        self.seq += 1
        data.setdefault("time", time.time())
        data["seq"] = self.seq
        data["boot"] = self.boot
        data["mono"] = time.monotonic()
        topic = make_topic(watcher, action)
        self._ring[self.seq % len(self._ring)] = (topic, data)
        for sink in self._sinks:
            sink(topic, data)
        return data

    def since(self, seq: int, limit: int = PAGE) -> dict[str, Any]:
        """Return the events after number ``seq``, oldest first, at most ``limit`` of them.

        ``truncated`` is true where the ring no longer reaches back that far: the oldest ones are lost.
        """
        oldest = max(1, self.seq - len(self._ring) + 1)
        first = max(seq + 1, oldest)
        last = min(self.seq, first + max(0, min(limit, PAGE)) - 1)
        kept = (self._ring[number % len(self._ring)] for number in range(first, last + 1))
        reply: dict[str, Any] = {
            "events": [{"topic": entry[0], "data": entry[1]} for entry in kept if entry is not None],
            "last_seq": self.seq,
            "boot": self.boot,
        }
        if seq + 1 < oldest:
            reply["truncated"] = True
        return reply
