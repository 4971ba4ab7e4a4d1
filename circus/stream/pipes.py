"""The pipes from processes, and what is kept of their output."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from circus.stream.base import Source

if TYPE_CHECKING:
    from circus.stream.kept import Output
    from circus.stream.making import Sink

CAPACITY: Final = 64 << 10
"""Bytes that a pipe holds unless it is asked for more (pipe(7))."""
_ENLARGED: Final = 1 << 20
"""What an unprivileged user may ask for by default (/proc/sys/fs/pipe-max-size)."""
_DRAINED: Final = 1 << 20
"""Bytes that are taken in at once when a process has ended; whatever holds its pipe still may write without end."""


@dataclass(slots=True, eq=False)
class Pipe:
    """The end from which output is read. ``writer`` is the other one, until the process has it."""

    process: Captured
    name: str
    sink: Sink
    descriptor: int
    writer: int
    rest: bytes = b""
    """The beginning of a line whose end has not come yet."""
    ahead: list[bytes] = field(default_factory=list)
    """What the loop's thread has read and the pump has not written yet."""
    enlarged: bool = False

    @property
    def source(self) -> Source:
        """Whose output this is."""
        process = self.process
        return Source(process.watcher, process.wid, process.output.pid if process.output else 0, self.name)

    @property
    def alone(self) -> bool:
        """Whether pieces of its lines may be handed over: no other line can come between."""
        return self.sink.stream.takes_pieces and self.sink.pipes == 1

    def take(self, data: bytes | memoryview) -> None:
        """Keep what was read."""
        if self.process.output is not None:
            self.process.output.take(self.name, data)

    def drain(self) -> None:
        """Read what is there, for the pump to write. The lock of the process is held."""
        taken = 0
        while taken < _DRAINED:
            try:
                data = os.read(self.descriptor, CAPACITY)
            except BlockingIOError:
                return
            if not data:
                return
            self.ahead.append(data)
            self.take(data)
            taken += len(data)

    def enlarge(self) -> bool:
        """Ask for a larger pipe, so that a fast writer need not wait so often; not everybody may have so many."""
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.descriptor, fcntl.F_SETPIPE_SZ, _ENLARGED)
            self.enlarged = True
        return self.enlarged

    def close(self) -> None:
        """Let go of both ends."""
        os.close(self.descriptor)
        self.close_writer()

    def close_writer(self) -> None:
        """Let go of the end that the process has as well."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1


class Captured:
    """A process whose output is read. ``lock`` guards reading, so that bytes are kept in the order of their pipe."""

    __slots__ = ("disowned", "lock", "output", "pipes", "watcher", "wid")

    def __init__(self, watcher: str, wid: int) -> None:
        self.watcher = watcher
        self.wid = wid
        self.output: Output | None = None
        """What is kept of it, once it runs."""
        self.disowned = False
        """Whether its watcher is gone."""
        self.pipes: list[Pipe] = []
        """Those that have not come to their end."""
        self.lock = threading.Lock()

    def add(self, name: str, sink: Sink) -> Pipe:
        """Make a pipe for ``stdout`` or ``stderr``. Raise ``OSError``."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        pipe = Pipe(self, name, sink, reader, writer)
        self.pipes.append(pipe)
        return pipe

    def pipe(self, name: str) -> Pipe | None:
        """Return the pipe of ``stdout`` or ``stderr``, unless it has come to its end."""
        with self.lock:
            return next((pipe for pipe in self.pipes if pipe.name == name), None)

    def end(self, pipe: Pipe) -> None:
        """Let go of a pipe: nothing more comes out of it."""
        with self.lock:
            self.pipes.remove(pipe)
            pipe.close()
        if self.output is not None:
            self.output.end(pipe.name)

    def drain(self) -> list[Pipe]:
        """Take in what is in the pipes now. Return those that the pump then has something ahead from."""
        with self.lock:
            for pipe in self.pipes:
                pipe.drain()
            return [pipe for pipe in self.pipes if pipe.ahead]
