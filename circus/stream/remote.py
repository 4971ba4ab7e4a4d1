"""Streams of classes that circusd does not know: it passes on what it reads, and a process of its own calls them.

Each stream has a line to that process, see :mod:`circus.stream.wire`. circusd keeps both ends of it, so that it
outlives the process: the next one goes on with what is unread. What it raises comes back by the same line.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from circus.stream import wire
from circus.stream.base import Source, Stream

if TYPE_CHECKING:
    from circus.stream.custom import Custom
    from circus.stream.handover import Channel, Remote

MOST: Final = 1 << 20
"""Bytes that are held back for one stream beside those in its socket; what comes when it is full is dropped."""

TOO_SLOW: Final = "the stream does not take it as fast as it comes"

_PER_TURN: Final = 64


class Line:
    """The way to one stream. :meth:`send` and :meth:`leave` may be called from any thread."""

    def __init__(self, remote: Remote, custom: Custom) -> None:
        self.custom = custom
        self.name = os.urandom(8).hex()
        self.owner: Channel | None = None
        """The process that reads from it."""
        self.ours, self.theirs = wire.pair()
        self._remote = remote
        self._users = self._closings = 0
        self._held: deque[bytes] = deque()
        self._size = 0
        self._waiting = False
        self._lock = threading.Lock()
        remote.loop.add_reader(self.ours, self._hear)

    def take(self) -> None:
        """Count a user, and have the stream opened for the first one."""
        with self._lock:
            self._users += 1
        self.send([wire.encode({"do": "open"})], always=True)

    def leave(self) -> None:
        """Have the stream closed, after all that was sent before, when its last user leaves."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self._closings += 1
            number = self._closings
        self.send([wire.encode({"do": "close", "number": number})], always=True)

    def close_again(self) -> None:
        """Have it closed once more if it has no user: the process that was to do so may have ended before it could."""
        with self._lock:
            number = 0 if self._users else self._closings
        if number:
            self.send([wire.encode({"do": "close", "number": number})], always=True)

    def send(self, messages: Sequence[bytes], *, always: bool = False) -> bool:
        """Send all of some messages, soon if not now; return False, with none sent, if too much is held back."""
        with self._lock:
            size = sum(map(len, messages))
            if self._held and self._size + size > MOST and not always:
                return False
            self._held.extend(messages)
            self._size += size
            self._pass_on()
            if self._held and not self._waiting:
                self._waiting = True
                self._remote.loop.call_soon_threadsafe(self._wait)
            return True

    def hang_up(self) -> None:
        """Let go of both ends."""
        self._remote.loop.remove_reader(self.ours)
        self._remote.loop.remove_writer(self.ours)
        self._waiting = True  # nobody waits any more
        self.ours.close()
        self.theirs.close()

    def _pass_on(self) -> None:
        while self._held:
            try:
                self.ours.send(self._held[0])
            except OSError:  # there is no room
                return
            self._size -= len(self._held.popleft())

    def _wait(self) -> None:
        if self.ours.fileno() >= 0:
            self._remote.loop.add_writer(self.ours, self._on_room)

    def _on_room(self) -> None:
        with self._lock:
            self._pass_on()
            if not self._held:
                self._waiting = False
                self._remote.loop.remove_writer(self.ours)

    def _hear(self) -> None:
        for _ in range(_PER_TURN):
            try:
                message = self.ours.recv(wire.MESSAGE)
            except (BlockingIOError, ConnectionError):
                return
            # The code that runs over there has the other end in its hands, and may say anything.
            with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError):
                said = wire.decode(message).header
                if "error" in said:
                    self._report(said)
                elif said["closed"] == self._closings and not self._users:
                    self._remote.forget(self)
                    return

    def _report(self, said: wire.Json) -> None:
        report, watcher, name = self._remote.report, self.custom.watcher, self.custom.name
        for wid, stream, size, lines, reason in said["lost"]:
            report(
                watcher,
                "log_dropped",
                {"stream": stream, "wid": wid, "bytes": int(size), "lines": int(lines), "reason": reason},
            )
        if said["count"]:
            error = {"class": self.custom.options["class"], "error": said["error"], "count": int(said["count"])}
            report(watcher, "log_failed", {"stream": name, **error})


class RemoteStream(Stream):
    """A stream that another process runs."""

    def __init__(self, remote: Remote, custom: Custom) -> None:
        self._remote = remote
        self._custom = custom
        self._line: Line | None = None

    def open(self) -> None:
        """Have it made."""
        if self._line is None:
            self._line = self._remote.connect(self._custom)

    def write(self, source: Source, data: bytes | memoryview) -> None:
        """Send output; what finds no room is dropped by whole lines."""
        if self._line is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        header = {"pid": source.pid, "wid": source.wid, "name": source.name, "time": time.time()}
        unit: list[wire.Piece] = []
        for piece in wire.pieces(bytes(data)):
            unit.append(piece)
            if piece.more:
                continue
            messages = [wire.encode({**header, "part": part.number, "more": part.more}, part.data) for part in unit]
            if not self._line.send(messages):
                self.lose(source, b"".join(part.data for part in unit), TOO_SLOW)
            unit.clear()

    def reopen(self) -> None:
        """Have its files opened anew, if it has such."""
        if self._line is not None:
            self._line.send([wire.encode({"do": "reopen"})], always=True)

    def close(self) -> None:
        """Have it closed, after all that was written."""
        if self._line is not None:
            self._line.leave()
            self._line = None
