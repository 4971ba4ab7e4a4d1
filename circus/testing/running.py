"""Plugins in the process of a test, so that it can look into them: the real runtime, beside a real circusd."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from circus.plugins import CircusPlugin
from circus.plugins.briefing import Briefing
from circus.plugins.loading import make_plugin
from circus.plugins.runtime import Runtime
from circus.testing.circusd import Circusd
from circus.testing.waiting import DEADLINE, wait_until

Plugin = TypeVar("Plugin", bound=CircusPlugin)


class RunPlugin:
    """Runs plugins beside a daemon, each in a thread: what the fixture ``run_plugin`` gives."""

    def __init__(self, circusd: Circusd) -> None:
        self._circusd = circusd
        self._threads: dict[CircusPlugin, _Thread] = {}

    def __call__(self, factory: Callable[..., Plugin], /, **config: Any) -> Plugin:
        """Run a plugin and return it, as soon as it takes part: it hears of all that happens from now on.

        ``config`` are the options of its section; they reach it as texts, as from an ini file. What its constructor
        raises becomes a :class:`~circus.plugins.loading.PluginError` here.
        """
        if self._circusd.process is None:
            raise AssertionError("circusd is not running yet: call circusd.start() before run_plugin()")
        name = getattr(factory, "name", "") or getattr(factory, "__name__", "plugin").lower()
        briefing = Briefing(
            name=f"plugin:{name}",
            factory=f"{factory.__module__}:{getattr(factory, '__qualname__', name)}",
            config={key: str(value) for key, value in config.items()},
            endpoint=self._circusd.endpoint,
            pubsub_endpoint=self._circusd.pubsub_endpoint,
        )
        thread = _Thread(factory, briefing)
        plugin: Plugin = thread.begin()
        self._threads[plugin] = thread
        return plugin

    def catch_up(self, plugin: CircusPlugin) -> None:
        """Wait until a plugin has heard of all that has happened so far, and is done with it."""
        last = int(self._circusd.call("events", limit=0)["last_seq"])
        thread = self._threads[plugin]
        wait_until(lambda: thread.seq >= last, f"{thread.name} has heard of event {last}")

    def stop(self, plugin: CircusPlugin) -> None:
        """End a plugin as circusd does, with ``handle_stop``. What is not ended by the test ends with it."""
        self._threads.pop(plugin).end()

    def close(self) -> None:
        """End all of them."""
        for plugin in list(self._threads):
            self.stop(plugin)


class _Thread(threading.Thread):
    """One plugin with a loop of its own."""

    def __init__(self, factory: Callable[..., Any], briefing: Briefing) -> None:
        super().__init__(name=briefing.name, daemon=True)
        self._factory = factory
        self._briefing = briefing
        self._begun = threading.Event()
        self._runtime: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None

    @property
    def seq(self) -> int:
        """The number of the last event that the plugin is done with."""
        self._raise_error()
        return self._runtime.progress.seq if self._runtime is not None else 0

    def begin(self) -> Any:
        """Start it, wait until it takes part, and return the plugin."""
        self.start()
        begun = self._begun.wait(DEADLINE)
        self._raise_error()
        if self._runtime is None or not begun:
            raise AssertionError(f"{self.name} does not take part within {DEADLINE} s: something in it blocks")
        if not self._runtime.takes_part:
            raise AssertionError(f"{self.name} has ended before it took part; see the captured log")
        return self._runtime.plugin

    def end(self) -> None:
        """Stop it. Raise what it ended with, if that was an error."""
        if self.is_alive() and self._loop is not None and self._runtime is not None:
            self._loop.call_soon_threadsafe(self._runtime.end)
        self.join(DEADLINE)
        self._raise_error()
        if self.is_alive():
            raise AssertionError(f"{self.name} has not ended within {DEADLINE} s: something in it blocks")

    def run(self) -> None:
        """In the thread."""
        try:
            asyncio.run(self._host())
        except BaseException as error:
            self._error = error
        finally:
            self._begun.set()

    async def _host(self) -> None:
        self._loop = asyncio.get_running_loop()
        plugin = make_plugin(self._factory, self._briefing)
        self._runtime = Runtime(plugin, self._briefing, self._begun.set)
        await self._runtime.run()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
