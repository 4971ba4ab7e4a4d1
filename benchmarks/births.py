"""Births of workers: each writes its PID and the time into a FIFO as the first thing that it does.

The time is taken by the worker itself, so it does not matter when, or how often, we look.
"""

import contextlib
import fcntl
import os
import select
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.errors import Failed

RECORD = struct.Struct("=qq")
PIPE_SIZE = 1 << 20  # bytes; 65,536 births may wait for us
LOOK = 1.0  # seconds between two looks whether anybody is left to wait for
NAP = 0.005  # seconds between two looks while many births are awaited


class Birth(NamedTuple):
    """One worker that runs: its PID, and CLOCK_MONOTONIC in nanoseconds when it began to."""

    pid: int
    ns: int


class Births:
    """The reading end of the FIFO."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        # With a writer of our own the FIFO does not report "hung up" for as long as no worker has it open.
        self._writer = os.open(path, os.O_WRONLY)
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, PIPE_SIZE)

    def take(self) -> list[Birth]:
        """All births since the last look."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._reader, RECORD.size * 4096):
                data += chunk
        return [Birth(*record) for record in RECORD.iter_unpack(data)]

    def wait(self, count: int, timeout: float, ended: Callable[[], bool] = lambda: False) -> list[Birth]:
        """The next births, at least count of them; raises Failed after timeout seconds, or when ended says yes."""
        deadline = time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        births = self.take()
        while len(births) < count:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or ended():
                raise Failed(f"only {len(births)} of {count} workers came up in {timeout - remaining:.1f} s")
            poll.poll(min(remaining, LOOK) * 1000)
            if count - len(births) > 1:
                time.sleep(NAP)
            births += self.take()
        return births

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reader)
        os.close(self._writer)
