"""Settings that change while processes run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circus.kernel.watcher import Watcher


def resize(watcher: Watcher, count: int) -> None:
    """Change the number of processes in whatever settings may come to count."""
    watcher.settings = replace(watcher.settings, numprocesses=count)
    watcher.successor = watcher.successor and replace(watcher.successor, numprocesses=count)
    watcher.unproven = watcher.unproven and replace(watcher.unproven, numprocesses=count)


def set_options(watcher: Watcher, options: Mapping[str, Any]) -> bool:
    """Change options; return whether the processes have to be replaced for that.

    Raise ``MessageError``, with nothing changed, if one of them is wrong.
    """
    before, waited = watcher.settings, watcher.listening
    settings, effects = before.with_options(options)
    replaced = "stream" in effects and watcher.context.host.restream(before, settings)
    if watcher.unproven is not None:
        # What needs no new processes stays changed, whatever becomes of the reload under way.
        watcher.unproven, _ = watcher.unproven.with_options(before.without_reload(options))
    if watcher.successor is not None:
        watcher.successor, _ = watcher.successor.with_options(options)
    watcher.settings = settings
    for key in options:
        watcher.publish("updated", option=key)
    if waited and not watcher.listening:
        watcher.start()
        return False
    if not watcher.goal.up or not (replaced or "reload" in effects):
        return False
    watcher.unproven = watcher.unproven or before
    return True
