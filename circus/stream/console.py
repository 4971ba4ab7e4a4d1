"""circusd's standard output as the place where output goes: as it is, or in colour."""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import stat
import threading
from functools import cache
from typing import Final

from circus.stream.base import HELD_BACK, Patience, Source, Stream, timestamp
from circus.stream.registration import COLORS

_RESET: Final = b"\x1b[0m\n"

_SLOW: Final = "the reader of circusd's standard output is slow"


class Console:
    """A descriptor that streams share, and whose reader is never waited for.

    circusd's children may have its standard output too, so that it must not become non-blocking: a pipe or a terminal
    is opened once more for that, and a socket is asked each time.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._held = bytearray()
        self._patience = Patience()
        self._unfinished: Source | None = None
        self._opened: tuple[int, int, int] | None = None
        self._own: int | None = None
        self._socket: socket.socket | None = None
        self._polled = False

    def open(self) -> None:
        """Look at what the descriptor is now. It may be closed; then writing fails."""
        with self._lock:
            try:
                status = os.fstat(self._descriptor)
            except OSError:
                status = None
            identity = status and (status.st_dev, status.st_ino, status.st_rdev)
            if identity != self._opened:
                self._close()
                self._opened = identity
                if status:
                    self._prepare(status)

    def write(self, whose: Source, data: bytes) -> bytes:
        """Write whole lines, or hold them back. Return those that are dropped. Raise ``OSError`` if all are lost.

        What has no end at the end of a process gets one before somebody else's line.
        """
        with self._lock:
            self._push()
            if self._unfinished not in (None, whose):
                data = b"\n" + data
            self._unfinished = None if data.endswith(b"\n") else whose
            sent = 0 if self._held else self._send(memoryview(data))
            if sent == len(data):
                return b""
            kept = _kept(data, sent, HELD_BACK - len(self._held))
            self._held += data[sent:kept]
            return data[kept:]

    def flush(self) -> float:
        """Write what is held back, as far as its reader takes it.

        Return the seconds until that is to be tried again; 0 if all is written.
        """
        with self._lock:
            try:
                sent = self._push()
            except OSError:
                return 0.0  # the next write fails too, and says so
            return self._patience.after(sent, len(self._held))

    def _push(self) -> int:
        """Write what is held back, and return how many bytes are taken. If nobody can read it any more, it is lost."""
        if not self._held:
            return 0
        try:
            sent = self._send(memoryview(self._held))
        except OSError:
            self._held = bytearray()
            raise
        del self._held[:sent]
        return sent

    def _prepare(self, status: os.stat_result) -> None:
        if stat.S_ISSOCK(status.st_mode):
            self._socket = socket.socket(fileno=os.dup(self._descriptor))
        elif stat.S_ISFIFO(status.st_mode) or os.isatty(self._descriptor):
            try:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._own = os.open(f"/proc/self/fd/{self._descriptor}", flags)
            except OSError:
                # That of another user, or there is no reader any more.
                self._polled = True

    def close(self) -> None:
        """Let go of what was opened beside the descriptor."""
        with self._lock:
            self._opened = None
            self._close()

    def _close(self) -> None:
        if self._own is not None:
            os.close(self._own)
        if self._socket is not None:
            self._socket.close()
        self._own = self._socket = None
        self._polled = False

    def _send(self, data: memoryview) -> int:
        """Write what is taken at once, and return how many bytes that were."""
        sent = 0
        while sent < len(data):
            try:
                sent += self._send_some(data[sent:])
            except BlockingIOError:
                break
        return sent

    def _send_some(self, data: memoryview) -> int:
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        if self._own is not None:
            return os.write(self._own, data)
        if self._polled:
            # A pipe that is writable takes as much without blocking.
            data = data[: select.PIPE_BUF]
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            if not poll.poll(0):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.write(self._descriptor, data)


def _kept(data: bytes, sent: int, room: int) -> int:
    """Up to where ``data`` is kept: whole lines that fit in, and the rest of one that is written in part."""
    if len(data) - sent <= room:
        return len(data)
    kept = data.rfind(b"\n", sent, sent + max(room, 0)) + 1
    if kept == 0 and sent > 0 and data[sent - 1 : sent] != b"\n":
        kept = data.find(b"\n", sent) + 1 or len(data)
    return max(kept, sent)


@cache
def _standard_output() -> Console:
    """The one of all streams, so that lines stay whole."""
    return Console(1)


class StdoutStream(Stream):
    """Write lines to circusd's standard output, as they are.

    Nothing waits for whoever reads it: up to 1 MiB is held back for a slow reader, then lines are dropped, which is
    counted and published as ``log_dropped``.
    """

    def __init__(self, *, console: Console | None = None) -> None:
        self._console = console or _standard_output()

    def open(self) -> None:
        """Look at what standard output is now."""
        self._console.open()

    def write(self, source: Source, data: bytes | memoryview) -> None:
        """Write lines, or hold them back."""
        dropped = self._console.write(source, self._shaped(source, bytes(data)))
        if dropped:
            self.lose(source, dropped, _SLOW)

    def flush(self) -> float:
        """Write what is held back."""
        return self._console.flush()

    def close(self) -> None:
        """Write what is held back, as far as it is taken."""
        self._console.flush()

    def _shaped(self, source: Source, data: bytes) -> bytes:
        return data


class FancyStdoutStream(StdoutStream):
    """Write lines to circusd's standard output in colour, each with the time and the process id before it.

    A colour that is not known is a random one.
    """

    def __init__(self, color: str = "", time_format: str = "", *, console: Console | None = None) -> None:
        super().__init__(console=console)
        number = COLORS.get(color or "") or random.choice(list(COLORS.values()))
        self._color = b"\x1b[0;3%d;40m" % number
        self._time_format = time_format or "%Y-%m-%d %H:%M:%S"

    def _shaped(self, source: Source, data: bytes) -> bytes:
        before = b"%b%b [%d] | " % (self._color, timestamp(self._time_format), source.pid)
        return before + data.removesuffix(b"\n").replace(b"\n", _RESET + before) + _RESET
