"""What a plugin implements of the lifecycle specs, and how to call it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pluggy

from circus.hooks.specs import GROUP, Lifecycle
from circus.kinds import HOOKS, nearest
from circus.plugins.loading import PluginError

if TYPE_CHECKING:
    from circus.events import Event
    from circus.hooks.proxies import ArbiterProxy
    from circus.plugins.base import CircusPlugin

_SPECS = ("on_event", "on_resync", *HOOKS)


class Hooked:
    """Calls the hooks of one plugin. Raise ``PluginError`` if it implements one that there is not."""

    def __init__(self, plugin: CircusPlugin) -> None:
        _require_known(plugin)
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(Lifecycle)
        try:
            manager.register(plugin)
        except pluggy.PluginValidationError as error:
            raise PluginError(" ".join(str(error).split())) from None
        self._caller = manager.hook
        self.hooks = [name for name in HOOKS if getattr(manager.hook, name).get_hookimpls()]
        """The names of the hooks at which it wants to be asked."""

    async def on_event(self, event: Event) -> None:
        """Tell it of an event."""
        await _finish(self._caller.on_event(event=event))

    async def on_resync(self, snapshot: dict[str, Any]) -> None:
        """Tell it how everything is."""
        await _finish(self._caller.on_resync(snapshot=snapshot))

    async def ask(self, gate: dict[str, Any], arbiter: ArbiterProxy) -> tuple[bool, dict[str, Any]]:
        """Ask it at a gate; return whether it allows it, and the keys that it has added to ``stats``."""
        caller = getattr(self._caller, gate["hook"])
        given = {"watcher": arbiter.watcher(gate["watcher"]), "arbiter": arbiter, "hook_name": gate["hook"]}
        before = gate.get("stats") or {}
        stats = given["stats"] = dict(before)
        results = await _finish(caller(**{name: given.get(name, gate.get(name)) for name in caller.spec.argnames}))
        added = {key: value for key, value in stats.items() if key not in before or before[key] != value}
        return all(result is not False for result in results), added


async def _finish(results: list[Any]) -> list[Any]:
    return [await result if inspect.isawaitable(result) else result for result in results]


def _require_known(plugin: CircusPlugin) -> None:
    for name in dir(type(plugin)):
        if name not in _SPECS and getattr(getattr(type(plugin), name, None), f"{GROUP}_impl", None) is not None:
            raise PluginError(f"there is no hook {name!r} in {type(plugin).__name__}{nearest(name, _SPECS)}")
