"""Finds what dead processes left behind.

circusd is the subreaper of everything below it: when a process dies, those that it started become circusd's own
children. So whoever is a child of circusd without having been spawned by it is an orphan, and one look at the list of
children finds all of them. Each carries the mark of the process it came from in its environment; one that cleared its
environment is known by its session, or because it was seen among the descendants when the stop began.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from circus.config.helpers import helpers
from circus.kernel import tree
from circus.kernel.strangers import Strangers

if TYPE_CHECKING:
    import asyncio

    from circus.kernel.process import Process
    from circus.kernel.reaper import Reaper
    from circus.kernel.runqueue import RunQueue
    from circus.kernel.watcher import Watcher

_MARK: Final = re.compile(r"[0-9a-f]+(\.[0-9]{1,18}){3}")

LOOK_AGAIN: Final = 0.01
"""Seconds until an orphan whose environment cannot be read yet, as it is between two programs, is looked at again."""


LOOK_AFTER_CRASH: Final = 0.02
"""Seconds between a crash and the look for what it left behind."""


class Orphans:
    """Assigns orphans to the watchers that they come from. An actor: it looks when a child has died."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: RunQueue, boot: str) -> None:
        self._loop = loop
        self.queued = False
        self.reaper: Reaper
        self._queue = queue
        self._boot = boot
        self._serial = 0
        self._watchers: dict[int, Watcher] = {}
        self._given_away: set[int] = set()
        self._unswept: set[int] = set()
        self._look_is_due = False
        self._live: dict[str, int] = {}
        self._sessions: dict[int, str] = {}
        self._ended: dict[int, str] = {}
        self._kin: dict[int, tuple[float, str]] = {}
        self._adopted: dict[int, str] = {}
        self.strangers = Strangers()

    def register(self, watcher: Watcher) -> None:
        """Let a watcher hear of its orphans."""
        self._watchers[watcher.ident] = watcher

    def forget(self, watcher: Watcher) -> None:
        """Leave what comes from this watcher alone from now on."""
        self._watchers.pop(watcher.ident, None)
        self._given_away.add(watcher.ident)
        self._unswept.discard(watcher.ident)
        self._live = {mark: pid for mark, pid in self._live.items() if _watcher_ident(mark) != watcher.ident}
        self._sessions = {pid: mark for pid, mark in self._sessions.items() if mark in self._live}
        watcher.remains.forget()

    def new_mark(self, watcher: Watcher, wid: int) -> str:
        """Return a mark that no other process ever has. It stands in the environment, so descendants inherit it."""
        self._serial += 1
        return f"{self._boot}.{watcher.ident}.{wid}.{self._serial}"

    def born(self, process: Process) -> None:
        """Note a process that lives."""
        self._live[process.mark] = process.pid
        self._sessions[process.pid] = process.mark

    def died(self, watcher: Watcher, process: Process) -> None:
        """Note a process that was reaped; its watcher hears soon what it left behind.

        Where somebody waits for its end the look is taken at once, after a crash a moment later: a look at a thousand
        children takes longer than a replacement, and one look serves all that crash together.
        """
        self._live.pop(process.mark, None)
        self._sessions.pop(process.pid, None)
        self._ended[process.pid] = process.mark
        for pid, started in process.kin.items():
            self._kin[pid] = (started, process.mark)
        self._unswept.add(watcher.ident)
        if process.reason:
            self._queue.wake(self)
        elif not self._look_is_due:
            self._look_is_due = True
            self._loop.call_later(LOOK_AFTER_CRASH, self._queue.wake, self)

    def stranger_died(self, pid: int, exit_code: int) -> None:
        """Note that a child which nobody spawned was reaped. It may have left others in turn."""
        self.strangers.died(pid)
        mark = self._adopted.pop(pid, None)
        if mark is None:
            return
        watcher = self._watchers.get(_watcher_ident(mark))
        if watcher is not None:
            watcher.remains.died(pid)
            self._unswept.add(watcher.ident)
        self._queue.wake(self)

    def of(self, mark: str) -> list[int]:
        """Return the orphans of a process that may itself still be alive: those that left their parents."""
        return [pid for pid in self._orphan_pids() if self._identify(pid) == mark]

    def turn(self, until: float) -> None:
        """Look once, and tell each watcher that has lost a process what is left of it."""
        self._look_is_due = False
        found: dict[int, dict[str, set[int]]] = {}
        unclear = False
        for pid in self._orphan_pids():
            mark = self._identify(pid)
            if mark is None and (helpers.may_have(pid) or self.strangers.is_starting(pid)):
                unclear = True
            elif mark and _watcher_ident(mark) in self._given_away:
                self.strangers.spare(pid)
            elif mark is None or _watcher_ident(mark) not in self._watchers:
                self.strangers.add(pid)
            elif mark not in self._live:
                found.setdefault(_watcher_ident(mark), {}).setdefault(mark, set()).add(pid)
        unswept = self._unswept | found.keys()
        # Of a process between two programs, or just ending, nobody can tell whose it is: it may be anybody's last.
        self._unswept = unswept - found.keys() if unclear else set()
        for ident in unswept - self._unswept:
            watcher = self._watchers.get(ident)
            if watcher is not None and watcher.remains.found(found.get(ident, {})):
                self._queue.wake(watcher)
        if unclear:
            self._loop.call_later(LOOK_AGAIN, self._queue.wake, self)
        else:
            self._forget_ended({mark for marks in found.values() for mark in marks})

    def _orphan_pids(self) -> list[int]:
        others = tree.own_children(self.reaper.watched)
        return [pid for pid in others if pid not in self.strangers and pid not in helpers.pids]

    def _identify(self, pid: int) -> str | None:
        mark = self._adopted.get(pid) or self._read_mark(pid)
        if mark is not None:
            self._adopted[pid] = mark
        return mark

    def _read_mark(self, pid: int) -> str | None:
        for mark in tree.marks_of(pid).split(","):
            # A program may write anything there.
            if mark.startswith(self._boot + ".") and _MARK.fullmatch(mark):
                return mark
        session = tree.session_of(pid) or 0
        if session in self._sessions or session in self._ended:
            return self._sessions.get(session) or self._ended[session]
        started, mark = self._kin.get(pid, (0.0, ""))
        return mark if mark and tree.start_time(pid) == started else None

    def _forget_ended(self, remaining: set[str]) -> None:
        """Drop what was kept to recognise the orphans of processes that left none."""
        kept = remaining.union(self._adopted.values())
        self._ended = {pid: mark for pid, mark in self._ended.items() if mark in kept}
        self._kin = {pid: entry for pid, entry in self._kin.items() if entry[1] in kept}


def _watcher_ident(mark: str) -> int:
    return int(mark.split(".")[1])


def wid_of(mark: str) -> int:
    """Return the slot that a mark names."""
    return int(mark.split(".")[2])
