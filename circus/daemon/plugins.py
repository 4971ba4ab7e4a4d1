"""circusd's side of its plugins: the watchers that they run under, what each is told, and how far each has come."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from circus.exc import CircusError, SpawnError
from circus.hooks.registry import registry
from circus.stream.custom import is_custom
from circus.util import default_stats_endpoint

if TYPE_CHECKING:
    from circus.config import Config
    from circus.config.schema import CircusSettings, PluginSettings, WatcherSettings
    from circus.kernel.arbiter import Arbiter
    from circus.stream.handover import Remote

log = logging.getLogger("circus")

_PROGRESS_SIZE: Final = 16
"""Bytes of a plugin's memory; see :class:`circus.plugins.briefing.Progress`."""

HOOK_RUNNER: Final = "hooks"
"""Name of the plugin that runs the functions which watchers name as their hooks."""

STREAM_RUNNER: Final = "streams"
"""Name of the plugin that runs the streams whose classes are not circusd's own."""

STATS: Final = "circusd-stats"
"""Name of the plugin that publishes statistics, and of its watcher."""

LogOptions = Callable[["CircusSettings"], dict[str, Any]]
"""Returns how circusd's log is set up by its configuration and its command line."""


class PluginHost:
    """What the plugins of one daemon need from it."""

    def __init__(self, settings: CircusSettings, log_options: LogOptions) -> None:
        self.arbiter: Arbiter
        self.remote: Remote
        self.settings = settings
        """The ``[circus]`` that plugins which start now are to find; in a reload it is the new one at once."""
        self.endpoint = self.pubsub_endpoint = ""
        self._log_options = log_options
        self._memories: dict[str, _Memory] = {}
        self._briefings: dict[str, int] = {}

    def brief(self, settings: WatcherSettings) -> tuple[int, tuple[int, ...]]:
        """Return what becomes the standard input of a plugin that is about to start, and what else it inherits.

        Both are memory without a name, so that no other user sees what is in it. Raise ``SpawnError`` if there is none.
        """
        told = json.loads(settings.briefing)
        try:
            memory = self._memory(settings.name, told["factory"])
            channel = self.remote.channel() if _runs_streams(told["factory"]) else None
            briefing = os.memfd_create("briefing")
        except OSError as error:
            raise SpawnError("resources", f"no memory for what the plugin is to be told: {error.strerror}") from None
        # It is held until the next one: the process has its own descriptor by then.
        self._close(self._briefings.get(settings.name.lower()))
        self._briefings[settings.name.lower()] = briefing
        told |= {
            "name": settings.name,
            "endpoint": self.endpoint,
            "pubsub_endpoint": self.pubsub_endpoint,
            "check_delay": self.settings.check_delay,
            "boot": self.arbiter.journal.boot,
            "daemon": os.getpid(),
            "progress": memory.descriptor,
            "channel": channel,
            # What a stream writes to its standard output is meant to come out at circusd's.
            "debug": self.settings.debug or channel is not None,
            "log": self._log_options(self.settings),
        }
        with os.fdopen(briefing, "wb", closefd=False) as file:
            file.write(json.dumps(told).encode())
        os.lseek(briefing, 0, os.SEEK_SET)
        return briefing, (memory.descriptor,) if channel is None else (memory.descriptor, channel)

    def progress(self, name: str) -> int | None:
        """Return the number of the last event that a plugin has finished; None if it has finished none."""
        memory = self._memories.get(name.lower())
        return (memory.seq or None) if memory is not None else None

    def summon(self, name: str) -> None:
        """Start the plugin that is registered under a name, though the configuration has no section for it."""
        watcher = self.arbiter.watchers.get(f"plugin:{name}")
        try:
            if watcher is None:
                watcher = self.arbiter.create(_registered(name))
            if not watcher.up:
                watcher.start()
        except CircusError as error:
            log.error("plugin:%s cannot be started: %s", name, error)

    def close(self) -> None:
        """Let go of every descriptor."""
        self.remote.close()
        for descriptor in self._briefings.values():
            self._close(descriptor)
        for memory in self._memories.values():
            self._close(memory.descriptor)
        self._briefings.clear()
        self._memories.clear()

    def _memory(self, name: str, factory: str) -> _Memory:
        """What a predecessor of the same kind has left, or something new."""
        memory = self._memories.get(name.lower())
        if memory is None or memory.factory != factory:
            self._close(memory.descriptor if memory is not None else None)
            memory = self._memories[name.lower()] = _Memory(factory)
        return memory

    def _close(self, descriptor: int | None) -> None:
        if descriptor is not None:
            os.close(descriptor)


class _Memory:
    """Where the processes of one plugin leave word of how far they have come."""

    def __init__(self, factory: str) -> None:
        self.factory = factory
        self.descriptor = os.memfd_create("progress")
        os.ftruncate(self.descriptor, _PROGRESS_SIZE)

    @property
    def seq(self) -> int:
        return int.from_bytes(os.pread(self.descriptor, 8, 0), sys.byteorder)


def _registered(name: str, **config: str) -> WatcherSettings:
    """The watcher of a registered plugin without a section. Raise ``CircusError`` if there is no such plugin."""
    from circus.config.loader import make_plugin

    if registry().find_plugin(name) is None:
        raise CircusError(registry().missing("plugin", name, registry().plugins, "a registered name"))
    watcher = _briefed(make_plugin(name, {}, config, {}))
    # The output of other plugins may be for it: it starts before them and ends after them.
    return replace(watcher, priority=watcher.priority + 1) if name == STREAM_RUNNER else watcher


def _runs_streams(factory: str) -> bool:
    found = registry().find_plugin(STREAM_RUNNER)
    return found is not None and found.spec.factory == factory


def every_watcher(config: Config) -> tuple[WatcherSettings, ...]:
    """Return the watchers of a configuration, with those of active plugins and what it needs beside them."""
    return (*_written(config), *implied_watchers(config))


def implied_watchers(config: Config) -> tuple[WatcherSettings, ...]:
    """Return what has no section of its own: what runs functions of hooks and streams, and circusd-stats."""
    written = _written(config)
    needed = {
        HOOK_RUNNER: any(watcher.hooks for watcher in written),
        STREAM_RUNNER: any(is_custom(watcher.stdout_stream) or is_custom(watcher.stderr_stream) for watcher in written),
    }
    runners = [_registered(name) for name in needed if needed[name] and registry().find_plugin(name) is not None]
    names = {watcher.name.lower() for watcher in written}
    implied = [runner for runner in runners if runner.name not in names]
    if config.circus.statsd:
        implied.append(_stats(config.circus))
    return tuple(implied)


def _written(config: Config) -> list[WatcherSettings]:
    return [*config.watchers, *(_briefed(plugin) for plugin in config.plugins if plugin.active)]


def _stats(settings: CircusSettings) -> WatcherSettings:
    closed = settings.statsd_close_outputs
    endpoint = settings.stats_endpoint or default_stats_endpoint()
    stats = _registered(STATS, stats_endpoint=endpoint, children=str(settings.statsd_children))
    return replace(stats, name=STATS, use_sockets=True, close_child_stdout=closed, close_child_stderr=closed)


def _briefed(plugin: PluginSettings) -> WatcherSettings:
    """A plugin's watcher, with what its process must be told and nobody else may see."""
    return replace(plugin.watcher, briefing=json.dumps({"factory": plugin.factory, "config": dict(plugin.config)}))
