"""What distributions make of a configuration by ``circus_configure``. It is checked as what stands in a file is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from circus.config.faults import Place, Report
from circus.config.rules import check_watcher
from circus.config.schema import WATCHER, CircusSettings, PluginSettings, SocketSettings, WatcherSettings
from circus.exc import CircusError
from circus.hooks.registry import registry

if TYPE_CHECKING:
    from circus.config.ini import Document
    from circus.config.loader import Config

_SECTIONS = {"watchers": WatcherSettings, "sockets": SocketSettings, "plugins": PluginSettings}


def configure(config: Config, document: Document, report: Report) -> Config:
    """Return what distributions make of ``config``; it stays as it is where one of them fails, which is a fault."""
    try:
        changed: Config = registry().configure(config, _check)
    except CircusError as error:
        report.fault(Place(config.path, 0), "", "", f"{error}; accepted: a repaired or uninstalled distribution")
        return config
    if changed is config:
        return config
    changed = dataclasses.replace(
        changed,
        watchers=tuple(sorted(changed.watchers, key=_by_name)),
        sockets=tuple(sorted(changed.sockets, key=_by_name)),
        plugins=tuple(sorted(changed.plugins, key=_by_name)),
    )
    sockets = {socket.name: socket for socket in changed.sockets}
    for watcher in _new(config.watchers, changed.watchers):
        check_watcher(watcher, sockets, document, report)
    return changed


def _by_name(settings: Any) -> str:
    return str(settings.name)


def _check(before: Config, after: Any) -> None:
    """Raise ``ValueError`` for what no file could have led to."""
    if type(after) is not type(before):
        raise ValueError(f"it returned a {type(after).__name__}; return None, or a Config made by dataclasses.replace")
    if not isinstance(after.circus, CircusSettings):
        raise ValueError(f"circus is a {type(after.circus).__name__}; CircusSettings are needed")
    for name, kind in _SECTIONS.items():
        for item in getattr(after, name):
            if not isinstance(item, kind):
                raise ValueError(f"{name} has a {type(item).__name__}; {kind.__name__} are needed")
    names: set[str] = set()
    everyone: list[Any] = [*after.watchers, *after.plugins]
    for watcher in everyone:
        if not isinstance(watcher.name, str) or not watcher.name.strip() or not watcher.name.isprintable():
            raise ValueError(f"a watcher is called {watcher.name!r}; a name is needed")
        if watcher.name.lower() in names:
            raise ValueError(f"there are two watchers {watcher.name!r}; names that differ are needed")
        names.add(watcher.name.lower())
    for watcher in _new(before.watchers, after.watchers):
        _check_types(watcher)


def _new(before: tuple[WatcherSettings, ...], after: tuple[WatcherSettings, ...]) -> list[WatcherSettings]:
    known = {id(watcher) for watcher in before}
    return [watcher for watcher in after if id(watcher) not in known]


def _check_types(watcher: WatcherSettings) -> None:
    """Let the same checks judge it as judge what the command ``add`` brings."""
    values = {row.name: getattr(watcher, row.field) for row in WATCHER.values() if not row.prefix}
    families = {
        name: value for name in ("hooks", "stdout_stream", "stderr_stream") if (value := getattr(watcher, name))
    }
    try:
        limits = {f"rlimit_{name}": limit for name, limit in watcher.rlimits.items()}
        WatcherSettings.from_options(watcher.name, values.pop("cmd"), {**values, **families, **limits})
    except (CircusError, TypeError, AttributeError) as error:
        raise ValueError(f"the watcher {watcher.name!r}: {error}") from None
