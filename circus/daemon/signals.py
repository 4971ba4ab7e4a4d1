"""Signals of the daemon itself: noted when they come, acted upon in the loop.

asyncio's own way loses a signal whose byte does not fit into the wake-up pipe, and prints a warning for each, when many
children die at once. Here the pipe only wakes the loop; which signals came is kept apart, so that none is lost.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


class Signals:
    """Calls handlers from the loop. It must be made, and used, in the main thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handlers: dict[int, Callable[[], None]] = {}
        self._before: dict[int, Any] = {}
        self._pending: list[int] = []
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        loop.add_reader(self._reader, self._dispatch)
        self._old_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def handle(self, number: int, handler: Callable[[], None]) -> None:
        """Call ``handler`` in the loop soon after the signal has come; once for several that came at once."""
        self._handlers[number] = handler
        self._before[number] = signal.signal(number, self._note)

    def close(self, ignored: Collection[int] = ()) -> None:
        """Put everything back as it was, except for signals that are to be ``ignored`` from now on."""
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_IGN if number in ignored else before)
        signal.set_wakeup_fd(self._old_wakeup)
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        os.close(self._writer)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number not in self._pending:
            self._pending.append(number)

    def _dispatch(self) -> None:
        try:
            while len(os.read(self._reader, 4096)) == 4096:
                pass
        except BlockingIOError:  # what was there has just filled the last read
            pass
        pending, self._pending = self._pending, []
        for number in pending:
            self._loop.call_soon(self._handlers[number])
