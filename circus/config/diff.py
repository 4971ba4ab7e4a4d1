"""What ``reloadconfig`` has to do to get from one configuration to another: decided here, done by the arbiter."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from circus.config.loader import Config
from circus.config.schema import PluginSettings, WatcherSettings
from circus.config.sharing import same_binding, which

# What is included shows in the sections themselves.
_WITHOUT_EFFECT = ("include", "include_dir", "stream_backend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a reload, each a tuple of names in order. Watchers of plugins are among the watchers.

    ``restart_all``: ``[circus]`` changed, so everything is restarted in place; the other steps are listed all the same.
    ``resize`` has the new number of processes of each watcher in which nothing else changed.
    ``replace`` are watchers that changed, or that use a socket that did. ``reasons`` says for each what.
    ``sockets_adjust`` are sockets that stay the same ones while their options change.
    """

    restart_all: bool = False
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    resize: Mapping[str, int] = dataclasses.field(default_factory=dict)
    replace: tuple[str, ...] = ()
    sockets_add: tuple[str, ...] = ()
    sockets_remove: tuple[str, ...] = ()
    sockets_change: tuple[str, ...] = ()
    sockets_adjust: tuple[str, ...] = ()
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
        lines += [f"adjust socket {name}: {self.reasons[f'socket:{name}']}" for name in self.sockets_adjust]
        lines += [f"add socket {name}" for name in self.sockets_add]
        lines += [f"add watcher {name}" for name in self.add]
        lines += [f"resize watcher {name} to {number} processes" for name, number in self.resize.items()]
        lines += [f"replace watcher {name}: {self.reasons[name]}" for name in self.replace]
        return lines or ["nothing has changed"]


def diff(old: Config, new: Config, lost: Collection[str] = ()) -> Plan:
    """The plan that turns ``old`` into ``new``. Both have defaults filled in, so an option that was removed counts.

    ``lost`` are the names of sockets whose files are gone.
    """
    reasons: dict[str, str] = {}
    circus = [option for option in _changes(old.circus, new.circus) if option not in _WITHOUT_EFFECT]
    if circus:
        reasons["circus"] = f"{', '.join(circus)} of [circus] changed"
    sockets = Sockets(old, new, lost)
    reasons.update((f"socket:{name}", sockets.reason(name)) for name in sockets.changed)
    old_sockets = {socket.name: socket for socket in old.sockets}
    new_sockets = {socket.name: socket for socket in new.sockets}
    before, after = _watchers(old), _watchers(new)
    resize, replace = {}, []
    for name in _both(before, after):
        reason = _reason(before[name], after[name], sockets)
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
        sockets_change=tuple(name for name in sockets.changed if name not in sockets.adjusted),
        sockets_adjust=tuple(name for name in sockets.changed if name in sockets.adjusted),
        reasons=reasons,
    )


def with_others(plan: Plan, sockets: Sockets, watchers: Iterable[WatcherSettings]) -> Plan:
    """The plan that also replaces those of ``watchers`` which hold a changed socket though no file says so.

    They are what runs: a client may have added them, or changed their command.
    """
    reasons, resize, replace = dict(plan.reasons), dict(plan.resize), list(plan.replace)
    for settings in watchers:
        name = settings.name
        concerned = sockets.concerning(settings, settings)
        if concerned and name not in (*plan.add, *plan.remove, *plan.replace):
            replace.append(name)
            reasons[name] = _uses_changed(concerned)
            resize.pop(name, None)
    return dataclasses.replace(plan, replace=tuple(replace), resize=resize, reasons=reasons)


def _uses_changed(sockets: set[str]) -> str:
    return f"it uses the changed socket {', '.join(sorted(sockets))}"


class Sockets:
    """The sockets of two configurations, and whom the difference concerns."""

    def __init__(self, old: Config, new: Config, lost: Collection[str] = ()) -> None:
        self._old, self._new, self._lost = old.sockets, new.sockets, lost
        before = {socket.name: socket for socket in old.sockets}
        after = {socket.name: socket for socket in new.sockets}
        self.changed = {name: _changes(before[name], after[name]) for name in _both(before, after)}
        self.changed = {name: options for name, options in self.changed.items() if options or name in lost}
        # With SO_REUSEPORT the sockets are the processes' own, out of circusd's reach.
        self.adjusted = {
            name
            for name in self.changed
            if same_binding(before[name], after[name]) and not after[name].so_reuseport and name not in lost
        }
        self._moved = {*_missing(before, after), *_missing(after, before), *self.changed.keys() - self.adjusted}
        # A process sets itself up for the mode that it finds.
        self._moved |= {name for name in self.adjusted if "blocking" in self.changed[name]}

    def reason(self, name: str) -> str:
        """Why a socket is among the changed ones."""
        options = self.changed[name]
        reasons = [f"{', '.join(options)} changed"] if options else []
        return "; ".join([*reasons, "its file is gone"] if name in self._lost else reasons)

    def concerning(self, before: WatcherSettings, after: WatcherSettings) -> set[str]:
        """The changed sockets that the processes of a watcher hold, or are to hold."""
        if not self._moved:
            return set()
        return {*which(before, self._old).all, *which(after, self._new).all} & self._moved


def _watchers(config: Config) -> dict[str, WatcherSettings | PluginSettings]:
    result: dict[str, WatcherSettings | PluginSettings] = {watcher.name: watcher for watcher in config.watchers}
    result.update((plugin.name, plugin) for plugin in config.plugins if plugin.active)
    return result


def _process(settings: WatcherSettings | PluginSettings) -> WatcherSettings:
    return settings.watcher if isinstance(settings, PluginSettings) else settings


def _reason(before: WatcherSettings | PluginSettings, after: WatcherSettings | PluginSettings, sockets: Sockets) -> str:
    """Why a watcher has to change, empty if it has not, and just ``numprocesses`` if nothing else has changed."""
    options = _changes(_process(before), _process(after))
    if isinstance(before, PluginSettings) and isinstance(after, PluginSettings):
        options += [name for name in _changes(before, after) if name != "watcher"]
    concerned = sockets.concerning(_process(before), _process(after))
    if options == ["numprocesses"] and not concerned:
        return "numprocesses"
    reasons = [f"{', '.join(options)} changed"] if options else []
    if concerned:
        reasons.append(_uses_changed(concerned))
    return "; ".join(reasons)


def _changes(before: Any, after: Any) -> list[str]:
    """The names of the fields that differ, in their order."""
    return [item.name for item in dataclasses.fields(before) if getattr(before, item.name) != getattr(after, item.name)]


def _both(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[str]:
    return [name for name in before if name in after]


def _missing(names: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in others)
