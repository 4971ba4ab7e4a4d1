"""The end of what a process has written, kept in memory."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

SIZE: Final = 64 << 10
"""Bytes that are kept of each process."""


class Piece(NamedTuple):
    """Output as it came, or a part of it."""

    stream: str
    """``stdout`` or ``stderr``."""
    offset: int
    """Bytes that the process had written before, to both."""
    data: bytes


class Line(NamedTuple):
    """A line of one stream: several pieces where the other stream came between. Only the newest may lack its end."""

    stream: str
    pieces: list[Piece]

    @property
    def data(self) -> bytes:
        """The line as it was written, with its newline."""
        return b"".join(piece.data for piece in self.pieces)


class Ring:
    """The last bytes of a process, those of both streams in the order in which they came. Its owner locks it."""

    def __init__(self, size: int = SIZE) -> None:
        self.offset = 0
        """Bytes that the process has written so far."""
        self.kept = 0
        """Bytes of them that are here."""
        self._size = size
        self._runs: deque[tuple[str, bytearray]] = deque()
        self._torn: dict[str, bool] = {}
        """For each stream of which something was dropped: whether that ended within a line."""

    def append(self, stream: str, data: bytes | memoryview) -> None:
        """Keep what was written to ``stream``, and drop the oldest bytes where there is no room."""
        self.offset += len(data)
        if len(data) >= self._size:
            self._drop(self.kept)
            if len(data) > self._size:
                self._torn[stream] = data[-self._size - 1] != ord(b"\n")
            data = data[-self._size :]
        if not self._runs or self._runs[-1][0] != stream:
            self._runs.append((stream, bytearray()))
        self._runs[-1][1].extend(data)
        self.kept += len(data)
        self._drop(self.kept - self._size)

    def last(self, lines: int, size: int = SIZE, only: str = "") -> list[Line]:
        """Return the last lines, at most so many and so many bytes, in the order of their ends.

        They are those of one stream, ``only``, or of both. A line whose beginning is no longer kept is left out, unless
        there is no other of its stream. The oldest is cut where the bytes do not suffice.
        """
        chosen: list[Line] = []
        for line in self._backwards(lines, size, only):
            length = len(line.data)
            if size > 0:
                chosen.append(line if length <= size else _cut(line, size))
            size -= length
        return chosen[::-1]

    def _drop(self, excess: int) -> None:
        while excess > 0:
            stream, run = self._runs[0]
            dropped = min(excess, len(run))
            self._torn[stream] = run[dropped - 1] != ord(b"\n")
            del run[:dropped]
            if not run:
                self._runs.popleft()
            self.kept -= dropped
            excess -= dropped

    def _backwards(self, lines: int, size: int, only: str) -> list[Line]:
        """Return the last lines, the newest first, with enough of them for so many bytes."""
        found: list[Line] = []
        begun: dict[str, Line] = {}
        start = self.offset
        for stream, run in reversed(self._runs):
            start -= len(run)
            end = len(run)
            while end and (not only or stream == only):
                begin = run.rfind(b"\n", 0, end - 1) + 1
                if stream in begun and run[end - 1] == ord(b"\n"):
                    del begun[stream]  # it begins behind this one
                if stream not in begun:
                    if len(found) >= lines or size <= 0:
                        break
                    begun[stream] = Line(stream, [])
                    found.append(begun[stream])
                begun[stream].pieces.insert(0, Piece(stream, start + begin, bytes(run[begin:end])))
                size -= end - begin
                end = begin
            if not begun and (len(found) >= lines or size <= 0):
                break
        for stream, line in begun.items():
            if self._torn.get(stream) and sum(other.stream == stream for other in found) > 1:
                found.remove(line)
        return found


def _cut(line: Line, size: int) -> Line:
    """Return the first bytes of a line."""
    pieces = []
    for piece in line.pieces:
        if size > 0:
            pieces.append(piece._replace(data=piece.data[:size]))
        size -= len(piece.data)
    return Line(line.stream, pieces)
