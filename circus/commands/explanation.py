"""Why a watcher is in the state that it is in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from circus.kernel import states
from circus.kernel.gating import describe
from circus.kernel.plan import RESTART

if TYPE_CHECKING:
    from circus.kernel.process import Process, Slot
    from circus.kernel.watcher import Watcher


def explain(watcher: Watcher) -> dict[str, Any]:
    """Return ``{state, detail, reason, processes, blocked_by}``; all times are seconds since the epoch."""
    slots = [_explain_slot(watcher, wid) for wid in sorted(_wids(watcher))]
    return {
        "state": watcher.status(),
        "detail": detail(watcher),
        "reason": _reason(watcher),
        "wanted": watcher.count if watcher.up else 0,
        "running": sum(process.live for process in watcher.processes.values()),
        "restarts": watcher.restarts,
        "processes": [entry for entries in slots for entry in entries],
        "blocked_by": _blockers(watcher),
    }


def detail(watcher: Watcher) -> str:
    """Return ``gated``, ``listening``, ``failed``, ``backoff``, ``degraded``, a kind of rollout, or an empty text."""
    if watcher.gating.waiting:
        return "gated"
    if not watcher.up:
        return "listening" if _waits_for_connection(watcher) else "failed" if watcher.failure else ""
    if any(slot.next_try > watcher.now() for slot in _empty_slots(watcher)):
        return "backoff"
    if watcher.goal.rollout:
        return watcher.goal.rollout
    running = sum(process.live for process in watcher.processes.values())
    return "degraded" if running < watcher.count and watcher.status() == states.ACTIVE else ""


def _wids(watcher: Watcher) -> set[int]:
    wids = {process.wid for process in watcher.processes.values()} | set(watcher.slots)
    return wids | set(range(1, watcher.count + 1)) if watcher.up else wids


def _empty_slots(watcher: Watcher) -> list[Slot]:
    alive = {process.wid for process in watcher.processes.values() if process.live}
    return [slot for slot in watcher.slots.values() if slot.wid not in alive and slot.wid <= watcher.count]


def _explain_slot(watcher: Watcher, wid: int) -> list[dict[str, Any]]:
    slot = watcher.slots.get(wid)
    exits = list(slot.last_exits) if slot else []
    processes = [process for process in watcher.processes.values() if process.wid == wid]
    entries = [_explain_process(process, exits) for process in processes]
    if not entries:
        waits = slot is not None and watcher.up and slot.next_try > watcher.now()
        entries.append(
            {
                "wid": wid,
                "pid": None,
                "state": "backoff" if waits else "empty",
                "since": exits[-1]["time"] if exits else None,
                "last_exits": exits,
                "last_error": slot.last_error if slot and slot.spawn_failures else None,
                "next_try": time.time() + slot.next_try - watcher.now() if slot and waits else None,
            }
        )
    return entries


def _explain_process(process: Process, exits: list[dict[str, Any]]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "wid": process.wid,
        "pid": process.pid,
        "state": process.state,
        "since": process.started_at,
        "last_exits": exits,
        "last_error": None,
        "next_try": None,
    }
    if process.status_text:
        entry["status_text"] = process.status_text
    return entry


def _blockers(watcher: Watcher) -> list[dict[str, Any]]:
    """Say which processes keep a stop, a restart or a start from being done."""
    blockers: list[dict[str, Any]] = []
    now = watcher.now()
    if watcher.predecessor is not None:
        left = [*watcher.predecessor.processes, *watcher.predecessor.remains.pids]
        blockers += [{"pid": pid, "why": "is of the removed watcher of that name", "sigkill_in": None} for pid in left]
        blockers += [
            {"pid": None, "why": f"the removed watcher of that name, and that for {describe(gate)}", "sigkill_in": None}
            for gate in watcher.predecessor.gating.waiting
        ]
    for process in watcher.processes.values():
        if process.dying and process.deadline is not None:
            what = "survives SIGKILL" if process.state == states.KILLING else "has not obeyed its stop signal yet"
            blockers.append({"pid": process.pid, "why": what, "sigkill_in": round(max(0.0, process.deadline - now), 1)})
        elif process.state == states.STARTING:
            blockers.append({"pid": process.pid, "why": "has not said that it is ready", "sigkill_in": None})
    blockers += [
        {"pid": gate.data.get("pid"), "why": describe(gate), "sigkill_in": None} for gate in watcher.gating.waiting
    ]
    blockers += [
        {"pid": pid, "why": "was left behind by a process that ended", "sigkill_in": None}
        for pid in watcher.remains.pids
    ]
    return blockers


def _reason(watcher: Watcher) -> str:
    if watcher.gating.waiting:
        return f"it waits for {describe(watcher.gating.waiting[0])}"
    if watcher.failure:
        return watcher.failure
    if watcher.up and watcher.predecessor is not None:
        return "the removed watcher of that name is not gone yet"
    if watcher.status() == states.WATCHER_STOPPING:
        restarting = watcher.goal.rollout == RESTART
        return "a restart brings the old processes down" if restarting else watcher.goal.reason or "it is being stopped"
    if not watcher.up and watcher.awaiting == watcher.claimed != 0:
        return "its turn comes after watchers of higher priority and warmup_delay"
    if _waits_for_connection(watcher):
        return _awaited(watcher)
    if not watcher.up:
        return "nobody has started it" if not watcher.goal.generation else _last_words(watcher)
    errors = [slot.last_error for slot in _empty_slots(watcher) if slot.spawn_failures]
    if errors:
        return errors[0]
    if detail(watcher) == "backoff":
        return "its processes end too soon after their start"
    return "a reload replaces its processes" if watcher.goal.rollout else ""


def _waits_for_connection(watcher: Watcher) -> bool:
    return watcher.listening and watcher.status() == states.STOPPED


def _awaited(watcher: Watcher) -> str:
    names = watcher.context.host.awaited(watcher.settings)
    if not names:
        return (
            "it waits for a connection, and has no socket that circusd holds: name one as $(circus.sockets.NAME), or "
            "set use_sockets"
        )
    return f"it waits for a connection on the socket{'s' * (len(names) > 1)} {', '.join(names)}"


def _last_words(watcher: Watcher) -> str:
    by_itself = [slot for slot in watcher.slots.values() if slot.ended_by_itself]
    if by_itself and not watcher.settings.respawn:
        return "its processes ended, and respawn is off"
    return watcher.goal.reason or "it was stopped"
