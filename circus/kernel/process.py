"""One process, and the slot that it fills."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from circus.kernel import states
from circus.kernel.backoff import YOUNG

HISTORY: Final = 5
"""How many ends of its processes a slot remembers."""


class Process:
    """A child of circusd. ``started``, ``deadline``, ``expires`` are monotonic, ``started_at`` is the time of day."""

    __slots__ = (
        "deadline",
        "expires",
        "gated",
        "generation",
        "kills",
        "kin",
        "mark",
        "needs_ready",
        "pid",
        "reason",
        "started",
        "started_at",
        "state",
        "status_text",
        "wid",
    )

    def __init__(self, wid: int, generation: int, mark: str, *, needs_ready: bool) -> None:
        self.wid = wid
        self.generation = generation
        self.mark = mark
        self.needs_ready = needs_ready
        self.pid = 0
        self.state = states.NEW
        self.started = 0.0
        self.started_at = 0.0
        self.expires: float | None = None
        self.deadline: float | None = None
        self.reason = ""
        self.gated = False
        """Whether the hook after its spawn is not through yet."""
        self.kin: dict[int, float] = {}
        """Descendants seen when the stop began, pid → start time: so those that clear their environment are known."""
        self.kills = 0
        """SIGKILLs that it has survived."""
        self.status_text = ""

    @property
    def live(self) -> bool:
        """True from its spawn until somebody wants it gone or it ends."""
        return self.state in states.LIVE

    @property
    def dying(self) -> bool:
        """True from the stop signal until it has been reaped."""
        return self.state in states.DYING

    def settled_from(self) -> float | None:
        """Return from when on this process counts as having come up; None while it has not said that it is ready, or
        the hook after its spawn is not through.

        A program that does not declare readiness counts once it has outlived the age at which a death is an early one.
        """
        if self.gated:
            return None
        if self.needs_ready:
            return self.started if self.state == states.RUNNING else None
        return self.started + YOUNG


class Slot:
    """A place for one process, stable for the life of the watcher. ``next_try`` is in monotonic seconds."""

    __slots__ = (
        "ended_by_itself",
        "failures",
        "filled",
        "last_error",
        "last_exits",
        "next_try",
        "spawn_failures",
        "wid",
    )

    def __init__(self, wid: int) -> None:
        self.wid = wid
        self.filled = 0
        """Generation of the process that filled it last; 0 if none did since the watcher's start."""
        self.failures = 0
        self.spawn_failures = 0
        self.next_try = 0.0
        self.ended_by_itself = False
        self.last_error = ""
        self.last_exits: deque[dict[str, Any]] = deque(maxlen=HISTORY)

    def forgive(self) -> None:
        """Forget failures: somebody asked for a fresh start."""
        self.failures = self.spawn_failures = 0
        self.next_try = 0.0
