"""``reloadconfig``: the plan is made and checked first, then applied whole; what fails is rolled back and reported."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from circus.daemon.plugins import every_watcher, implied_watchers
from circus.exc import CircusError, CommandFailed, SpawnError
from circus.kernel.order import Operation
from circus.kernel.watcher import Watcher
from circus.launch.spawn import prepare
from circus.listeners import Address, addresses

if TYPE_CHECKING:
    from circus.config import Config
    from circus.config.diff import Plan
    from circus.kernel.arbiter import Arbiter

log = logging.getLogger("circus")


class Change(Protocol):
    """A change of the daemon itself that is prepared: nothing that was there before is gone yet."""

    def commit(self) -> None:
        """Let go of what was there before."""

    def undo(self) -> None:
        """Let go of what is new."""


Addresses = Mapping[str, Address]
Prepare = Callable[["Config", "Config", Addresses], Change]
"""Prepares the daemon for a new configuration in place of an old one, with the addresses of its sockets."""
Probe = Callable[["Config", Addresses], None]
"""Raises ``CircusError`` if sockets of a new configuration cannot be had."""


class Reloader:
    """Brings a daemon from the configuration that it runs to the one that its file holds now."""

    def __init__(
        self, arbiter: Arbiter, config: Config, prepare: Prepare, probe: Probe, lost: Callable[[], Collection[str]]
    ) -> None:
        """``lost`` returns the names of sockets whose files are gone."""
        self.config = config
        self._arbiter = arbiter
        self._prepare = prepare
        self._probe = probe
        self._lost = lost
        self._lock = asyncio.Lock()

    async def plan(self) -> dict[str, Any]:
        """Return what :meth:`reload` would do.

        Raise ``ConfigError`` with every fault of the file, ``CommandFailed`` if a program cannot be started, and
        ``CircusError`` if a socket cannot be bound.
        """
        new, found = await self._read()
        plan = self._plan(new)
        self._require_startable(new, plan)
        self._probe(new, found)
        return {**plan.as_dict(), "steps": plan.describe()}

    async def reload(self) -> dict[str, Any]:
        """Apply what changed in the file.

        Raise ``ConfigError`` or ``CommandFailed``, with everything as it was before.
        """
        async with self._lock, self._logged("reloadconfig"):
            new, found = await self._read()
            plan = self._plan(new)
            self._require_startable(new, plan)
            before = {key: _Before(watcher) for key, watcher in self._arbiter.watchers.items()}
            with self._prepared(new, found) as change:
                failures, overtaken = await self._apply(new, plan)
                if failures:
                    # What is started again must not find what is new.
                    change.undo()
                else:
                    self._take_over(new, change)
            if failures:
                await self._roll_back(before, plan, overtaken)
                raise CommandFailed("rolled back: " + "; ".join(failures))
            log.info("reloadconfig: %s", "; ".join(plan.describe()))
            return {"steps": plan.describe()}

    async def restart(self, everything: Operation) -> dict[str, Any]:
        """Stop everything, take over what the file holds now, and start everything."""
        async with self._lock, self._logged("restart"):
            new, found = await self._read()
            plan = self._plan(new)
            with self._prepared(new, found) as change:
                overtaken = await self._stop_all(everything)
                await self._remove(plan.remove)
                for settings in every_watcher(new):
                    watcher = self._arbiter.watchers.get(settings.name.lower())
                    if watcher is None:
                        self._arbiter.create(settings)
                    else:
                        watcher.adopt(settings)
                starting = [w for w in self._arbiter.in_order() if w.settings.autostart and w not in overtaken]
                await self._start(starting, new.circus.warmup_delay)
                self._take_over(new, change)
            changed = {name.lower() for name in (*plan.add, *plan.replace)}
            failures = _failures([watcher for watcher in starting if watcher.name.lower() in changed])
            if failures:
                raise CommandFailed("; ".join(failures))
            return {}

    @contextlib.asynccontextmanager
    async def _logged(self, what: str) -> AsyncIterator[None]:
        """Write what fails into the log: often nobody waits for the reply."""
        try:
            yield
        except CircusError as error:
            log.error("%s failed: %s", what, "; ".join(str(error).splitlines()))
            raise

    @contextlib.contextmanager
    def _prepared(self, new: Config, found: Addresses) -> Iterator[Change]:
        """Prepare what changes in the daemon itself; undo it if what is done meanwhile does not succeed."""
        change = self._prepare(self.config, new, found)
        try:
            yield change
        except BaseException:
            change.undo()
            raise

    async def _read(self) -> tuple[Config, Addresses]:
        from circus.config import load

        def read() -> tuple[Config, Addresses]:
            new = load(self.config.path, check_paths=True, configure=True)
            return new, addresses(new.sockets)

        try:
            return await self._arbiter.loop.run_in_executor(None, read)
        except RuntimeError:  # no thread can be started: the loop has to wait
            return read()

    def _plan(self, new: Config) -> Plan:
        from circus.config.diff import Sockets, diff, with_others

        # What a client has removed is missing, whatever the file said when it was read.
        watchers = tuple(watcher for watcher in self.config.watchers if watcher.name.lower() in self._arbiter.watchers)
        plugins = tuple(plugin for plugin in self.config.plugins if plugin.name.lower() in self._arbiter.watchers)
        lost = self._lost()
        plan = diff(replace(self.config, watchers=watchers, plugins=plugins), new, lost)
        running = [watcher.next_settings for watcher in self._arbiter.watchers.values()]
        plan = with_others(plan, Sockets(self.config, new, lost), running)
        return _with_implied(plan, self.config, new)

    def _require_startable(self, new: Config, plan: Plan) -> None:
        """Refuse a file that names a program, a user or a folder that is not there, while everything still runs."""
        failures = []
        for settings in every_watcher(new):
            watcher = self._arbiter.watchers.get(settings.name.lower())
            to_run = settings.autostart if watcher is None else _is_to_run(watcher)
            if to_run and settings.name in (*plan.add, *plan.replace):
                try:
                    prepare(settings, 1, mark="")
                except SpawnError as error:
                    failures.append(f"{settings.name}: {error}")
        if failures:
            raise CommandFailed("nothing was changed: " + "; ".join(failures))

    def _take_over(self, new: Config, change: Change) -> None:
        from circus.config.unserved import not_yet_served

        known = {str(warning) for warning in (*self.config.warnings, *not_yet_served(self.config))}
        for warning in map(str, (*new.warnings, *not_yet_served(new))):
            if warning not in known:
                log.warning("%s", warning)
        self.config = new
        change.commit()

    async def _apply(self, new: Config, plan: Plan) -> tuple[list[str], set[Watcher]]:
        """Return what failed, and the watchers over which somebody else has decided meanwhile."""
        watchers = self._arbiter.watchers
        to_run = [watcher for watcher in watchers.values() if _is_to_run(watcher)]
        overtaken = await self._stop_all(Operation(self._arbiter.in_order())) if plan.restart_all else set()
        starting = [watcher for watcher in to_run if watcher not in overtaken] if plan.restart_all else []
        resized = []
        await self._remove(plan.remove)
        for settings in every_watcher(new):
            watcher = watchers.get(settings.name.lower())
            if watcher is None:
                watcher = self._arbiter.create(settings)
                starting += [watcher] if settings.autostart else []
            elif settings.name in plan.resize and watcher.successor is None:
                watcher.resize(settings.numprocesses)
                resized.append(watcher)
            elif settings.name in (*plan.add, *plan.replace, *plan.resize):
                watcher.adopt(settings)
                starting += [watcher] if watcher in to_run and not plan.restart_all else []
        if not plan.restart_all:
            # Those that the file does not know, and whose sockets it changes.
            known = {settings.name for settings in every_watcher(new)}
            starting += [watcher for watcher in to_run if watcher.name in plan.replace and watcher.name not in known]
        starting = [watcher for watcher in starting if watcher in watchers.values()]
        overtaken |= await self._start(starting, new.circus.warmup_delay)
        for watcher in resized:
            await watcher.attempt().settled()
        changed = [watcher for watcher in starting if watcher.name in (*plan.add, *plan.replace)]
        return _failures(changed + resized), overtaken

    async def _roll_back(self, before: dict[str, _Before], plan: Plan, overtaken: set[Watcher]) -> None:
        watchers = self._arbiter.watchers
        await self._remove([name for name in plan.add if name.lower() not in before])
        starting = []
        for name in (*plan.add, *plan.remove, *plan.replace, *plan.resize):
            was = before.get(name.lower())
            if was is None:
                continue
            watcher = watchers.get(name.lower())
            if watcher is None:
                watcher = self._arbiter.create(was.settings)
            elif name in plan.resize:
                watcher.resize(was.settings.numprocesses)
                continue
            else:
                watcher.adopt(was.settings)
            if was.to_run and (watcher.up or watcher not in overtaken):
                starting.append(watcher)
        await self._start(starting, self.config.circus.warmup_delay)

    async def _start(self, watchers: list[Watcher], warmup_delay: float) -> set[Watcher]:
        self._arbiter.warmup_delay = warmup_delay
        operation = Operation(watchers)
        await operation.ascend(Watcher.restart, warmup_delay)
        return operation.overtaken()

    async def _stop_all(self, operation: Operation) -> set[Watcher]:
        """Stop every watcher; return those over which somebody else has decided meanwhile."""
        await operation.descend(Watcher.stop)
        return operation.overtaken()

    async def _remove(self, names: Collection[str]) -> None:
        removed = [self._arbiter.watchers[name.lower()] for name in names if name.lower() in self._arbiter.watchers]
        for intent in [self._arbiter.remove(watcher) for watcher in removed]:
            await intent.settled()


def _with_implied(plan: Plan, old: Config, new: Config) -> Plan:
    """Add to a plan what becomes of the watchers that have no section of their own."""
    before = {settings.name: settings for settings in implied_watchers(old)}
    after = {settings.name: settings for settings in implied_watchers(new)}
    changed = tuple(name for name in before if name in after and before[name] != after[name])
    return replace(
        plan,
        add=(*plan.add, *(name for name in after if name not in before)),
        remove=(*plan.remove, *(name for name in before if name not in after)),
        replace=(*plan.replace, *changed),
        reasons={**plan.reasons, **dict.fromkeys(changed, "options of it in [circus] changed")},
    )


class _Before:
    """A watcher before a reload."""

    def __init__(self, watcher: Watcher) -> None:
        self.settings = watcher.next_settings
        self.to_run = _is_to_run(watcher)


def _is_to_run(watcher: Watcher) -> bool:
    """A watcher that somebody has stopped stays stopped; one that failed is tried again."""
    return (
        watcher.up
        or watcher.listening
        or bool(watcher.failure)
        or (watcher.settings.autostart and not watcher.goal.generation)
    )


def _failures(watchers: list[Watcher]) -> list[str]:
    failures = []
    for watcher in watchers:
        errors = [slot.last_error for slot in watcher.slots.values() if slot.spawn_failures]
        if errors:
            failures.append(f"{watcher.name}: {errors[0]}")
    return failures
