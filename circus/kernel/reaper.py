"""Collects dead children: SIGCHLD, then one loop of ``waitpid`` until nobody is left to collect."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

OnExit = Callable[[int, int], None]


class Reaper:
    """The only place that collects children of this process.

    ``on_stranger(pid, exit_code)`` hears of a child that nobody watches: an orphan that this process inherited.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_stranger: OnExit) -> None:
        self._loop = loop
        self._on_stranger = on_stranger
        self._watched: dict[int, OnExit] = {}

    def install(self) -> None:
        """Begin to listen for SIGCHLD. Whoever died before is collected at once."""
        self._loop.add_signal_handler(signal.SIGCHLD, self.drain)
        self.drain()

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_signal_handler(signal.SIGCHLD)

    def watch(self, pid: int, on_exit: OnExit) -> None:
        """Call ``on_exit(pid, exit_code)`` when the child has been collected; minus the signal's number if one killed it."""
        self._watched[pid] = on_exit

    def knows(self, pid: int) -> bool:
        """Return whether somebody watches this child."""
        return pid in self._watched

    def forget(self, pid: int) -> None:
        """Treat the child as a stranger from now on."""
        self._watched.pop(pid, None)

    def drain(self) -> None:
        """Collect every dead child. Cheap when there is none, so commands do it first: they never see a dead process as alive."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            on_exit = self._watched.pop(pid, self._on_stranger)
            on_exit(pid, os.waitstatus_to_exitcode(status))
