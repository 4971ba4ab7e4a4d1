"""One turn of a watcher: deadlines, the plan's steps, the events that tell of a change, the timer for the next look."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING

from circus.exc import SpawnError
from circus.kernel import deaths, ending, states, waiting
from circus.kernel.intents import RELOAD
from circus.kernel.plan import END, RESTART, SPAWN, Actual, Step, Wanted, make_plan
from circus.kernel.plan import STOP as _STOP
from circus.kernel.process import Process, Slot
from circus.launch.spawn import spawn

if TYPE_CHECKING:
    from circus.kernel.watcher import Watcher

log = logging.getLogger("circus")


def take(watcher: Watcher, until: float) -> None:
    """Take a watcher's turn. It ends by ``until`` (monotonic seconds), and asks for another if there is more to do."""
    now = watcher.now()
    watcher.gating.forget_start()
    _expire(watcher, now)
    _advance(watcher)
    plan = make_plan(_wanted(watcher), _actual(watcher), now)
    done = held = 0
    for step in plan.steps:
        if (done or held) and watcher.now() >= until:
            break
        if not _may(watcher, step):
            held += 1
            continue
        if step.verb == END and step.process is not None:
            ending.begin(watcher, step.process, step.reason)
        elif not _fill(watcher, step.wid):
            break
        done += 1
    if done + held < len(plan.steps) or (done and plan.goes_on):
        watcher.wake()  # the picture has changed: compare again
    _advance(watcher)
    waiting.settle(watcher)
    _arm(watcher, plan.wake_at)


def state_of(watcher: Watcher) -> str:
    """Return the state that follows from what is wanted and what is at this moment."""
    return states.watcher_state(
        up=watcher.goal.up,
        anything_left=_is_anything_left(watcher) or bool(watcher.gating.begun),
        bringing_down=watcher.goal.rollout == RESTART,
        start_pending=watcher.goal.start_pending,
    )


def _may(watcher: Watcher, step: Step) -> bool:
    """Return whether a step may be taken; if not, the gate that it waits at wakes the watcher."""
    if step.verb == SPAWN:
        return watcher.gating.may_spawn(step.wid)
    return step.reason not in (_STOP, RESTART) or watcher.gating.may_end()


def _is_anything_left(watcher: Watcher) -> bool:
    return bool(watcher.processes) or watcher.remains.anything


def _wanted(watcher: Watcher) -> Wanted:
    goal, settings = watcher.goal, watcher.settings
    return Wanted(
        goal.up and watcher.predecessor is None,
        watcher.count,
        goal.generation,
        goal.floor,
        goal.rollout,
        watcher.respawns,
        settings.warmup_delay,
        settings.max_age > 0,
    )


def _actual(watcher: Watcher) -> Actual:
    return Actual(list(watcher.processes.values()), watcher.slots, watcher.remains.occupied, watcher.last_spawn)


def _expire(watcher: Watcher, now: float) -> None:
    for process in list(watcher.dying.values()):
        if process.deadline is not None and process.deadline <= now:
            ending.expire(watcher, process, now)
    watcher.remains.expire(now)


def _advance(watcher: Watcher) -> None:
    """Publish what has come about, and compute the state."""
    goal = watcher.goal
    if goal.rollout == RESTART:
        old = any(process.generation < goal.floor for process in watcher.processes.values())
        if not old and not watcher.remains.occupied and watcher.gating.has_ended():
            goal.rollout = ""
            _stopped(watcher)
    elif goal.rollout and _is_rolled_out(watcher):
        goal.rollout = ""
        watcher.unproven = None
        _reloaded(watcher)
        watcher.wake()  # what waited for the end of the rollout
    if goal.up and goal.start_pending and not goal.rollout and _has_started(watcher):
        goal.start_pending = False
        log.info("%s started", watcher.name)
        watcher.publish("start", reason=goal.reason)
        if any(intent.kind == RELOAD for intent in watcher.intents):
            _reloaded(watcher)
    if goal.up and watcher.count and not watcher.processes and _is_over(watcher):
        goal.down(armed=True)
    if not goal.up and not _is_anything_left(watcher):
        watcher.gating.has_ended()
    before, watcher.state = watcher.state, state_of(watcher)
    if watcher.state == states.STOPPED and before != states.STOPPED:
        goal.start_pending = False
        _stopped(watcher)
    told, watcher.awaits = watcher.awaits, None
    if watcher.listening and watcher.state == states.STOPPED:
        watcher.awaits = watcher.context.host.awaited(watcher.settings)
        if watcher.awaits != told:
            watcher.publish("listening", sockets=watcher.awaits)
    elif told is not None and watcher.state == states.STOPPED:
        _stopped(watcher)


def _has_started(watcher: Watcher) -> bool:
    return waiting.is_complete(watcher) and watcher.gating.may_start() and watcher.gating.has_started()


def _is_over(watcher: Watcher) -> bool:
    """Return whether every process has run, and none is to follow, as ``respawn`` is off."""
    return all(waiting.is_done(watcher, wid) for wid in range(1, watcher.count + 1))


def _reloaded(watcher: Watcher) -> None:
    log.info("%s reloaded", watcher.name)
    watcher.publish("reload")


def _stopped(watcher: Watcher) -> None:
    if watcher.successor is not None:
        watcher.settings, watcher.successor = watcher.successor, None
    for wid in [wid for wid in watcher.slots if wid > watcher.count]:
        del watcher.slots[wid]
    log.info("%s stopped", watcher.name)
    watcher.publish("stop", reason=watcher.goal.reason)


def _is_rolled_out(watcher: Watcher) -> bool:
    floor, now = watcher.goal.floor, watcher.now()
    for process in watcher.processes.values():
        settled_from = process.settled_from()
        if process.generation < floor or settled_from is None or settled_from > now:
            return False
    return waiting.is_complete(watcher)


def _arm(watcher: Watcher, wake_at: float | None) -> None:
    """Come back at the earliest deadline, if there is any."""
    deadlines = [process.deadline for process in watcher.dying.values() if process.deadline is not None]
    remains = watcher.remains.next_deadline()
    ready = waiting.ready_until(watcher) if watcher.settings.ready_timeout else None
    times = [*deadlines, *(at for at in (wake_at, remains, ready) if at is not None)]
    if watcher.timer is not None:
        watcher.timer.cancel()
        watcher.timer = None
    if times:
        watcher.timer = watcher.context.loop.call_at(min(times), watcher.wake)


def _fill(watcher: Watcher, wid: int) -> bool:
    """Spawn a process into a slot; return whether that succeeded."""
    settings, context, goal = watcher.settings, watcher.context, watcher.goal
    slot = watcher.slots.get(wid)
    if slot is None:
        slot = watcher.slots[wid] = Slot(wid)
    process = Process(wid, goal.generation, context.orphans.new_mark(watcher, wid), needs_ready=bool(settings.ready))
    process.started = watcher.last_spawn = watcher.now()
    process.started_at = time.time()
    try:
        notify = context.notify_address() if settings.ready else ""
        outfit = context.host.outfit(settings, wid)
        try:
            process.pid = spawn(settings, wid=wid, mark=process.mark, notify_address=notify, outfit=outfit)
        finally:
            context.host.launched(outfit, process.pid)
    except SpawnError as error:
        process.state, _ = states.step(process.state, states.SPAWN_FAILED)
        deaths.spawn_failed(watcher, slot, error)
        return False
    process.state, _ = states.step(process.state, states.SPAWNED)
    if not process.needs_ready:
        process.state, _ = states.step(process.state, states.READY)
    if settings.max_age:
        process.expires = process.started + settings.max_age + random.uniform(0, settings.max_age_variance)
    if slot.filled and not goal.start_pending and not goal.rollout and slot.ended_by_itself:
        watcher.restarts += 1
    slot.filled = goal.generation
    slot.spawn_failures = 0
    watcher.processes[process.pid] = process
    context.orphans.born(process)
    context.reaper.watch(process.pid, watcher.exited)
    watcher.publish("spawn", process_pid=process.pid, wid=wid, time=process.started_at)
    watcher.gating.spawned(process)
    return True
