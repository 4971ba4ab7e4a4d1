"""What ``reloadconfig`` has to do to get from one configuration to another: decided here, done by the arbiter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from circus.config.loader import Config
from circus.config.schema import PluginSettings, WatcherSettings
from circus.config.variables import sockets_named

# What is included shows in the sections themselves.
_WITHOUT_EFFECT = ("include", "include_dir", "stream_backend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a reload, each a tuple of names in order. Watchers of plugins are among the watchers.

    ``restart_all``: ``[circus]`` changed, so everything is restarted in place; the other steps are listed all the same.
    ``resize`` has the new number of processes of each watcher in which nothing else changed.
    ``replace`` are watchers that changed, or that use a socket that did. ``reasons`` says for each what.
    """

    restart_all: bool = False
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    resize: Mapping[str, int] = dataclasses.field(default_factory=dict)
    replace: tuple[str, ...] = ()
    sockets_add: tuple[str, ...] = ()
    sockets_remove: tuple[str, ...] = ()
    sockets_change: tuple[str, ...] = ()
    reasons: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return any(getattr(self, item.name) for item in dataclasses.fields(self))

    def as_dict(self) -> dict[str, Any]:
        """The plan in types that JSON knows."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def describe(self) -> list[str]:
        """One line for each step, for people; a single one if there is nothing to do."""
        lines = []
        if self.restart_all:
            lines.append(f"restart everything: {self.reasons['circus']}")
        lines += [f"remove watcher {name}" for name in self.remove]
        lines += [f"remove socket {name}" for name in self.sockets_remove]
        lines += [f"rebind socket {name}: {self.reasons[f'socket:{name}']}" for name in self.sockets_change]
        lines += [f"add socket {name}" for name in self.sockets_add]
        lines += [f"add watcher {name}" for name in self.add]
        lines += [f"resize watcher {name} to {number} processes" for name, number in self.resize.items()]
        lines += [f"replace watcher {name}: {self.reasons[name]}" for name in self.replace]
        return lines or ["nothing has changed"]


def diff(old: Config, new: Config) -> Plan:
    """The plan that turns ``old`` into ``new``. Both have defaults filled in, so an option that was removed counts."""
    reasons: dict[str, str] = {}
    circus = [option for option in _changes(old.circus, new.circus) if option not in _WITHOUT_EFFECT]
    if circus:
        reasons["circus"] = f"{', '.join(circus)} of [circus] changed"
    old_sockets = {socket.name: socket for socket in old.sockets}
    new_sockets = {socket.name: socket for socket in new.sockets}
    changed = {name: _changes(old_sockets[name], new_sockets[name]) for name in _both(old_sockets, new_sockets)}
    sockets_change = tuple(name for name, options in changed.items() if options)
    reasons.update((f"socket:{name}", f"{', '.join(changed[name])} changed") for name in sockets_change)
    before, after = _watchers(old), _watchers(new)
    moved = {name for name in {*old_sockets, *new_sockets} if old_sockets.get(name) != new_sockets.get(name)}
    resize, replace = {}, []
    for name in _both(before, after):
        reason = _reason(before[name], after[name], moved)
        if reason == "numprocesses":
            resize[name] = _process(after[name]).numprocesses
        elif reason:
            replace.append(name)
            reasons[name] = reason
    return Plan(
        restart_all=bool(circus),
        add=_missing(after, before),
        remove=_missing(before, after),
        resize=resize,
        replace=tuple(replace),
        sockets_add=_missing(new_sockets, old_sockets),
        sockets_remove=_missing(old_sockets, new_sockets),
        sockets_change=sockets_change,
        reasons=reasons,
    )


def uses_socket(watcher: WatcherSettings, names: set[str]) -> set[str]:
    """Those of ``names`` whose sockets the watcher's processes get, in whatever way."""
    if watcher.use_sockets:
        return set(names)
    args = watcher.args if isinstance(watcher.args, str) else " ".join(watcher.args)
    named = sockets_named(" ".join((watcher.cmd, args, watcher.shell_args or "")))
    return names & (named | {watcher.stdin_socket or ""})


def _watchers(config: Config) -> dict[str, WatcherSettings | PluginSettings]:
    result: dict[str, WatcherSettings | PluginSettings] = {watcher.name: watcher for watcher in config.watchers}
    result.update((plugin.name, plugin) for plugin in config.plugins if plugin.active)
    return result


def _process(settings: WatcherSettings | PluginSettings) -> WatcherSettings:
    return settings.watcher if isinstance(settings, PluginSettings) else settings


def _reason(before: WatcherSettings | PluginSettings, after: WatcherSettings | PluginSettings, moved: set[str]) -> str:
    """Why a watcher has to change, empty if it has not, and just ``numprocesses`` if nothing else has changed."""
    options = _changes(_process(before), _process(after))
    if isinstance(before, PluginSettings) and isinstance(after, PluginSettings):
        options += [name for name in _changes(before, after) if name != "watcher"]
    sockets = uses_socket(_process(before), moved)
    if options == ["numprocesses"] and not sockets:
        return "numprocesses"
    reasons = [f"{', '.join(options)} changed"] if options else []
    if sockets:
        reasons.append(f"it uses the changed socket {', '.join(sorted(sockets))}")
    return "; ".join(reasons)


def _changes(before: Any, after: Any) -> list[str]:
    """The names of the fields that differ, in their order."""
    return [item.name for item in dataclasses.fields(before) if getattr(before, item.name) != getattr(after, item.name)]


def _both(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[str]:
    return [name for name in before if name in after]


def _missing(names: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in others)
