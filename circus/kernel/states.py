"""The transition tables: what a process does at each event, and how a watcher's state follows from its processes.

The process table has an answer for every pair of state and event. ``IGNORED`` is on purpose; ``DEFECT`` is a
programming error, which is published as ``internal-error`` and never raised out of the loop.
"""

from __future__ import annotations

from typing import Final

NEW, STARTING, RUNNING, STOPPING, KILLING, GONE, FAILED = (
    "new",
    "starting",
    "running",
    "stopping",
    "killing",
    "gone",
    "failed",
)
STATES: Final = (NEW, STARTING, RUNNING, STOPPING, KILLING, GONE, FAILED)

SPAWNED, SPAWN_FAILED, READY, EXITED, STOP, DEADLINE = (
    "spawned",
    "spawn_failed",
    "ready",
    "exited",
    "stop",
    "deadline",
)
EVENTS: Final = (SPAWNED, SPAWN_FAILED, READY, EXITED, STOP, DEADLINE)

# What the transition asks for.
NOTHING, SEND_STOP_SIGNAL, SEND_SIGKILL, REPORT_UNKILLABLE, IGNORED, DEFECT = (
    "nothing",
    "send-stop-signal",
    "send-sigkill",
    "report-unkillable",
    "ignored",
    "defect",
)

LIVE: Final = frozenset((STARTING, RUNNING))
DYING: Final = frozenset((STOPPING, KILLING))

_Row = dict[str, tuple[str, str]]


def _row(state: str, **transitions: tuple[str, str]) -> _Row:
    return {event: transitions.get(event, (state, DEFECT)) for event in EVENTS}


def _ended(state: str) -> _Row:
    """Nothing moves a process that is over; a second exit or a late spawn would be a defect."""
    ignored = dict.fromkeys((READY, STOP, DEADLINE), (state, IGNORED))
    return _row(state, **ignored)


PROCESS: Final[dict[str, _Row]] = {
    NEW: _row(
        NEW,
        spawned=(STARTING, NOTHING),
        spawn_failed=(FAILED, NOTHING),
        stop=(GONE, NOTHING),
    ),
    STARTING: _row(
        STARTING,
        ready=(RUNNING, NOTHING),
        exited=(GONE, NOTHING),
        stop=(STOPPING, SEND_STOP_SIGNAL),
        deadline=(STOPPING, SEND_STOP_SIGNAL),
    ),
    RUNNING: _row(
        RUNNING,
        ready=(RUNNING, IGNORED),
        exited=(GONE, NOTHING),
        stop=(STOPPING, SEND_STOP_SIGNAL),
        deadline=(STOPPING, SEND_STOP_SIGNAL),
    ),
    STOPPING: _row(
        STOPPING,
        ready=(STOPPING, IGNORED),
        exited=(GONE, NOTHING),
        stop=(STOPPING, IGNORED),
        deadline=(KILLING, SEND_SIGKILL),
    ),
    KILLING: _row(
        KILLING,
        ready=(KILLING, IGNORED),
        exited=(GONE, NOTHING),
        stop=(KILLING, IGNORED),
        deadline=(KILLING, REPORT_UNKILLABLE),
    ),
    GONE: _ended(GONE),
    FAILED: _ended(FAILED),
}


def step(state: str, event: str) -> tuple[str, str]:
    """Return the next state of a process and what the transition asks for."""
    return PROCESS[state][event]


STOPPED, WATCHER_STARTING, ACTIVE, WATCHER_STOPPING = "stopped", "starting", "active", "stopping"


def watcher_state(*, up: bool, anything_left: bool, bringing_down: bool, start_pending: bool) -> str:
    """Return the state of a watcher.

    ``up`` is what is wanted; ``anything_left`` tells of processes and of what they left behind; ``bringing_down`` is
    the first half of a restart; ``start_pending`` lasts until each slot has been filled once since the start.
    """
    if not up:
        return WATCHER_STOPPING if anything_left else STOPPED
    if bringing_down and anything_left:
        return WATCHER_STOPPING
    return WATCHER_STARTING if start_pending else ACTIVE
