"""Children of circusd that come from no watcher it can tell: what left its session and cleared its environment.

They are left alone while circusd runs, as nobody knows to which watcher they belong, and ended with it. Those that were
there before circusd, and those that a watcher has given away, are spared.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Final

from circus.kernel import tree
from circus.launch.syscalls import kill_all

log = logging.getLogger("circus")

GRACE: Final = 2.0
"""Seconds from SIGTERM to SIGKILL."""

TRIES: Final = 50
"""How often a process that seems to be between two programs is looked at again."""


class Strangers:
    """Who they are, and their end."""

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self._spared = set(tree.own_children())
        self._looks: dict[int, int] = {}
        self._ended: asyncio.Event | None = None

    def __contains__(self, pid: int) -> bool:
        return pid in self.pids or pid in self._spared

    def is_starting(self, pid: int) -> bool:
        """Return whether a process is between two programs, so that it may have a mark in a moment."""
        if not tree.is_starting(pid):
            return False
        self._looks[pid] = self._looks.get(pid, 0) + 1
        return self._looks[pid] < TRIES

    def add(self, pid: int) -> None:
        """Note a child that comes from no watcher."""
        self._looks.pop(pid, None)
        self.pids.add(pid)
        log.info("process %d is circusd's child now, and no watcher's: it is ended with circusd", pid)

    def spare(self, pid: int) -> None:
        """Leave a child alone for ever."""
        self.pids.discard(pid)
        self._spared.add(pid)

    def died(self, pid: int) -> None:
        """Note that a child was reaped."""
        self.pids.discard(pid)
        self._spared.discard(pid)
        self._looks.pop(pid, None)
        if self._ended is not None and not self.pids:
            self._ended.set()

    async def end(self, grace: float) -> None:
        """Send SIGTERM, after ``grace`` seconds SIGKILL, and return when they are gone or cannot be ended."""
        # Whoever was collected by somebody else has a number that may be another process's by now.
        self.pids.intersection_update(tree.own_children())
        self._ended = asyncio.Event()
        for signum, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, GRACE)):
            if not self.pids:
                return
            log.info("ending processes of no watcher: %s", ", ".join(map(str, sorted(self.pids))))
            kill_all(tree.families(self.pids), signum)
            try:
                await asyncio.wait_for(self._ended.wait(), patience)
            except TimeoutError:
                continue
