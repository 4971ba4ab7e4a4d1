"""Output as it comes: published while somebody follows it, and skipped where it is too much."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from circus.events import topic_name

if TYPE_CHECKING:
    import asyncio

TOPIC: Final = "log."
"""What the topics of output begin with; the name of the watcher follows."""

INTERVAL: Final = 0.05
"""Seconds between two rounds."""
OF_PROCESS: Final = 64 << 10
"""Bytes of one process that a round may have; what it writes beyond them until then is skipped."""
OF_ROUND: Final = 256 << 10
"""Bytes after which the other processes wait for the next round: the loop has more to do."""
WAITING: Final = 4 << 20
"""Bytes that may wait altogether, so that a thousand processes do not fill the memory."""
MESSAGE: Final = 16 << 10
"""Bytes in a message. libzmq holds back a thousand messages for a subscriber that has stopped reading."""
LONG: Final = 4 << 10
"""Bytes without a newline after which skipping ends in the middle of a line, as there may never be one."""


class Writer(Protocol):
    """A process that writes."""

    watcher: str
    wid: int
    pid: int
    started: float
    """Seconds since the epoch: another process may have the same number later."""


class _Waiting:
    """What one process has written since its last round: runs of one stream, each with its offset."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, int, bytearray]] = []
        self.ended: list[tuple[str, int]] = []
        self.size = 0


class Live:
    """Carries output from the thread that reads it to the loop, in rounds, and publishes it there.

    ``publish(topic, data)`` is called on the loop's thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, publish: Callable[[str, dict[str, Any]], None]) -> None:
        self.wanted = False
        """Whether anybody follows: only then :meth:`feed` and :meth:`end` need to be called."""
        self._loop = loop
        self._publish = publish
        self._lock = threading.Lock()
        self._waiting: dict[Writer, _Waiting] = {}
        self._torn: set[tuple[Writer, str]] = set()
        self._round_follows = False

    def look(self, topics: Iterable[bytes], topic: bytes) -> None:
        """Take note of a topic that somebody has subscribed to or left; ``topics`` are those that are followed now."""
        if topic.startswith(TOPIC.encode()):
            self.wanted = any(other.startswith(TOPIC.encode()) for other in topics)
            if not self.wanted:
                with self._lock:
                    self._waiting.clear()
                    self._torn.clear()

    def close(self) -> None:
        """Publish what waits, and take nothing more."""
        self.wanted = False
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for writer, written in waiting.items():
            self._tell(writer, written)

    def feed(self, writer: Writer, stream: str, offset: int, data: bytes | memoryview) -> None:
        """Take what a process has written after ``offset`` bytes. Any thread may call this, in order for a process."""
        with self._lock:
            if not self.wanted:
                return
            waiting = self._waiting_of(writer)
            limit = min(OF_PROCESS, WAITING // len(self._waiting))
            begin, taken, torn = choose(data, limit - waiting.size, (writer, stream) in self._torn)
            (self._torn.add if torn else self._torn.discard)((writer, stream))
            if taken:
                waiting.size += len(taken)
                offset += begin
                if waiting.runs and waiting.runs[-1][0] == stream and _end(waiting.runs[-1]) == offset:
                    waiting.runs[-1][2].extend(taken)
                else:
                    waiting.runs.append((stream, offset, bytearray(taken)))

    def end(self, writer: Writer, stream: str, offset: int) -> None:
        """Take note that nothing more comes from ``stream`` of a process that has written ``offset`` bytes."""
        with self._lock:
            self._torn.discard((writer, stream))
            if self.wanted:
                self._waiting_of(writer).ended.append((stream, offset))

    def _waiting_of(self, writer: Writer) -> _Waiting:
        if not self._round_follows:
            self._round_follows = True
            self._loop.call_soon_threadsafe(self._loop.call_later, INTERVAL, self._round)
        if writer not in self._waiting:
            self._waiting[writer] = _Waiting()
        return self._waiting[writer]

    def _round(self) -> None:
        """Publish what has waited longest. What is left has its turn in the next round."""
        chosen = []
        size = 0
        with self._lock:
            while self._waiting and size < OF_ROUND:
                writer = next(iter(self._waiting))
                chosen.append((writer, self._waiting.pop(writer)))
                size += chosen[-1][1].size
            self._round_follows = bool(self._waiting)
            if self._round_follows:
                self._loop.call_later(INTERVAL, self._round)
        for writer, waiting in chosen:
            self._tell(writer, waiting)

    def _tell(self, writer: Writer, waiting: _Waiting) -> None:
        topic = TOPIC + topic_name(writer.watcher)
        whose = {"watcher": writer.watcher, "wid": writer.wid, "pid": writer.pid, "started": writer.started}
        for stream, offset, run in waiting.runs:
            for at in range(0, len(run), MESSAGE):
                text = run[at : at + MESSAGE].decode("utf-8", "surrogateescape")
                self._publish(topic, {**whose, "stream": stream, "offset": offset + at, "data": text})
        for stream, offset in waiting.ended:
            self._publish(topic, {**whose, "stream": stream, "offset": offset, "data": "", "end": True})


def choose(data: bytes | memoryview, room: int, torn: bool) -> tuple[int, bytes, bool]:
    """Return where that begins which there is room for, its bytes, and whether what follows begins within a line.

    Whole lines are skipped, where lines are not very long. After ``torn`` data begins within a line that was skipped.
    """
    begin, room = 0, max(room, 0)
    if torn:
        head = bytes(data[:OF_PROCESS])
        begin = head.find(b"\n") + 1
        if not begin and len(head) < LONG:
            return 0, b"", True
    taken = bytes(data[begin : begin + room])
    if begin + len(taken) == len(data):
        return begin, taken, False
    whole = taken.rfind(b"\n") + 1
    if whole or room < LONG:
        taken = taken[:whole]
    return begin, taken, data[-1] != ord(b"\n")


def _end(run: tuple[str, int, bytearray]) -> int:
    return run[1] + len(run[2])
