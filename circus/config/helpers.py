"""Processes that circusd itself runs to check a configuration, known to those who look for orphans."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Helpers:
    """Children that are collected by whoever started them: they come from no watcher, and are no orphans.

    Each leads a session of its own. Any thread may start one.
    """

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self._starts: set[object] = set()

    @contextmanager
    def start(self) -> Iterator[None]:
        """Start one in here, and add it to ``pids``."""
        token = object()
        self._starts.add(token)
        try:
            yield
        finally:
            self._starts.discard(token)

    def may_have(self, pid: int) -> bool:
        """Return whether a child is one of them, or could be."""
        # In this order: whose start has just ended is among the pids.
        return bool(self._starts) or pid in self.pids

    def end(self) -> None:
        """Kill them, with what they started."""
        for pid in list(self.pids):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


helpers = Helpers()
