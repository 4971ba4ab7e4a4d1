"""``reloadconfig``: the plan is made and checked first, then applied whole; what fails is rolled back and reported."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from circus.exc import CircusError, CommandFailed
from circus.kernel.order import Operation
from circus.kernel.watcher import Watcher

if TYPE_CHECKING:
    from circus.config import Config
    from circus.config.diff import Plan
    from circus.config.schema import CircusSettings, WatcherSettings
    from circus.kernel.arbiter import Arbiter

log = logging.getLogger("circus")


class Change(Protocol):
    """A change of the daemon itself that is prepared: nothing that was there before is gone yet."""

    def commit(self) -> None:
        """Let go of what was there before."""

    def undo(self) -> None:
        """Let go of what is new."""


Prepare = Callable[["CircusSettings", "CircusSettings"], Change]


class Reloader:
    """Brings a daemon from the configuration that it runs to the one that its file holds now."""

    def __init__(self, arbiter: Arbiter, config: Config, prepare: Prepare) -> None:
        self.config = config
        self._arbiter = arbiter
        self._prepare = prepare
        self._lock = asyncio.Lock()

    async def plan(self) -> dict[str, Any]:
        """Return what :meth:`reload` would do. Raise ``ConfigError`` with every fault of the file."""
        _, plan = await self._read()
        return {**plan.as_dict(), "steps": plan.describe()}

    async def reload(self) -> dict[str, Any]:
        """Apply what changed in the file. Raise ``ConfigError`` or ``CommandFailed``, with everything as it was before."""
        async with self._lock:
            old = self.config
            new, plan = await self._read()
            change = self._prepare(old.circus, new.circus)
            failures = await (self._restart_all(new) if plan.restart_all else self._apply(new, plan))
            if failures:
                log.error("reloadconfig failed and is rolled back: %s", "; ".join(failures))
                change.undo()
                self.config = new
                back = self._diff(new, old)
                await (self._restart_all(old) if plan.restart_all else self._apply(old, back))
                raise CommandFailed("rolled back: " + "; ".join(failures))
            change.commit()
            log.info("reloadconfig: %s", "; ".join(plan.describe()))
            return {"steps": plan.describe()}

    async def restart(self) -> dict[str, Any]:
        """Stop everything, take over what the file holds now, and start everything."""
        async with self._lock:
            old = self.config
            new, _ = await self._read()
            change = self._prepare(old.circus, new.circus)
            failures = await self._restart_all(new)
            change.commit()
            if failures:
                raise CommandFailed("; ".join(failures))
            return {}

    async def _read(self) -> tuple[Config, Plan]:
        from circus.config import load

        read = functools.partial(load, self.config.path, check_paths=True)
        new = await self._arbiter.loop.run_in_executor(None, read)
        return new, self._diff(self.config, new)

    def _diff(self, old: Config, new: Config) -> Plan:
        from circus.config.diff import diff

        return diff(old, new)

    async def _restart_all(self, new: Config) -> list[str]:
        operation = Operation(self._arbiter.in_order())
        await operation.descend(Watcher.stop)
        plan = self._diff(self.config, new)
        await self._remove(plan.remove)
        wanted = self._settings(new)
        for settings in wanted.values():
            watcher = self._arbiter.watchers.get(settings.name.lower())
            if watcher is None:
                self._arbiter.create(settings)
            else:
                watcher.settings = settings
        self._arbiter.warmup_delay = new.circus.warmup_delay
        self.config = new
        changed = {name.lower() for name in (*plan.add, *plan.replace)}
        starting = [watcher for watcher in self._arbiter.in_order() if watcher.settings.autostart]
        await Operation(starting).ascend(Watcher.start, self._arbiter.warmup_delay)
        return _failures([watcher for watcher in starting if watcher.name.lower() in changed])

    async def _apply(self, new: Config, plan: Plan) -> list[str]:
        wanted = self._settings(new)
        await self._remove(plan.remove)
        starting = []
        for name, count in plan.resize.items():
            watcher = self._arbiter.watchers.get(name.lower())
            if watcher is not None:
                watcher.resize(count)
        for name, settings in wanted.items():
            watcher = self._arbiter.watchers.get(name.lower())
            if watcher is None:
                watcher = self._arbiter.create(settings)
                starting += [watcher] if settings.autostart else []
            elif name in plan.replace or name in plan.add:
                watcher.settings = settings
                starting += [watcher] if _is_to_run(watcher) else []
        self.config = new
        await Operation(starting).ascend(Watcher.restart, self._arbiter.warmup_delay)
        return _failures(starting)

    async def _remove(self, names: tuple[str, ...]) -> None:
        removed = [self._arbiter.watchers[name.lower()] for name in names if name.lower() in self._arbiter.watchers]
        for intent in [self._arbiter.remove(watcher) for watcher in removed]:
            await intent.settled()

    def _settings(self, config: Config) -> dict[str, WatcherSettings]:
        return {settings.name: settings for settings in config.watchers}


def _is_to_run(watcher: Watcher) -> bool:
    """A watcher that somebody has stopped stays stopped; one that failed is tried again."""
    return watcher.up or bool(watcher.failure) or (watcher.settings.autostart and not watcher.goal.generation)


def _failures(watchers: list[Watcher]) -> list[str]:
    failures = []
    for watcher in watchers:
        errors = [slot.last_error for slot in watcher.slots.values() if slot.spawn_failures]
        if errors:
            failures.append(f"{watcher.name}: {errors[0]}")
    return failures


def no_configuration() -> CircusError:
    """Return the error of a daemon that was not started from a file."""
    return CircusError("this daemon was not started from a configuration file: there is nothing to read again")
