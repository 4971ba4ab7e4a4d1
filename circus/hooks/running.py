"""Which hook runs where: what its function prints is logged under its name, and what it calls knows its deadline."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Final

log = logging.getLogger("circus")

_LONGEST_LINE: Final = 65536
"""Characters after which a line that does not end is logged in pieces."""


class Run:
    """One run of a hook's function. ``deadline`` is in seconds since the epoch, None for none."""

    def __init__(self, watcher: str, hook: str, deadline: float | None = None) -> None:
        self.watcher = watcher
        self.hook = hook
        self.deadline = deadline
        self.unwanted = threading.Event()
        """Set when nobody wants its result any more, so that what only waits may stop waiting."""
        self._printed = ""
        self._aborted = False
        self._at_abort: set[Callable[[], None]] = set()

    def __str__(self) -> str:
        return f"{self.hook} of {self.watcher}"

    def print(self, text: str) -> None:
        """Log each line that is complete now."""
        *lines, self._printed = (self._printed + text).split("\n")
        if len(self._printed) > _LONGEST_LINE:
            lines.append(self._printed)
            self._printed = ""
        for line in lines:
            if line.strip():
                log.info("%s: %s", self, line.rstrip())

    @contextlib.contextmanager
    def aborted_by(self, act: Callable[[], None]) -> Iterator[None]:
        """Have ``act`` called, from any thread and perhaps twice, if the run is aborted meanwhile or was before."""
        self._at_abort.add(act)
        if self._aborted:
            act()
        try:
            yield
        finally:
            self._at_abort.discard(act)

    def abort(self) -> None:
        """End what can be ended of it."""
        self._aborted = True
        self.unwanted.set()
        for act in list(self._at_abort):
            act()

    def end(self) -> None:
        """Log what was printed without an end of line."""
        if self._printed:
            self.print("\n")


RUNNING: ContextVar[Run] = ContextVar("RUNNING")
"""The run that the current thread or task belongs to."""


class Printed(io.TextIOBase):
    """What stands in for standard output and error while functions run."""

    def __init__(self) -> None:
        # A thread that a function has left behind belongs to no run.
        self._nobody = Run("a watcher", "a hook")

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Log it as printed by the run that it comes from."""
        RUNNING.get(self._nobody).print(text)
        return len(text)


def log_failure(run: Run, error: BaseException) -> None:
    """Log an error, with its traceback from where the function's own code begins."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("circus."):
        trace = trace.tb_next
    log.error("%s failed: %s", run, error, exc_info=(type(error), error, trace) if trace is not None else None)
