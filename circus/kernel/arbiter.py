"""The arbiter: all watchers, and what can be done to them together."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from circus.exc import AlreadyExist, MessageError
from circus.kernel.context import Context, Host
from circus.kernel.gates import Gates
from circus.kernel.intents import Intent
from circus.kernel.journal import RING_SIZE, Journal
from circus.kernel.order import Act, Operation, by_priority
from circus.kernel.orphans import Orphans
from circus.kernel.readiness import Readiness
from circus.kernel.reaper import Reaper
from circus.kernel.reloader import Reloader, no_configuration
from circus.kernel.runqueue import Actor, RunQueue
from circus.kernel.strangers import GRACE
from circus.kernel.tasks import Tasks
from circus.kernel.watcher import Watcher

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings

log = logging.getLogger("circus")

REPLY_TIME = 0.01
"""Seconds between the end of everything and the closing of the sockets: who waits for the reply to ``quit`` gets it."""

RETRY_AFTER_DEFECT = 1.0
"""Seconds after which an actor with a defect is given another turn."""


class Arbiter:
    """Every command ends here. Methods return at once, with an :class:`Intent` where something takes time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, host: Host, *, ring_size: int = RING_SIZE, warmup_delay: float = 0.0
    ) -> None:
        self.loop = loop
        self.warmup_delay = warmup_delay
        self.endpoint = self.pubsub_endpoint = self.stats_endpoint = self.multicast_endpoint = ""
        self.check_delay = 0.0
        self.host = host
        self.reloader: Reloader | None = None
        self.journal = Journal(ring_size)
        self.watchers: dict[str, Watcher] = {}
        self.exit_code = 0
        """Status with which the daemon should end: not 0 after a watcher with ``on_failure = exit`` gave up."""
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when everything has been stopped after :meth:`quit`."""
        self._leaving: list[Watcher] = []
        self._sweeping: asyncio.TimerHandle | None = None
        self._quitting: Intent | None = None
        self._grace: float | None = None
        self._tasks = Tasks(loop, self.journal, self._on_defect)
        self._readiness = Readiness(loop, self.watchers)
        queue = RunQueue(loop, self._on_defect)
        orphans = Orphans(loop, queue, self.journal.boot)
        self.reaper = orphans.reaper = Reaper(orphans.stranger_died, self._on_defect)
        self.gates = Gates(loop, self._is_up)
        ready, failed = self._readiness.address, self._on_failure
        self._context = Context(loop, queue, self.journal, self.reaper, orphans, self.gates, ready, failed, host)

    def get_watcher(self, name: str) -> Watcher:
        """Return the watcher of that name, in any letter case. Raise ``MessageError`` if there is none."""
        try:
            return self.watchers[name.lower()]
        except KeyError:
            raise MessageError(f"program {name} not found") from None

    def find_watcher(self, name: str) -> Watcher:
        """As :meth:`get_watcher`, one that was removed and is not gone yet too: its hooks want to know of it."""
        leaving = (watcher for watcher in self._leaving if watcher.name.lower() == name.lower())
        return self.watchers.get(name.lower()) or next(leaving, None) or self.get_watcher(name)

    def in_order(self) -> list[Watcher]:
        """Return all watchers, the highest priority first."""
        return by_priority(self.watchers.values())

    # What is wanted of many.

    def start(self, watchers: Sequence[Watcher] | None = None) -> Intent:
        """Start watchers in order: one as asked, of several those with ``autostart``, from high priority to low."""
        self._context.refuse_when_closing()
        if watchers is not None and len(watchers) == 1:
            return watchers[0].start()
        chosen = [watcher for watcher in (watchers or self.in_order()) if watcher.settings.autostart]
        operation = Operation(chosen)
        return self._ascend("start", operation, Watcher.start)

    def stop(self, watchers: Sequence[Watcher] | None = None) -> Intent:
        """Stop watchers, from low priority to high; each level waits for the one before."""
        if watchers is not None and len(watchers) == 1:
            return watchers[0].stop()
        operation = Operation(watchers or self.in_order())
        return self._descend("stop", operation, Watcher.stop)

    def start_up(self, on_started: Callable[[], None]) -> Intent:
        """Start every watcher with ``autostart``; call ``on_started`` when each was tried."""
        operation = Operation([watcher for watcher in self.in_order() if watcher.settings.autostart])

        async def ascend() -> None:
            await operation.ascend(Watcher.start, self.warmup_delay)
            on_started()

        return self._tasks.operate("start", operation, ascend)

    def restart(self, watchers: Sequence[Watcher] | None = None) -> Intent:
        """Restart watchers, from high priority to low; all of them: with what the configuration file holds now."""
        self._context.refuse_when_closing()
        if watchers is None and self.reloader is not None:
            # It claims them now: who decides over one of them while this waits for its turn comes after it.
            return self._tasks.run("restart", functools.partial(self.reloader.restart, Operation(self.in_order())))
        watchers = self.in_order() if watchers is None else watchers
        if len(watchers) == 1:
            return watchers[0].restart()
        operation = Operation(watchers)
        return self._ascend("restart", operation, Watcher.restart)

    def reload(
        self, watchers: Sequence[Watcher] | None = None, *, graceful: bool = True, sequential: bool = False
    ) -> Intent:
        """Reload watchers, from high priority to low; stopped ones are started. All of them: log files are reopened."""
        self._context.refuse_when_closing()
        if watchers is None:
            self.host.reopen(None)

        def act(watcher: Watcher) -> Intent:
            return watcher.reload(graceful=graceful, sequential=sequential)

        if watchers is not None and len(watchers) == 1:
            return act(watchers[0])
        operation = Operation(watchers or self.in_order())
        return self._ascend("reload", operation, act)

    def reload_config(self) -> Intent:
        """Read the configuration file again and apply what changed. Raise ``CircusError`` if there is no file."""
        self._context.refuse_when_closing()
        if self.reloader is None:
            raise no_configuration()
        return self._tasks.run("reloadconfig", self.reloader.reload)

    async def plan_reload(self) -> dict[str, Any]:
        """Return what :meth:`reload_config` would do. Raise ``ConfigError`` with every fault of the file."""
        if self.reloader is None:
            raise no_configuration()
        return await self.reloader.plan()

    # Structure.

    def create(self, settings: WatcherSettings) -> Watcher:
        """Make a watcher, stopped, and return it. Raise ``AlreadyExist`` if the name is taken in any letter case."""
        self._context.refuse_when_closing()
        key = settings.name.lower()
        if key in self.watchers:
            raise AlreadyExist(f"{settings.name!r} already exist")
        watcher = self.watchers[key] = Watcher(self._context, settings)
        watcher.predecessor = next((other for other in self._leaving if other.name.lower() == key), None)
        return watcher

    def add(self, settings: WatcherSettings, start: bool = False) -> Intent:
        """Make a watcher by command, and start it if that is wanted."""
        watcher = self.create(settings)
        watcher.publish("add")
        if not start:
            return self._done("add")
        started = watcher.start()

        async def reply() -> dict[str, Any]:
            result = await started.wait()
            return dict(result.get("info") or {"superseded": True})

        return self._tasks.run("add", reply)

    def remove(self, watcher: Watcher, nostop: bool = False) -> Intent:
        """Take a watcher away, after its processes have been stopped; with ``nostop`` they live on."""
        watcher.publish("remove")
        self.watchers.pop(watcher.name.lower(), None)
        if nostop:
            watcher.disown()
            return self._done("remove")
        self._leaving.append(watcher)
        operation = Operation([watcher])

        async def leave() -> None:
            await operation.descend(Watcher.stop)
            self._leaving.remove(watcher)
            self._context.orphans.forget(watcher)
            for successor in [other for other in self.watchers.values() if other.predecessor is watcher]:
                successor.predecessor = None
                successor.wake()

        return self._tasks.operate("remove", operation, leave)

    def quit(self) -> Intent:
        """Stop everything in order, whatever else runs; then :attr:`ended` is done. Again: the same."""
        if self._quitting is None:
            self._tasks.cancel()
            self._context.closing = True
            operation = Operation([*self.watchers.values(), *self._leaving])
            self._quitting = quitting = self._descend("quit", operation, self._stop_in_time)

            async def end() -> dict[str, Any]:
                await quitting.settled()
                orphans = self._context.orphans
                orphans.turn(0)
                await orphans.strangers.end(GRACE if self._grace is None else self._grace)
                await asyncio.sleep(REPLY_TIME)
                self.ended.set_result(None)
                return {}

            self._tasks.run("end", end)
        return self._quitting

    @property
    def quitting(self) -> bool:
        """True from the acceptance of :meth:`quit` on."""
        return self._quitting is not None

    def hurry(self, seconds: float) -> None:
        """Shorten the grace of whatever is being stopped, and of what is stopped from now on."""
        self._grace = seconds
        for watcher in [*self.watchers.values(), *self._leaving]:
            watcher.hurry(seconds)

    def sweep(self) -> None:
        """Look for whatever no signal has told of, and again each ``check_delay`` seconds; 0 or less: never.

        To be called again when ``check_delay`` has changed.
        """
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self.check_delay > 0:
            self.reaper.drain()
            self._context.queue.wake(self._context.orphans)
            self._sweeping = self.loop.call_later(self.check_delay, self.sweep)

    def close(self) -> None:
        """Let go of what the kernel holds open."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._tasks.cancel()
        self._readiness.close()

    # Inside.

    def _is_up(self, name: str) -> bool:
        watcher = self.watchers.get(name.lower())
        return watcher is not None and watcher.up

    def _stop_in_time(self, watcher: Watcher) -> Intent:
        watcher.gating.limit(watcher.settings.graceful_timeout)
        intent = watcher.stop()
        if self._grace is not None:
            self.loop.call_soon(watcher.hurry, self._grace)
        return intent

    def _ascend(self, kind: str, operation: Operation, act: Act) -> Intent:
        return self._tasks.operate(kind, operation, functools.partial(operation.ascend, act, self.warmup_delay))

    def _descend(self, kind: str, operation: Operation, act: Act) -> Intent:
        return self._tasks.operate(kind, operation, functools.partial(operation.descend, act))

    def _done(self, kind: str) -> Intent:
        intent = Intent(kind, self.journal.seq)
        intent.finish()
        return intent

    def _on_failure(self, name: str, exit_code: int) -> None:
        if self._quitting is None:
            log.error("%s failed for good and on_failure = exit: circusd stops, with status %d", name, exit_code)
            self.exit_code = exit_code
            self.quit()

    def _on_defect(self, actor: Actor | None, error: BaseException) -> None:
        name = actor.name if isinstance(actor, Watcher) else "circus"
        log.error("internal error in %s: please report it", name, exc_info=error)
        self.journal.publish(name, "internal-error", error=repr(error))
        if actor is not None:
            self.loop.call_later(RETRY_AFTER_DEFECT, self._context.queue.wake, actor)
