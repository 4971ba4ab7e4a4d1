"""Gates: before an act that may be vetoed, whoever has registered for it is asked, and only the one watcher waits.

A gatekeeper is there as long as its connection is. When that goes, every gate that waits for it has failed; a gate that
is opened while its plugin is being started again waits for it a while.
"""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from circus.exc import CircusError, MessageError

if TYPE_CHECKING:
    import asyncio

    from circus.kernel.watcher import Watcher

log = logging.getLogger("circus")

REJOIN: Final = 10.0
"""Seconds for which a gate waits for a gatekeeper that is being started."""

MOST_TOLD: Final = 1000
"""Most gates that nobody waits for and that have no verdict yet; the oldest are forgotten. The
end of the one that was to give them closes all of them at once, which holds up everything else."""

FUNCTIONS: Final = "the runner of hook functions"
"""Who is asked where a watcher names a function, whatever plugin that is."""

DECIDED: Final = frozenset(("before_start", "after_start", "before_spawn", "after_spawn", "before_signal"))
"""Hooks whose refusal counts."""


class Outcome(NamedTuple):
    """How a gate was closed. ``result`` is what the hook functions gave back beside their verdicts."""

    allowed: bool
    reason: str
    result: dict[str, Any]


Done = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Gatekeeper:
    """A plugin's process that is asked at ``hooks`` of watchers whose name ``pattern`` matches."""

    plugin: str
    sync: str
    hooks: frozenset[str]
    pattern: str
    functions: bool

    @property
    def key(self) -> str:
        """By what gates know it."""
        return FUNCTIONS if self.functions else self.plugin

    def guards(self, watcher: Watcher, hook: str) -> bool:
        """Return whether it is asked. Plugins do not guard each other: they would wait for themselves."""
        return (
            hook in self.hooks
            and not watcher.settings.is_plugin
            and fnmatchcase(watcher.name.lower(), self.pattern.lower())
        )


class Gate:
    """One question, open until everybody has answered, one has refused, or the time is up."""

    __slots__ = ("data", "done", "hook", "number", "opened", "pending", "result", "timers", "watcher")

    def __init__(self, number: int, watcher: Watcher, hook: str, pending: set[str], done: Done | None) -> None:
        self.number = number
        self.watcher = watcher
        self.hook = hook
        self.pending = pending
        self.done = done
        self.opened = time.monotonic()
        self.data: dict[str, Any] = {}
        """What its event holds."""
        self.result: dict[str, Any] = {}
        self.timers: list[asyncio.TimerHandle] = []


class Gates:
    """All gatekeepers and all open gates of one daemon."""

    def __init__(self, loop: asyncio.AbstractEventLoop, is_expected: Callable[[str], bool]) -> None:
        """``is_expected(plugin)`` tells whether a plugin is to run."""
        self.summon: Callable[[], None] = _nobody
        """Starts what runs the functions of hooks, if that is not there."""
        self.is_connected: Callable[[str], bool] = bool
        """Tells whether the one with a token can be asked, which is so as long as it is subscribed."""
        self._loop = loop
        self._is_expected = is_expected
        self._numbers = itertools.count(1)
        self._present: dict[str, Gatekeeper] = {}
        self._absent: dict[str, tuple[Gatekeeper, float]] = {}
        self._open: dict[int, Gate] = {}

    # What gatekeepers say.

    def register(
        self, plugin: str, sync: str, hooks: Collection[str], pattern: str, functions: bool
    ) -> list[dict[str, Any]]:
        """Take a plugin in, or its changed declaration; return the gates that wait for it."""
        keeper = Gatekeeper(plugin, sync, frozenset(hooks), pattern, functions)
        for other in [other for other in self._present.values() if other.key == keeper.key and other.sync != sync]:
            self.lost(other.sync)
        self._present[sync] = keeper
        self._absent.pop(plugin, None)
        waiting = [gate for gate in self._open.values() if keeper.key in gate.pending]
        for gate in waiting:
            gate.data["gatekeepers"] = sorted({*gate.data["gatekeepers"], plugin})
        return [gate.data for gate in waiting]

    def verdict(self, number: int, sync: str, allow: bool, error: str | None, result: dict[str, Any] | None) -> None:
        """Take a gatekeeper's answer. Raise ``MessageError`` where it was not asked, or does not matter any more."""
        keeper = self._present.get(sync)
        if keeper is None:
            raise MessageError("this plugin has not registered, or its connection was lost: register again")
        gate = self._open.get(number)
        if gate is None or keeper.key not in gate.pending:
            raise MessageError(f"gate {number} is closed")
        gate.result.update(result or {})
        self._vote(gate, keeper.key, keeper.plugin, allow, error)

    def lost(self, sync: str) -> None:
        """The connection of a gatekeeper is gone: what waits for it has failed."""
        keeper = self._present.pop(sync, None)
        if keeper is None:
            return
        if self._is_expected(keeper.plugin):
            self._absent[keeper.plugin] = (keeper, time.monotonic())
        for gate in list(self._open.values()):
            if keeper.key in gate.pending:
                self._vote(gate, keeper.key, keeper.plugin, False, f"{keeper.plugin} ended before it had answered")

    def plugin(self, sync: str) -> str:
        """Return the name of the plugin with that token; empty if it has not registered."""
        keeper = self._present.get(sync)
        return keeper.plugin if keeper else ""

    def refuse_deadlock(self, sync: str, watchers: Collection[Watcher]) -> None:
        """Raise ``CircusError`` if a gate of these watchers waits for the one who wants to wait for them."""
        keeper = self._present.get(sync)
        for gate in self._open.values():
            if keeper and gate.done and keeper.key in gate.pending and gate.watcher in watchers:
                raise CircusError(
                    f"{gate.watcher.name} waits for the hook {gate.hook}, and with waiting the hook would wait for "
                    f"{gate.watcher.name}: send the command without waiting"
                )

    # What watchers ask.

    def ask(
        self, watcher: Watcher, hook: str, done: Done | None, timeout: float = 0.0, **arguments: Any
    ) -> Gate | None:
        """Ask whoever is to be asked; None if that is nobody. ``done`` is called once; without it nobody waits."""
        function = watcher.settings.hooks.get(hook)
        if function is None and not self._present and not self._absent:
            return None
        keepers = list(self._keepers(watcher, hook))
        runner = next((keeper for keeper in self._present.values() if keeper.functions), None) if function else None
        pending = {keeper.key for keeper in keepers} | ({FUNCTIONS} if function else set())
        if not pending:
            return None
        gate = Gate(next(self._numbers), watcher, hook, pending, done)
        if timeout and done:
            gate.timers.append(self._loop.call_later(timeout, self._expire, gate, f"no answer within {timeout:g} s"))
        self._open[gate.number] = gate
        if done is None and len(self._open) > MOST_TOLD:
            self._forget_told()
        published = watcher.publish(
            "gate",
            gate=gate.number,
            hook=hook,
            watcher=watcher.name,
            gatekeepers=sorted(keeper.plugin for keeper in [*keepers, *([runner] if runner else [])]),
            deadline=time.time() + timeout if timeout and done else None,
            waits=done is not None,
            function=function[0] if function else None,
            ignore_failure=bool(function and function[1]),
            **arguments,
        )
        gate.data = dict(published)  # a gatekeeper that comes later is noted there, not in what was published
        if function and runner is None:
            self.summon()
        if pending - {keeper.key for keeper in self._present.values()}:
            reason = f"it was not there within {REJOIN:g} s"
            expire = functools.partial(self._expire, gate, reason, absent_only=True)
            gate.timers.append(self._loop.call_later(REJOIN, expire))
        return gate

    def limit(self, gate: Gate, seconds: float) -> None:
        """Let an open gate wait no longer than that; 0: close it now, as if its hook had failed."""
        if seconds <= 0:
            self._expire(gate, "no time is left to wait for its answer")
        else:
            reason = f"no answer within the {seconds:g} s that were left"
            gate.timers.append(self._loop.call_later(seconds, self._expire, gate, reason))

    def cancel(self, gate: Gate) -> None:
        """Close a gate whose answer does not matter any more; ``done`` is not called."""
        gate.done = None
        self._close(gate, Outcome(True, "cancelled", {}))

    def _keepers(self, watcher: Watcher, hook: str) -> Iterator[Gatekeeper]:
        yield from (keeper for keeper in self._present.values() if keeper.guards(watcher, hook))
        for plugin, (keeper, since) in list(self._absent.items()):
            if not self._is_expected(plugin) or time.monotonic() > since + REJOIN:
                del self._absent[plugin]
            elif keeper.guards(watcher, hook):
                yield keeper

    def _forget_told(self) -> None:
        oldest = next(gate for gate in self._open.values() if gate.done is None)
        self._close(oldest, Outcome(True, "forgotten", {}))

    def _expire(self, gate: Gate, error: str, *, absent_only: bool = False) -> None:
        present = {keeper.key for keeper in self._present.values()} if absent_only else set()
        for key in sorted(gate.pending - present):
            if gate.number in self._open:
                self._vote(gate, key, self._name(key), False, error)

    def _name(self, key: str) -> str:
        return next((keeper.plugin for keeper in self._present.values() if keeper.key == key), key)

    def _vote(self, gate: Gate, key: str, plugin: str, allow: bool, error: str | None) -> None:
        gate.pending.discard(key)
        watcher, hook = gate.watcher, gate.hook
        if error is None:
            watcher.publish("hook_success", name=hook, plugin=plugin)
            reason = f"the hook {hook} refused ({plugin})"
        else:
            log.warning("%s: the hook %s failed (%s): %s", watcher.name, hook, plugin, error)
            watcher.publish("hook_failure", name=hook, plugin=plugin, error=error)
            reason = f"the hook {hook} failed: {error}"
            # A signal that was asked for is not withheld because of a defect.
            allow = hook == "before_signal" or (key == FUNCTIONS and gate.data["ignore_failure"])
        if not allow and hook in DECIDED:
            self._close(gate, Outcome(False, reason, gate.result))
        elif not gate.pending:
            self._close(gate, Outcome(True, "", gate.result))

    def _close(self, gate: Gate, outcome: Outcome) -> None:
        self._open.pop(gate.number, None)
        for timer in gate.timers:
            timer.cancel()
        if gate.done is not None:
            gate.done(outcome)


def _nobody() -> None:
    """Without plugins nobody runs the functions of hooks."""
