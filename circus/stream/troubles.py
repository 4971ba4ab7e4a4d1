"""What went wrong with output, summed up so that a flood of it is no flood of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from circus.hooks.foreign import describe
from circus.stream.base import Source, Stream

_INTERVAL: Final = 1.0
"""Seconds between two events of one kind about one stream of a watcher."""

Report = Callable[[str, str, dict[str, Any]], None]
"""Gets a watcher, ``log_dropped`` or ``log_failed``, and what is to be published with it. May be called anywhere."""


class Troubles:
    """Collects losses and failures of streams, and reports those of each watcher and stream once a second at most.

    Any thread may call this.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._reported: dict[tuple[str, str, str], float] = {}

    def collect(self, stream: Stream) -> None:
        """Take from a stream what went wrong since the last time."""
        losses, failures = stream.take_losses(), stream.take_failures()
        if not losses and not failures:
            return
        with self._lock:
            for source, loss in losses.items():
                data = self._about(source, "log_dropped", {"wid": source.wid, "bytes": 0, "lines": 0})
                data["wid"] = source.wid
                data["bytes"] += loss.bytes
                data["lines"] += loss.lines
                data["reason"] = loss.reason
            for source, failure in failures.items():
                data = self._about(source, "log_failed", {"count": 0})
                data["count"] += failure.times
                data["error"] = failure.error

    def report(self, *, everything: bool = False) -> float | None:
        """Report what is due, or ``everything``. Return the seconds until something else is; None if nothing waits."""
        if not self._waiting:
            return None
        now = time.monotonic()
        soonest = None
        with self._lock:
            self._reported = {key: then for key, then in self._reported.items() if then + _INTERVAL > now}
            for key in list(self._waiting):
                wait = self._reported.get(key, now - _INTERVAL) + _INTERVAL - now
                if wait > 0 and not everything:
                    soonest = wait if soonest is None else min(wait, soonest)
                    continue
                watcher, action, _ = key
                self._reported[key] = now
                self._report(watcher, action, self._waiting.pop(key))
        return soonest

    def _about(self, source: Source, action: str, start: dict[str, Any]) -> dict[str, Any]:
        key = (source.watcher, action, source.name)
        return self._waiting.setdefault(key, {"stream": source.name, **start})


def told(error: Exception) -> str:
    """Say in one line what a stream has raised."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return describe(error)
