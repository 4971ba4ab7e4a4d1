"""What a watcher does next. Pure: it compares what is wanted with what is, and returns steps.

The rules, in the order in which they are applied:

* not wanted up: end everything;
* a slot beyond the wanted number: end it;
* restart: end every old process; slots are filled when that rollout is over;
* reload: fill each slot with a new process beside the old one; when all new ones have come up, end the old ones;
* sequential reload: end the old process of one slot at a time, and go on when its replacement has come up;
* max_age: end what has expired;
* fill each empty slot, unless it waits for its next try, the warm-up delay, or the end of what was there before.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from circus.kernel.process import Process, Slot
from circus.kernel.states import LIVE

SPAWN, END = "spawn", "end"
RELOAD, SEQUENTIAL, RESTART, STOP = "reload", "sequential", "restart", "stop"


MOST_STEPS = 64
"""Steps after which a plan ends: a turn hardly takes more, and whoever has taken one compares again."""


class Wanted(NamedTuple):
    """What is wanted of a watcher. Processes of a generation below ``floor`` are to be replaced as ``rollout`` says."""

    up: bool
    number: int
    generation: int
    floor: int
    rollout: str
    respawn: bool
    warmup_delay: float
    expiring: bool


class Step(NamedTuple):
    """One step: spawn a process into a slot, or end a process for a reason."""

    verb: str
    wid: int
    process: Process | None = None
    reason: str = ""


class Plan(NamedTuple):
    """Steps to take now, and the monotonic time at which to compare again (None: when something happens).

    ``goes_on`` says that another plan is due at once when these steps are taken.
    """

    steps: list[Step]
    wake_at: float | None
    goes_on: bool


class Actual(NamedTuple):
    """What is: the processes, the slots, the slots still occupied by remains, the time of the last spawn."""

    processes: list[Process]
    slots: dict[int, Slot]
    occupied: frozenset[int]
    last_spawn: float


class _Planner:
    def __init__(self, wanted: Wanted, actual: Actual, now: float) -> None:
        self.wanted = wanted
        self.actual = actual
        self.now = now
        self.steps: list[Step] = []
        self.wake_at: float | None = None
        # Of a thousand processes hardly one has changed since the last plan: what follows must be quick.
        live = [process for process in actual.processes if process.state in LIVE]
        self.live: dict[int, list[Process]] = {process.wid: [] for process in live}
        for process in live:
            self.live[process.wid].append(process)
        self.doubled = len(self.live) < len(live)
        self.occupied = set(actual.occupied)
        if len(live) < len(actual.processes):
            self.occupied.update(process.wid for process in actual.processes if process.state not in LIVE)

    def plan(self) -> Plan:
        wanted = self.wanted
        timed = bool(wanted.rollout) or wanted.expiring or wanted.warmup_delay > 0
        return Plan(self.steps, self.wake_at, bool(self.steps) and (timed or len(self.steps) >= MOST_STEPS))

    def wake(self, at: float) -> None:
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = at

    def end(self, process: Process, reason: str) -> None:
        rest = self.live.get(process.wid, [])
        if process not in rest:
            return
        self.steps.append(Step(END, process.wid, process, reason))
        rest.remove(process)
        self.occupied.add(process.wid)
        if not rest:
            del self.live[process.wid]

    def old(self) -> list[Process]:
        floor = self.wanted.floor
        return [process for slot in self.live.values() for process in slot if process.generation < floor]

    def end_all(self, reason: str) -> None:
        live = (process for process in self.actual.processes if process.state in LIVE)
        for process in itertools.islice(live, MOST_STEPS):
            self.end(process, reason)

    def end_surplus(self) -> None:
        if max(self.live, default=0) > self.wanted.number:
            for wid in [wid for wid in self.live if wid > self.wanted.number]:
                for process in list(self.live[wid]):
                    self.end(process, "resize")
        if not self.doubled:
            return
        # During a reload the oldest serves until the newest has come up; what another reload began in between goes.
        keep = -1 if self.wanted.rollout == RELOAD else None
        for slot in [slot for slot in self.live.values() if len(slot) > 1]:
            for process in sorted(slot, key=_age)[1:keep]:
                self.end(process, "reload")

    def bring_down_old(self) -> None:
        """First half of a restart; it is over, and no rollout any more, when the hooks of the stop are through too."""
        for process in self.old():
            self.end(process, RESTART)

    def come_up(self) -> bool:
        """Return whether a process of the new generation has come up in each slot that is to have one."""
        for wid in range(1, self.wanted.number + 1):
            new = [process for process in self.live.get(wid, ()) if process.generation >= self.wanted.floor]
            if not new and not self.done_without_respawn(wid):
                return False
            if not all(self.settled(process) for process in new):
                return False
        return True

    def settled(self, process: Process) -> bool:
        since = process.settled_from()
        if since is None:
            return False
        if since > self.now:
            self.wake(since)
            return False
        return True

    def done_without_respawn(self, wid: int) -> bool:
        slot = self.actual.slots.get(wid)
        return not self.wanted.respawn and slot is not None and slot.filled >= self.wanted.floor

    def replace_next_slot(self) -> None:
        """One slot of a sequential reload, if the one before is finished."""
        replaced = [p for slot in self.live.values() for p in slot if p.generation >= self.wanted.floor]
        settled = [self.settled(process) for process in replaced]
        old = sorted(self.old(), key=_wid)
        if not old or self.occupied or not all(settled):
            return
        earliest = self.actual.last_spawn + self.wanted.warmup_delay
        if replaced and earliest > self.now:
            self.wake(earliest)
        elif all(wid in self.live or self.done_without_respawn(wid) for wid in range(1, self.wanted.number + 1)):
            self.end(old[0], "reload")

    def end_expired(self) -> None:
        if not self.wanted.expiring or self.wanted.rollout:  # a rollout replaces the old ones anyway
            return
        for process in self.actual.processes:
            if process.expires is None or process.state not in LIVE:
                continue
            if process.expires <= self.now:
                self.end(process, "max_age")
            else:
                self.wake(process.expires)

    def fill(self) -> None:
        earliest = self.actual.last_spawn + self.wanted.warmup_delay if self.wanted.warmup_delay else 0.0
        for wid in self.candidates():
            if len(self.steps) >= MOST_STEPS:
                return
            if not self.is_empty(wid):
                continue
            at = max(earliest, self.next_try(wid))
            if at > self.now:
                self.wake(at)
                continue
            self.steps.append(Step(SPAWN, wid))
            if self.wanted.warmup_delay:
                earliest = self.now + self.wanted.warmup_delay

    def candidates(self) -> list[int]:
        """Return the slots that may be empty. Of a thousand, hardly one is, so this must be quick."""
        if self.wanted.rollout == RELOAD:
            return list(range(1, self.wanted.number + 1))
        live = self.live
        empty = [wid for wid in range(1, self.wanted.number + 1) if wid not in live]
        # One at a time: whoever has waited longest, lest those that die again and again keep the others from a start.
        return sorted(empty, key=self.next_try) if self.wanted.warmup_delay else empty

    def next_try(self, wid: int) -> float:
        slot = self.actual.slots.get(wid)
        return slot.next_try if slot else 0.0

    def is_empty(self, wid: int) -> bool:
        processes = self.live.get(wid)
        if self.wanted.rollout == RELOAD:
            floor = self.wanted.floor
            if processes and any(process.generation >= floor for process in processes):
                return False
        elif processes or wid in self.occupied:
            return False
        return not self.done_without_respawn(wid)


def _age(process: Process) -> int:
    return process.generation


def _wid(process: Process) -> int:
    return process.wid


def make_plan(wanted: Wanted, actual: Actual, now: float) -> Plan:
    """Return the steps that bring a watcher nearer to what is wanted."""
    planner = _Planner(wanted, actual, now)
    if not wanted.up:
        planner.end_all(STOP)
        return planner.plan()
    planner.end_surplus()
    if wanted.rollout == RESTART:
        planner.bring_down_old()
        return planner.plan()
    if wanted.rollout == RELOAD and planner.come_up():
        for process in planner.old():
            planner.end(process, "reload")
    elif wanted.rollout == SEQUENTIAL:
        planner.replace_next_slot()
    planner.end_expired()
    planner.fill()
    return planner.plan()
