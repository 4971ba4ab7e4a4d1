"""What is kept in memory of the output of all processes, for ``logs``, for ``explain`` and for who follows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from circus.events import topic_name
from circus.stream.ring import Line, Ring

if TYPE_CHECKING:
    from circus.stream.live import Live

REPLY_SIZE: Final = 1 << 20
"""Bytes of output in one reply; the processes share them."""
REPLY_LINES: Final = 5_000
"""Lines in one reply."""
LEAST_SIZE, LEAST_LINES = 256, 10
"""What each process has of a reply, however many they are."""
LAST_LINES, LAST_SIZE = 20, 4 << 10
"""What is told of a process that has failed."""
DEAD_SIZE: Final = 16 << 20
"""Bytes that are kept of all dead processes together."""
WEIGHED_EACH = 64
"""Deaths between two looks at how much that is: when many die at once, it costs each of them little."""


class Output:
    """What one process has written, alive or dead."""

    def __init__(self, watcher: str, wid: int, pid: int, live: Live) -> None:
        self.watcher = watcher
        self.wid = wid
        self.pid = pid
        self.started = time.time()
        self.alive = True
        self._live = live
        self._ring = Ring()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._ring.kept

    def take(self, stream: str, data: bytes | memoryview) -> None:
        """Keep what was read from a pipe, and pass it to whoever follows. Any thread may call this."""
        with self._lock:
            # First into the ring: who begins to follow now finds it either there or among what follows.
            offset = self._ring.offset
            self._ring.append(stream, data)
            if self._live.wanted:
                self._live.feed(self, stream, offset, data)

    def end(self, stream: str) -> None:
        """Take note that nothing more comes from that pipe. Any thread may call this."""
        with self._lock:
            if self._live.wanted:
                self._live.end(self, stream, self._ring.offset)

    def last_words(self) -> list[str]:
        """Return the last lines, without their newlines, as they are told of a process that has failed."""
        with self._lock:
            return [_text(line) for line in self._ring.last(LAST_LINES, LAST_SIZE)]

    def tell(self, lines: int, size: int, only: str, pieces: bool) -> dict[str, Any]:
        """Return what ``logs`` replies of this process: its last lines, or the pieces of them as they came."""
        with self._lock:
            found = self._ring.last(lines, size, only)
            offset = self._ring.offset
        told: dict[str, Any] = {
            "watcher": self.watcher,
            "wid": self.wid,
            "pid": self.pid,
            "started": self.started,
            "alive": self.alive,
            "offset": offset,
        }
        if pieces:
            told["pieces"] = _pieces(found)
        else:
            told["lines"] = [_shown(line) for line in found]
        return told


class Kept:
    """The output of every process that lives, and of the last one of each slot that is dead. One thread owns this."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._alive: dict[int, Output] = {}
        self._dead: dict[tuple[str, int], Output] = {}
        self._deaths = 0

    def begin(self, watcher: str, wid: int, pid: int) -> Output:
        """Return where the output of a new process is to be taken."""
        self._alive[pid] = output = Output(watcher, wid, pid, self._live)
        return output

    def died(self, pid: int) -> Output | None:
        """Take note that a process is dead, and return what was kept of it; None if its output is not captured."""
        output = self._alive.pop(pid, None)
        if output is not None:
            output.alive = False
            slot = (topic_name(output.watcher), output.wid)
            self._dead.pop(slot, None)
            self._dead[slot] = output  # as the newest
            self._deaths += 1
            if self._deaths % WEIGHED_EACH == 0:
                self._weigh()
        return output

    def _weigh(self) -> None:
        excess = sum(other.size for other in self._dead.values()) - DEAD_SIZE
        while excess > 0:
            excess -= self._dead.pop(next(iter(self._dead))).size

    def forget(self, watcher: str) -> None:
        """Drop what the dead processes of a watcher, named as configured or as in topics, have left."""
        for slot in [slot for slot in self._dead if slot[0] == topic_name(watcher)]:
            del self._dead[slot]

    def tell(self, watchers: Sequence[str], lines: int, only: str, *, pieces: bool) -> list[dict[str, Any]]:
        """Return what ``logs`` replies of the processes of these watchers, of each slot the dead one first."""
        chosen = list(self._of(watchers))
        lines = min(lines, max(REPLY_LINES // max(len(chosen), 1), LEAST_LINES))
        size = max(REPLY_SIZE // max(len(chosen), 1), LEAST_SIZE)
        return [output.tell(lines, size, only, pieces) for output in chosen]

    def _of(self, watchers: Sequence[str]) -> Iterator[Output]:
        places = {name.lower(): place for place, name in enumerate(watchers)}
        every = [*self._dead.values(), *self._alive.values()]
        known = [output for output in every if output.watcher.lower() in places]
        yield from sorted(known, key=lambda output: (places[output.watcher.lower()], output.wid, output.started))


def _text(line: Line) -> str:
    return line.data.removesuffix(b"\n").decode("utf-8", "surrogateescape")


def _shown(line: Line) -> dict[str, Any]:
    whole = line.data.endswith(b"\n")
    return {"stream": line.stream, "text": _text(line)} | ({} if whole else {"partial": True})


def _pieces(lines: list[Line]) -> list[dict[str, Any]]:
    """Return the pieces of lines in the order in which they came; what follows upon another is one."""
    runs: list[tuple[str, int, bytearray]] = []
    for piece in sorted((piece for line in lines for piece in line.pieces), key=lambda piece: piece.offset):
        if runs and runs[-1][0] == piece.stream and runs[-1][1] + len(runs[-1][2]) == piece.offset:
            runs[-1][2].extend(piece.data)
        else:
            runs.append((piece.stream, piece.offset, bytearray(piece.data)))
    return [
        {"stream": stream, "offset": offset, "data": run.decode("utf-8", "surrogateescape")}
        for stream, offset, run in runs
    ]
