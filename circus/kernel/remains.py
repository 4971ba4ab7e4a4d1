"""What processes of one watcher left behind when they died, and its end: stop signal, deadline, SIGKILL."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Final

from circus.kernel import tree, waiting
from circus.kernel.orphans import wid_of
from circus.launch.syscalls import kill_all

if TYPE_CHECKING:
    from circus.kernel.process import Process
    from circus.kernel.watcher import Watcher

log = logging.getLogger("circus")

REPEAT: Final = 1.0
"""Seconds between two SIGKILLs to a tree that is still there."""

UNKILLABLE_AFTER: Final = 5
"""SIGKILLs after which survivors are reported."""


class Remnant:
    """The orphans of one dead process."""

    __slots__ = ("blocking", "deadline", "kills", "mark", "pids", "wid")

    def __init__(self, mark: str, deadline: float, *, blocking: bool) -> None:
        self.mark = mark
        self.wid = wid_of(mark)
        self.pids: set[int] = set()
        self.deadline = deadline
        self.blocking = blocking
        """Whether its slot must stay empty until it is gone: after a commanded end, not after a crash."""
        self.kills = 0

    def signal(self, pids: set[int], signum: int) -> None:
        """Send a signal to these orphans and to all that they started."""
        kill_all(tree.families(pids), signum)


class Remains:
    """All remnants of one watcher."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._ended: dict[str, tuple[float | None, bool]] = {}
        self._remnants: dict[str, Remnant] = {}

    @property
    def occupied(self) -> frozenset[int]:
        """Slots that must stay empty for now."""
        wids = {remnant.wid for remnant in self._remnants.values() if remnant.blocking}
        wids.update(wid_of(mark) for mark, (_, blocking) in self._ended.items() if blocking)
        return frozenset(wids)

    @property
    def anything(self) -> bool:
        """True while something is left, or nobody has looked yet."""
        return bool(self._remnants or self._ended)

    @property
    def pids(self) -> list[int]:
        """PIDs that are left."""
        return sorted(pid for remnant in self._remnants.values() for pid in remnant.pids)

    def expect(self, process: Process) -> None:
        """A process has died: something of it may be left."""
        self._ended[process.mark] = (process.deadline, bool(process.reason))

    def forget(self) -> None:
        """Leave everything alone from now on: nobody tells any more which of the PIDs are still theirs."""
        self._remnants.clear()
        self._ended.clear()

    def died(self, pid: int) -> None:
        """One of the orphans was reaped."""
        for remnant in self._remnants.values():
            remnant.pids.discard(pid)

    def found(self, orphans: dict[str, set[int]]) -> bool:
        """Take in what a look has found: the orphans of this watcher's dead processes, by mark.

        Return whether that may matter to the watcher: there are some, or something waited for this look.
        """
        watcher = self._watcher
        matters = bool(orphans or self._remnants or self.occupied or watcher.intents or not watcher.up)
        for mark, pids in orphans.items():
            remnant = self._remnants.get(mark) or self._new_remnant(mark, pids)
            fresh = pids - remnant.pids
            remnant.pids = pids
            if fresh:
                stop_signal = watcher.settings.stop_signal
                remnant.signal(fresh, signal.SIGKILL if remnant.kills else stop_signal)
        for mark in [mark for mark in self._remnants if mark not in orphans]:
            del self._remnants[mark]
        self._ended.clear()
        return matters

    def _new_remnant(self, mark: str, pids: set[int]) -> Remnant:
        watcher = self._watcher
        deadline, blocking = self._ended.get(mark, (None, not watcher.up))
        if deadline is None:
            deadline = watcher.now() + watcher.settings.graceful_timeout
        remnant = self._remnants[mark] = Remnant(mark, deadline, blocking=blocking)
        watcher.publish("orphan", wid=remnant.wid, pids=sorted(pids))
        if not blocking:
            log.warning(
                "%s: a process ended and left %s behind; they are being ended too (a program that puts itself into "
                "the background must be told to stay in the foreground)",
                watcher.name,
                ", ".join(map(str, sorted(pids))),
            )
        return remnant

    def hurry(self, deadline: float) -> None:
        """Bring every deadline forward to this one."""
        for remnant in self._remnants.values():
            remnant.deadline = min(remnant.deadline, deadline)
        self._ended = {
            mark: (deadline if at is None else min(at, deadline), blocking)
            for mark, (at, blocking) in self._ended.items()
        }

    def expire(self, now: float) -> None:
        """SIGKILL what has passed its deadline."""
        for remnant in self._remnants.values():
            if remnant.deadline > now:
                continue
            remnant.signal(remnant.pids, signal.SIGKILL)
            remnant.kills += 1
            remnant.deadline = now + REPEAT
            if remnant.kills == UNKILLABLE_AFTER:
                waiting.fail_unkillable(self._watcher, sorted(remnant.pids))

    def next_deadline(self) -> float | None:
        """Return when to look again, in monotonic seconds."""
        return min((remnant.deadline for remnant in self._remnants.values()), default=None)
