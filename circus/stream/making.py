"""The streams that are in use: all processes share one whose options are the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from circus.config.places import meaning
from circus.stream.base import Stream
from circus.stream.getting import make
from circus.stream.handover import Remote
from circus.stream.remote import RemoteStream

if TYPE_CHECKING:
    from circus.stream.custom import Custom
    from circus.stream.pump import Pump


class Sink:
    """A stream that is open, which pump writes to it, and how many pipes lead to it."""

    __slots__ = ("key", "pipes", "pump", "stream")

    def __init__(self, key: Hashable, stream: Stream, pump: Pump) -> None:
        self.key = key
        self.stream = stream
        self.pump = pump
        self.pipes = 0


class Sinks:
    """The streams of a daemon that are in use. Any thread may ask."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._sinks: dict[Hashable, Sink] = {}
        self._lock = threading.Lock()

    def lease(self, options: Mapping[str, str], pump: Pump, custom: Custom | None = None) -> Sink:
        """Return the sink whose options mean the same for one more pipe. Raise ``OSError`` or ``ValueError``.

        Is there none, it is opened, and ``pump`` writes to it. A ``custom`` stream is that of one watcher, and run by
        another process.
        """
        key = _identity(options) if custom is None else custom.description
        with self._lock:
            sink = self._sinks.get(key)
            if sink is None:
                stream = make(options) if custom is None else RemoteStream(self._remote, custom)
                stream.open()
                sink = self._sinks[key] = Sink(key, stream, pump)
            sink.pipes += 1
            return sink

    def release(self, sink: Sink) -> bool:
        """Count one pipe less; return whether it was the last."""
        with self._lock:
            sink.pipes -= 1
            return sink.pipes == 0

    def retire(self, sink: Sink) -> bool:
        """Forget a sink to which no pipe leads; return False if one does again, or it is forgotten already."""
        with self._lock:
            if sink.pipes or self._sinks.get(sink.key) is not sink:
                return False
            del self._sinks[sink.key]
            return True

    def of(self, pump: Pump) -> list[Sink]:
        """Return all that are in use and written to by one pump."""
        with self._lock:
            return [sink for sink in self._sinks.values() if sink.pump is pump]


def _identity(options: Mapping[str, str]) -> Hashable:
    """What is the same for two streams of circusd's own that are one, however their options are written."""
    path = options.get("filename")
    return os.path.abspath(path) if path else "", frozenset(meaning(options).items())
