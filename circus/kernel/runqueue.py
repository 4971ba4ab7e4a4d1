"""Who takes a turn next: keeps the loop free while many watchers have much to do."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio

BUDGET: Final = 0.005
"""Seconds of turns before input and output get their share again."""


class Actor(Protocol):
    """Something that takes turns. ``turn`` must end by ``until`` (monotonic) and wake itself if there is more."""

    queued: bool

    def turn(self, until: float) -> None:
        """Compare what is wanted with what is, and take the next steps."""


class RunQueue:
    """Actors that have something to do, first come, first served, a few milliseconds at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_defect: Callable[[Actor, BaseException], None]) -> None:
        self._loop = loop
        self._on_defect = on_defect
        self._queue: deque[Actor] = deque()
        self._scheduled = False

    def wake(self, actor: Actor) -> None:
        """Let an actor take a turn soon; once, however often it is woken before."""
        if actor.queued:
            return
        actor.queued = True
        self._queue.append(actor)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        until = time.monotonic() + BUDGET
        while self._queue:
            actor = self._queue.popleft()
            actor.queued = False
            try:
                actor.turn(until)
            except Exception as error:  # a defect in one actor must not end the daemon
                self._on_defect(actor, error)
            if time.monotonic() >= until:
                break
        if self._queue:
            self._schedule()
