"""What a plugin implements, found and called."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from circus.events import Event
from circus.hooks.proxies import ArbiterProxy
from circus.plugins import CircusPlugin, hookimpl
from circus.plugins.hooked import Hooked
from circus.plugins.loading import PluginError


def made(cls: type[CircusPlugin]) -> Any:
    return cls("ipc:///nowhere", "ipc:///nowhere", 1.0)


def ask(plugin: CircusPlugin, hook: str, **arguments: Any) -> tuple[bool, Any]:
    async def asked() -> tuple[bool, Any]:
        allowed, error, result = await plugin.gate({"hook": hook, "watcher": "My W", **arguments})
        assert error is None
        return allowed, result

    try:
        return asyncio.run(asked())
    finally:
        plugin.link.close()


class Many(CircusPlugin):
    """Implements some of everything."""

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.heard: list[Any] = []

    @hookimpl
    def on_event(self, event: Event) -> None:
        self.heard.append(event.seq)

    @hookimpl
    async def on_resync(self, snapshot: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self.heard.append(snapshot)

    @hookimpl
    def before_start(self, watcher: Any, arbiter: ArbiterProxy, hook_name: str) -> bool:
        self.heard.append((watcher.name, arbiter.endpoint, hook_name))
        return False

    @hookimpl
    async def after_spawn(self, pid: int) -> None:
        await asyncio.sleep(0)
        self.heard.append(pid)

    @hookimpl
    def before_signal(self, signum: int) -> int:
        return 0 if signum == 1 else 1

    @hookimpl
    def extended_stats(self, pid: int, stats: dict[str, Any]) -> None:
        stats["more"] = pid
        stats["cpu"] += 1

    @hookimpl
    def after_reap(self, process_pid: int, time: float, exit_code: int, process_status: str) -> None:
        raise ValueError("no")


def test_events_and_snapshots() -> None:
    plugin = made(Many)

    async def tell() -> None:
        await plugin.hooked.on_event(Event("watcher.w.kill", {"seq": 4}))
        await plugin.hooked.on_resync({"seq": 5})

    asyncio.run(tell())
    assert plugin.heard == [4, {"seq": 5}]
    assert plugin.hooked.hooks == ["before_start", "after_spawn", "before_signal", "after_reap", "extended_stats"]


def test_false_refuses_and_nothing_else_does() -> None:
    plugin = made(Many)
    assert ask(plugin, "before_start") == (False, {})
    assert plugin.heard == [("My W", "ipc:///nowhere", "before_start")]
    plugin = made(Many)
    assert ask(plugin, "after_spawn", pid=7) == (True, {})
    assert plugin.heard == [7]
    assert ask(made(Many), "before_signal", pid=7, signum=1) == (True, {}), "0 is not False"


def test_keys_that_are_added_to_the_stats() -> None:
    assert ask(made(Many), "extended_stats", pid=7, stats={"cpu": 1, "mem": 2}) == (True, {"more": 7, "cpu": 2})


def test_an_error_is_raised() -> None:
    with pytest.raises(ValueError, match="no"):
        ask(made(Many), "after_reap", process_pid=1, time=1.0, exit_code=0, process_status="exited")


def test_a_plugin_that_implements_nothing() -> None:
    assert Hooked(made(CircusPlugin)).hooks == []


class Misspelt(CircusPlugin):
    """Means another hook."""

    @hookimpl
    def befor_start(self) -> None: ...


class Surprising(CircusPlugin):
    """Wants an argument that there is not."""

    @hookimpl
    def on_event(self, nonsense: Any) -> None: ...


def test_a_hook_that_there_is_not() -> None:
    with pytest.raises(PluginError, match=r"no hook 'befor_start' in Misspelt; did you mean 'before_start'"):
        Hooked(made(Misspelt))


def test_an_argument_that_there_is_not() -> None:
    with pytest.raises(PluginError, match="nonsense") as caught:
        Hooked(made(Surprising))
    assert "\n" not in str(caught.value)
