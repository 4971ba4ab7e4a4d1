"""The children of processes, for those who want to see them: a look at every process of the machine finds them."""

from __future__ import annotations

import os
from collections.abc import Container

from circus.stats.sampling import Sampled, read_stat


class Families:
    """Knows the children of some processes, which are looked at as their parents are."""

    def __init__(self) -> None:
        self._children: dict[int, list[int]] = {}
        self._known: dict[int, Sampled] = {}

    def find(self, parents: Container[int]) -> None:
        """Find the children of ``parents``, none of which is a child of another one."""
        self._children = {}
        found = set()
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            if pid not in parents:
                parent = _parent(pid)
                if parent in parents:
                    self._children.setdefault(parent, []).append(pid)
                    found.add(pid)
        self._known = {pid: sampled for pid, sampled in self._known.items() if pid in found}

    def of(self, parent: int, mono: float, now: float) -> list[bytes]:
        """Look at the children of a process; return JSON of each that is still there."""
        children = []
        for pid in self._children.get(parent, ()):
            try:
                sampled = self._known.get(pid) or Sampled(pid, keep_open=False)
                sampled.look(mono)
            except OSError:  # it is gone, or no descriptor is left to see it
                self._known.pop(pid, None)
            else:
                self._known[pid] = sampled
                children.append(sampled.as_child(now))
        return children

    def rest(self) -> None:
        """Keep nothing in mind while nobody listens."""
        self._children, self._known = {}, {}


def _parent(pid: int) -> int:
    """The parent of a process; 0 if that is not known any more."""
    try:
        line = read_stat(pid)
    except OSError:
        return 0
    # Behind the name in brackets, which may hold anything: the state and the parent.
    return int(line[line.rindex(b")") + 4 :].split(None, 1)[0])
