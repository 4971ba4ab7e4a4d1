"""Somebody wants something and may wait for it: an intent is done, has failed, or was superseded by a later one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from circus.exc import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Collection

START, STOP, RESTART, RELOAD, RESIZE, KILL, ATTEMPT = (
    "start",
    "stop",
    "restart",
    "reload",
    "resize",
    "kill",
    "attempt",
)

_LIFECYCLE = frozenset((START, STOP, RESTART, RELOAD))


class Intent:
    """What a command wants of a watcher or of all. ``seq`` is the number of the last event before it was accepted."""

    __slots__ = ("_future", "before", "error", "kind", "result", "seq", "targets")

    def __init__(self, kind: str, seq: int, before: Collection[int] = (), targets: Collection[int] = ()) -> None:
        self.kind = kind
        self.seq = seq
        self.before = frozenset(before)
        """PIDs that were alive when it was accepted."""
        self.targets = frozenset(targets)
        """PIDs that are to go, for ``kill``."""
        self.result: dict[str, Any] | None = None
        self.error: str | None = None
        self._future: asyncio.Future[None] | None = None

    @property
    def pending(self) -> bool:
        """True until it is finished in any way."""
        return self.result is None and self.error is None

    def finish(self, **result: Any) -> None:
        """Say that what was wanted is so; ``result`` becomes the keys of the reply."""
        if self.pending:
            self.result = result
            self._release()

    def fail(self, reason: str) -> None:
        """Say that it cannot be done, and why."""
        if self.pending:
            self.error = reason
            self._release()

    def supersede(self) -> None:
        """Say that a later intent wants something else."""
        self.finish(superseded=True)

    def _release(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def settled(self) -> None:
        """Wait until it is finished in any way; never raises for a failure."""
        if self.pending:
            if self._future is None:
                self._future = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._future)

    async def wait(self) -> dict[str, Any]:
        """Wait until it is finished; return the keys of the reply.

        Raise :class:`~circus.exc.CommandFailed` if it failed.
        """
        await self.settled()
        if self.error is not None:
            raise CommandFailed(self.error)
        return {"seq": self.seq, **(self.result or {})}


def conflicts(new: str, old: str) -> bool:
    """Return whether an intent of kind ``new`` supersedes a pending one of kind ``old`` on the same watcher."""
    if new == STOP:
        return old not in (STOP, KILL)
    if new == START:
        return old == STOP
    if new in (RESTART, RELOAD):
        return old in _LIFECYCLE
    return new == RESIZE and old == RESIZE


def changes(before: Collection[int], now: Collection[int]) -> dict[str, list[int]]:
    """Return which PIDs came, went and stayed."""
    earlier, current = set(before), set(now)
    return {
        "started": sorted(current - earlier),
        "stopped": sorted(earlier - current),
        "kept": sorted(earlier & current),
    }
