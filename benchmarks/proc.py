"""Processes as /proc shows them, and their end."""

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.errors import Failed

PR_SET_CHILD_SUBREAPER = 36
CLEANUP_DEADLINE = 20.0  # seconds


def become_subreaper() -> None:
    """Let orphans of a supervisor become our children, so that cleaning up finds them whatever session they are in."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(ancestor: int) -> list[int]:
    """PIDs below a process, parents before their children, zombies included."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold anything; the parent is the second field behind it.
                fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry))
    found = list(children.get(ancestor, ()))
    for pid in found:  # grows while it is walked
        found.extend(children.get(pid, ()))
    return found


def end_descendants() -> None:
    """SIGKILL and reap everything below this process. Signals wait until it is done."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        deadline = time.monotonic() + CLEANUP_DEADLINE
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _reap()
            time.sleep(0.005)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


class Watch:
    """The end of a set of processes, seen through pidfds: that costs nothing until it happens."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pidfds: list[int] = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self._pidfds.append(os.pidfd_open(pid))

    def wait(self, timeout: float) -> None:
        """Return when all have ended; raises Failed after timeout seconds."""
        deadline = time.monotonic() + timeout
        # One after the other: the last answer comes when the last process is gone, with the fewest wake-ups of ours.
        for position, pidfd in enumerate(self._pidfds):
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise Failed(f"{len(self._pidfds) - position} processes have not ended within {timeout:g} s")

    def close(self) -> None:
        """Close the descriptors."""
        for pidfd in self._pidfds:
            os.close(pidfd)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Time on a CPU of all threads of these processes, in seconds, to the nanosecond (stat counts in 10 ms ticks)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                total += int((thread / "schedstat").read_bytes().split()[0])
    return total / 1e9


def memory_mib(pids: Iterable[int]) -> tuple[float, float]:
    """Summed PSS and RSS of these processes, in MiB."""
    pss = rss = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                key, *rest = line.split()
                if key == "Pss:":
                    pss += int(rest[0])
                elif key == "Rss:":
                    rss += int(rest[0])
    return pss / 1024, rss / 1024
