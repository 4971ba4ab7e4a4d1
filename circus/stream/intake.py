"""Reading from pipes into memory that is used again and again, and cutting there after the last whole line."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Final

from circus.stream import lines

if TYPE_CHECKING:
    from circus.stream.pipes import Pipe

_CHUNK: Final = 512 << 10
"""Bytes that are read from one pipe before the next has its turn."""
_READ_AT: Final = lines.LONGEST
"""Where that is read which comes now; the beginning of a line that came before is put right before it.

A page begins here: to copy from the page of a pipe to an address that is a few bytes off costs three times as much, as
the processor takes each load for one of what was just stored (4 KiB aliasing).
"""


class Intake:
    """The memory of one pump."""

    def __init__(self) -> None:
        self._buffer = mmap.mmap(-1, _READ_AT + _CHUNK)
        self._view = memoryview(self._buffer)

    def read(self, pipe: Pipe) -> int | None:
        """Read what comes next; return how many bytes came, 0 at the end, None if there are none yet."""
        with pipe.process.lock:
            if pipe.ahead:
                data = pipe.ahead.pop(0)
                self._buffer[_READ_AT : _READ_AT + len(data)] = data
                return len(data)
            try:
                size = os.readv(pipe.descriptor, [self._view[_READ_AT:]])
            except BlockingIOError:
                return None
            if size:
                pipe.take(self._view[_READ_AT : _READ_AT + size])
            return size

    def cut(self, pipe: Pipe, size: int, longest: int) -> memoryview:
        """Return whole lines: what was left of a pipe, and what was read, up to its last newline.

        What follows is left now. Where there is no newline, and ``longest`` bytes are there, these are returned.
        """
        begin, end = _READ_AT - len(pipe.rest), _READ_AT + size
        self._buffer[begin:_READ_AT] = pipe.rest
        cut = self._buffer.rfind(b"\n", _READ_AT, end) + 1
        if not cut:
            cut = end if end - begin >= longest else begin
        pipe.rest = self._buffer[cut:end]
        return self._view[begin:cut]
