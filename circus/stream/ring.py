"""The end of what a process has written, kept in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
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
        self._size = size
        self._kept = 0
        self._runs: deque[tuple[str, bytearray]] = deque()
        self._torn: dict[str, bool] = {}
        """For each stream of which something was dropped: whether that ended within a line."""

    def append(self, stream: str, data: bytes | memoryview) -> None:
        """Keep what was written to ``stream``, and drop the oldest bytes where there is no room."""
        self.offset += len(data)
        if len(data) > self._size:
            self._drop(self._kept)
            self._torn[stream] = data[-self._size - 1] != ord(b"\n")
            data = data[-self._size :]
        if not self._runs or self._runs[-1][0] != stream:
            self._runs.append((stream, bytearray()))
        self._runs[-1][1].extend(data)
        self._kept += len(data)
        self._drop(self._kept - self._size)

    def last(self, lines: int, size: int = SIZE, only: str = "") -> list[Line]:
        """Return the last lines, at most so many and so many bytes, in the order of their ends.

        They are those of one stream, ``only``, or of both. A line whose beginning is no longer kept is left out, unless
        there is no other of its stream. The oldest is cut where the bytes do not suffice.
        """
        found: list[Line] = []
        for line in self._backwards(only):
            if len(found) >= lines or size <= 0:
                break
            found.append(_cut(line, size))
            size -= len(line.data)
        return sorted(found, key=lambda line: line.pieces[-1].offset)

    def _drop(self, excess: int) -> None:
        while excess > 0:
            stream, run = self._runs[0]
            dropped = min(excess, len(run))
            self._torn[stream] = run[dropped - 1] != ord(b"\n")
            del run[:dropped]
            if not run:
                self._runs.popleft()
            self._kept -= dropped
            excess -= dropped

    def _backwards(self, only: str) -> Iterator[Line]:
        """Yield lines as their beginnings are met on the way back."""
        begun: dict[str, list[Piece]] = {}
        given: set[str] = set()
        for piece in self._parts():
            if only and piece.stream != only:
                continue
            if piece.data.endswith(b"\n") and piece.stream in begun:
                yield Line(piece.stream, begun.pop(piece.stream)[::-1])
                given.add(piece.stream)
            begun.setdefault(piece.stream, []).append(piece)
        for stream, pieces in begun.items():
            if not self._torn.get(stream) or stream not in given:
                yield Line(stream, pieces[::-1])

    def _parts(self) -> Iterator[Piece]:
        """Yield what is kept from its end on, cut behind each newline."""
        start = self.offset
        for stream, run in reversed(self._runs):
            start -= len(run)
            end = len(run)
            while end:
                begin = run.rfind(b"\n", 0, end - 1) + 1
                yield Piece(stream, start + begin, bytes(run[begin:end]))
                end = begin


def _cut(line: Line, size: int) -> Line:
    """Return the first bytes of a line."""
    pieces = []
    for piece in line.pieces:
        if size > 0:
            pieces.append(piece._replace(data=piece.data[:size]))
        size -= len(piece.data)
    return Line(line.stream, pieces)
