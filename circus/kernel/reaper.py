"""Collects dead children: at SIGCHLD, one loop of ``waitpid`` until nobody is left to collect."""

from __future__ import annotations

import os
from collections.abc import Callable

OnExit = Callable[[int, int], None]


class Reaper:
    """The only place that collects children of this process.

    ``on_stranger(pid, exit_code)`` hears of a child that nobody watches: an orphan that this process inherited.
    ``on_defect(None, error)`` hears of what one of those who are told of an end raises.
    """

    def __init__(self, on_stranger: OnExit, on_defect: Callable[[None, BaseException], None]) -> None:
        self._on_stranger = on_stranger
        self._on_defect = on_defect
        self.watched: dict[int, OnExit] = {}
        """Whom to tell of the end of which child."""

    def watch(self, pid: int, on_exit: OnExit) -> None:
        """Call ``on_exit(pid, exit_code)`` when the child was collected; minus the signal's number if one killed it."""
        self.watched[pid] = on_exit

    def forget(self, pid: int) -> None:
        """Treat the child as a stranger from now on."""
        self.watched.pop(pid, None)

    def drain(self) -> None:
        """Collect every dead child. Cheap when there is none, so each command comes after it."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            on_exit = self.watched.pop(pid, self._on_stranger)
            try:
                on_exit(pid, os.waitstatus_to_exitcode(status))
            except Exception as error:  # a defect there must not leave the other dead uncollected
                self._on_defect(None, error)
