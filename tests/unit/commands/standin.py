"""An arbiter that only remembers, for tests of the commands alone; what they set in motion needs a daemon."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from circus.config.schema import WatcherSettings
from circus.exc import MessageError


class StandInIntent:
    def __init__(self, **reply: Any) -> None:
        self.seq = 7
        self.reply = reply

    async def wait(self) -> dict[str, Any]:
        return {"seq": self.seq, **self.reply}


class StandInWatcher:
    def __init__(self, name: str, **options: Any) -> None:
        self.settings = WatcherSettings.from_options(name, "sleep 60", options)
        self.calls: list[tuple[Any, ...]] = []

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def next_settings(self) -> WatcherSettings:
        return self.settings

    def pids(self) -> list[int]:
        return [101, 102]

    def status(self) -> str:
        return "active"

    def explain(self) -> dict[str, Any]:
        return {"state": "active", "detail": "", "reason": "", "processes": []}

    def resize(self, count: int) -> StandInIntent:
        self.settings = dataclasses.replace(self.settings, numprocesses=count)
        return StandInIntent(numprocesses=count)

    def set_options(self, options: Mapping[str, Any]) -> StandInIntent:
        for key, value in options.items():
            self.settings, _ = self.settings.with_option(key, value)
        return StandInIntent()

    def kill(self, *arguments: Any) -> StandInIntent:
        self.calls.append(("kill", *arguments))
        return StandInIntent()

    def signal(self, signum: int, **which: Any) -> None:
        if signum > 64:
            raise OSError(22, "Invalid argument")
        self.calls.append(("signal", signum, which))

    def start(self) -> StandInIntent:
        return StandInIntent(info={"started": [101], "kept": []})

    stop = restart = start


class StandInHost:
    async def reopen(self, watcher: str | None) -> list[str]:
        return []

    def sockets(self) -> list[dict[str, Any]]:
        raise ZeroDivisionError("a defect")

    def logs(self, watchers: list[str], lines: int, only: str, *, pieces: bool) -> list[dict[str, Any]]:
        return [{"watcher": name, "lines": lines, "only": only, "pieces": pieces} for name in watchers]


class StandInJournal:
    boot = "abc"


class StandInArbiter:
    host = StandInHost()
    journal = StandInJournal()
    endpoint = "tcp://127.0.0.1:5555"
    pubsub_endpoint = "tcp://127.0.0.1:5556"
    stats_endpoint = "tcp://127.0.0.1:5557"
    multicast_endpoint = ""
    check_delay = 5.0

    def __init__(self, *watchers: StandInWatcher) -> None:
        self.watchers = {watcher.name.lower(): watcher for watcher in watchers}

    def get_watcher(self, name: str) -> StandInWatcher:
        try:
            return self.watchers[name.lower()]
        except KeyError:
            raise MessageError(f"program {name} not found") from None

    find_watcher = get_watcher

    def in_order(self) -> list[StandInWatcher]:
        return list(self.watchers.values())

    def start(self, watchers: list[StandInWatcher] | None = None) -> StandInIntent:
        return watchers[0].start() if watchers is not None and len(watchers) == 1 else StandInIntent()

    stop = restart = start

    def add(self, settings: WatcherSettings, start: bool) -> StandInIntent:
        self.watchers[settings.name.lower()] = StandInWatcher(settings.name)
        return StandInIntent(info={"started": [9], "kept": [], "stopped": []})
