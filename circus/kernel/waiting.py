"""When the intents on a watcher are done, and what the reply then says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from circus.kernel import states
from circus.kernel.intents import ATTEMPT, KILL, RESIZE, RESTART, START, STOP, Intent, changes, conflicts

if TYPE_CHECKING:
    from collections.abc import Collection

    from circus.kernel.process import Slot
    from circus.kernel.watcher import Watcher


log = logging.getLogger("circus")


def accept(watcher: Watcher, intent: Intent) -> None:
    """Take an intent in; those that want the opposite are superseded."""
    for old in watcher.intents:
        if conflicts(intent.kind, old.kind):
            old.supersede()
    watcher.intents.append(intent)


def fail(watcher: Watcher, kinds: Collection[str], reason: str) -> None:
    """Tell those who wait for intents of these kinds that it cannot be done."""
    for intent in watcher.intents:
        if intent.kind in kinds:
            intent.fail(f"{watcher.name}: {reason}")


def fail_unkillable(watcher: Watcher, pids: list[int]) -> None:
    """Tell that processes survive SIGKILL, and release whoever waits for their end."""
    survivors = ", ".join(map(str, pids))
    reason = f"SIGKILL does not end {survivors}: the system holds them (ps shows in which state)"
    log.error("%s: %s", watcher.name, reason)
    watcher.publish("unkillable", pids=pids)
    fail(watcher, (STOP, RESTART, KILL), reason)


def settle(watcher: Watcher) -> None:
    """Finish every intent that has been reached."""
    if not watcher.intents:
        return
    for intent in watcher.intents:
        if intent.pending and _is_reached(watcher, intent):
            _finish(watcher, intent)
    watcher.intents = [intent for intent in watcher.intents if intent.pending]


def is_complete(watcher: Watcher) -> bool:
    """Return whether each slot holds a process that runs, or has held one that ended, and nothing is to be ended."""
    if watcher.remains.occupied:
        return False
    if watcher.dying:
        return False
    running = (process for process in watcher.processes.values() if process.state == states.RUNNING)
    filled = {process.wid for process in running if not process.gated}
    # From the last one, as slots are filled from the first one on: what is missing is found at once.
    return all(
        wid in filled or is_done(watcher, wid) or _awaits_retry(watcher, wid) for wid in range(watcher.count, 0, -1)
    )


def is_done(watcher: Watcher, wid: int) -> bool:
    """Return whether a slot was filled and may stay empty, as none is to follow."""
    slot = watcher.slots.get(wid)
    return not watcher.respawns and slot is not None and _has_run(watcher, slot)


def _awaits_retry(watcher: Watcher, wid: int) -> bool:
    """Return whether the process of a slot was spawned, and ended by itself: what follows is no part of the start."""
    slot = watcher.slots.get(wid)
    if slot is None or watcher.settings.ready or slot.spawn_failures or not slot.ended_by_itself:
        return False
    return _has_run(watcher, slot)


def _has_run(watcher: Watcher, slot: Slot) -> bool:
    if slot.filled < max(watcher.goal.floor, 1):
        return False
    return not any(process.wid == slot.wid for process in watcher.processes.values())


def _is_tried(watcher: Watcher, wid: int) -> bool:
    slot = watcher.slots.get(wid)
    if slot is None:
        return False
    return slot.spawn_failures > 0 or slot.failures > 0 or slot.filled >= watcher.goal.floor


def ready_until(watcher: Watcher) -> float | None:
    """Return until when others wait for a process of it to become ready (monotonic seconds); None: for none.

    They wait for the first try of each slot: where a process has ended instead of becoming ready, the next may as well.
    """
    timeout = watcher.settings.ready_timeout or float("inf")
    starting = [process for process in watcher.processes.values() if process.state == states.STARTING]
    started = [process.started for process in starting if not watcher.slots[process.wid].ended_by_itself]
    until = max(started) + timeout if started else 0.0
    return until if until > watcher.now() else None


def _is_reached(watcher: Watcher, intent: Intent) -> bool:
    if intent.kind == KILL:
        return not any(pid in watcher.processes for pid in intent.targets) and not watcher.remains.occupied
    if intent.kind == STOP:
        return watcher.state == states.STOPPED
    if intent.kind == ATTEMPT:
        tried = all(_is_tried(watcher, wid) for wid in range(watcher.count, 0, -1))
        # A hook delays its own watcher and no other.
        return not watcher.goal.up or bool(watcher.gating.waiting) or (tried and ready_until(watcher) is None)
    if not watcher.goal.up:
        return watcher.state == states.STOPPED
    if watcher.goal.rollout or watcher.goal.start_pending:
        return False
    return is_complete(watcher)


def _finish(watcher: Watcher, intent: Intent) -> None:
    if intent.kind in (KILL, ATTEMPT):
        intent.finish()
    elif intent.kind == STOP:
        intent.finish(info=None)
    elif intent.kind == RESIZE:
        intent.finish(numprocesses=watcher.count)
    else:
        info: dict[str, Any] = changes(intent.before, [process.pid for process in watcher.live()])
        if intent.kind == START:
            del info["stopped"]
        intent.finish(info=info)
