"""The streams that are in use: all processes share one whose options are the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import TYPE_CHECKING

from circus.stream.base import Stream
from circus.stream.getting import make
from circus.stream.remote import Remote, RemoteStream

if TYPE_CHECKING:
    from circus.stream.custom import Custom


class Sink:
    """A stream that is open, and how many pipes lead to it."""

    __slots__ = ("key", "pipes", "stream")

    def __init__(self, key: Hashable, stream: Stream) -> None:
        self.key = key
        self.stream = stream
        self.pipes = 0


class Sinks:
    """The streams of a daemon that are in use. Any thread may ask."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._sinks: dict[Hashable, Sink] = {}
        self._lock = threading.Lock()

    def lease(self, options: Mapping[str, str], custom: Custom | None = None) -> Sink:
        """Return the sink with these options for one more pipe. Raise ``OSError`` or ``ValueError``.

        A ``custom`` stream is that of one watcher, and run by another process.
        """
        key = frozenset(options.items()) if custom is None else custom.description
        with self._lock:
            sink = self._sinks.get(key)
            if sink is None:
                stream = make(options) if custom is None else RemoteStream(self._remote, custom)
                stream.open()
                sink = self._sinks[key] = Sink(key, stream)
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

    def reopen(self, chosen: Collection[Sink] | None, blame: Callable[[Sink, Exception], None]) -> list[str]:
        """Have streams open their files anew, ``chosen`` ones or all. Return what failed, after it was ``blame``d."""
        failures = []
        for sink in self.all():
            if chosen is None or sink in chosen:
                try:
                    sink.stream.reopen()
                except Exception as error:
                    blame(sink, error)
                    failures.append(_told(error))
        return failures

    def all(self) -> list[Sink]:
        """Return all that are in use."""
        with self._lock:
            return list(self._sinks.values())


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"
