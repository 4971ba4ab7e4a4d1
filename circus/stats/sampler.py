"""Looks at groups of processes, and keeps as many of their files open as there may be."""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
from collections.abc import Iterable
from typing import Final

from circus.stats.sampling import FILES, Sampled

log = logging.getLogger(__name__)

_SHARE: Final = 0.5
"""Share of all descriptors that files of processes may take: where none is left for a subscriber, libzmq aborts."""

_STEP: Final = 32
"""Processes whose files are closed where descriptors are short."""

Processes = dict[int, Sampled | None]
"""What is known of each process of a group by its PID; None before the first look."""


class Sampler:
    """Looks at processes."""

    def __init__(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        self._most = int(soft * _SHARE) // FILES if soft != resource.RLIM_INFINITY else 1 << 20
        self._open: set[Sampled] = set()

    def look(self, processes: Processes, name: str | None, pids: Iterable[int], mono: float) -> list[Sampled]:
        """Look at ``pids`` of a group, at ``mono`` (monotonic seconds); return those that are still there.

        ``name`` is what is published with them.
        """
        looked_at = []
        for pid in pids:
            try:
                sampled = processes[pid] or self._first(processes, name, pid)
                sampled.look(mono)
            except ProcessLookupError:
                self.close(processes, pid)
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    self._give_way(error)
            else:
                looked_at.append(sampled)
        return looked_at

    def close(self, processes: Processes, pid: int) -> None:
        """Keep nothing of a process open, nor in mind; it stays in its group."""
        sampled = processes.get(pid)
        if sampled is not None:
            self._open.discard(sampled)
            sampled.close()
            processes[pid] = None

    def _first(self, processes: Processes, name: str | None, pid: int) -> Sampled:
        keep_open = len(self._open) < self._most
        sampled = processes[pid] = Sampled(pid, name, keep_open=keep_open)
        if keep_open:
            self._open.add(sampled)
        return sampled

    def _give_way(self, error: OSError) -> None:
        """Something else needs the descriptors, as each subscriber does: keep fewer files open from now on."""
        for _ in range(min(_STEP, len(self._open))):
            self._open.pop().close()
        if len(self._open) < self._most:
            log.warning("%s: the files of %d processes stay open, no more", error.strerror, len(self._open))
        self._most = len(self._open)
