"""Processes of a daemon, as the system sees them from outside."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support import Circusd, wait_until


class Seen:
    """A process, as the system sees it."""

    def __init__(self, pid: int) -> None:
        self.folder = Path(f"/proc/{pid}")

    @property
    def argv(self) -> list[str]:
        return (self.folder / "cmdline").read_text().split("\0")[:-1]

    @property
    def env(self) -> dict[str, str]:
        # It always has the mark, but cannot be read while the program takes the place of what started it.
        pairs = wait_until((self.folder / "environ").read_text, "it has an environment").split("\0")[:-1]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def cwd(self) -> str:
        return os.readlink(self.folder / "cwd")

    @property
    def program(self) -> str:
        return os.readlink(self.folder / "exe")

    def descriptor(self, number: int) -> str:
        return os.readlink(self.folder / "fd" / str(number))

    def status(self, key: str) -> list[str]:
        lines = (self.folder / "status").read_text().splitlines()
        return next(line.split()[1:] for line in lines if line.startswith(f"{key}:"))

    def limit(self, name: str) -> tuple[str, str]:
        """Soft and hard limit."""
        lines = (self.folder / "limits").read_text().splitlines()
        soft, hard = next(line.removeprefix(f"Max {name}").split()[:2] for line in lines if f"Max {name}" in line)
        return soft, hard


def resident(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def open_descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def is_ignoring(pid: int, signum: int) -> bool:
    """Return whether a process ignores a signal."""
    return bool(int(Seen(pid).status("SigIgn")[0], 16) >> (signum - 1) & 1)


def deaf(circusd: Circusd, name: str) -> list[int]:
    """Return the PIDs of a watcher's processes once all of them ignore SIGTERM: a trap takes a moment to be set."""
    pids = circusd.pids(name)
    wait_until(lambda: all(is_ignoring(pid, signal.SIGTERM) for pid in pids), f"{name} ignores SIGTERM")
    return pids


def look(circusd: Circusd, name: str, comm: str = "sleep") -> Seen:
    """Return the only process of a watcher, once it runs its program."""
    (pid,) = circusd.pids(name)
    seen = Seen(pid)
    wait_until(lambda: (seen.folder / "comm").read_text() == f"{comm}\n", f"{name} runs {comm}")
    return seen


def output_of(start: Callable[[int], int]) -> str:
    """Return all that a process writes to the descriptor that ``start`` is called with, once it has ended well.

    ``start`` returns its pid.
    """
    reading, writing = os.pipe()
    try:
        pid = start(writing)
    finally:
        os.close(writing)
        if sys.exc_info()[0]:
            os.close(reading)
    with open(reading, encoding="utf-8") as file:
        output = file.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, output
    return output
