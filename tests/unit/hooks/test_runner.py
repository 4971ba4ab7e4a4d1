"""What runs the functions of hooks: in which order, and with what it has heard before."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.events import Event
from circus.hooks import runner as runner_module
from circus.hooks.runner import HookRunner

FUNCTIONS = """
CALLS = []

def old(watcher, arbiter, hook_name, **kwargs):
    CALLS.append((hook_name, kwargs.get("process_pid")))
    return True
"""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[HookRunner]:
    """One that believes to know the options of the watcher ``w``, and is connected to nobody."""
    (tmp_path / "runner_functions.py").write_text(FUNCTIONS)
    made = HookRunner(f"ipc://{tmp_path}/nobody", f"ipc://{tmp_path}/nobody-either", 5.0)
    made._options["w"] = options(tmp_path)
    yield made
    made.link.close()
    sys.modules.pop("runner_functions", None)
    made._spaces.uninstall()


def options(folder: Path) -> dict[str, Any]:
    env = {"PYTHONPATH": str(folder)}
    return {"env": env, "virtualenv": None, "virtualenv_py_ver": None, "hook_timeout": 0}


def gate(hook: str, **data: Any) -> dict[str, Any]:
    asked = {"watcher": "w", "hook": hook, "function": "runner_functions.old", "deadline": None, "waits": True}
    return {**asked, **data}


def heard(action: str, seq: int, **data: Any) -> Event:
    return Event(f"watcher.w.{action}", {"seq": seq, **data})


def test_a_gate_waits_for_the_events_before_it(runner: HookRunner, tmp_path: Path) -> None:
    async def play() -> None:
        runner.on_event(heard("spawn", 1))
        assert await runner.gate(gate("before_start", seq=1)) == (True, None, None)
        (tmp_path / "runner_functions.py").write_text("def old(watcher, arbiter, hook_name): return False\n")
        early = asyncio.create_task(runner.gate(gate("before_start", seq=4)))
        await asyncio.sleep(0)  # its turn
        assert runner._behind
        runner.on_event(heard("updated", 2, option="hooks.before_start"))
        runner._options["w"] = options(tmp_path)
        runner.on_event(heard("updated", 3, option="nothing"))
        runner._options["w"] = options(tmp_path)
        assert not early.done()
        runner.on_event(heard("gate", 4))
        assert await early == (False, None, None), "what was set before is what is asked"

    asyncio.run(play())


def test_a_gate_waits_for_a_while_only(runner: HookRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "PATIENCE", 0.05)

    async def play() -> None:
        runner.on_resync({"seq": 1, "watchers": {}})
        runner._options["w"] = options(Path(runner.endpoint.removeprefix("ipc://")).parent)
        assert await runner.gate(gate("before_start", seq=1000)) == (True, None, None)

    asyncio.run(play())


def test_a_process_that_has_heard_of_nothing_waits_for_nothing(runner: HookRunner) -> None:
    assert asyncio.run(runner.gate(gate("before_start", seq=1000))) == (True, None, None)


def test_options_that_were_on_their_way_while_one_changed_are_not_kept(
    runner: HookRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def acall(command: str, props: dict[str, Any]) -> dict[str, Any]:
        runner.on_event(heard("updated", 1, option="env"))
        return {"status": "ok", "options": options(tmp_path)}

    monkeypatch.setattr(runner.link, "acall", acall)
    runner._options.clear()
    assert asyncio.run(runner.gate(gate("before_start"))) == (True, None, None)
    assert runner._options == {}


def test_functions_that_nobody_waits_for_keep_their_order_and_come_before_the_last(runner: HookRunner) -> None:
    async def play() -> None:
        hooks = ["before_reap", "after_reap"]
        gates = [gate(hook, waits=False, process_pid=pid) for pid in range(50) for hook in hooks]
        await asyncio.gather(*map(runner.gate, [*gates, gate("after_stop")]))

    asyncio.run(play())
    calls = sys.modules["runner_functions"].CALLS
    expected = [(hook, pid) for pid in range(50) for hook in ("before_reap", "after_reap")]
    assert calls == [*expected, ("after_stop", None)]


def test_they_keep_it_whatever_has_been_heard(runner: HookRunner) -> None:
    async def play() -> None:
        runner.on_event(heard("spawn", 1))
        early = asyncio.create_task(runner.gate(gate("after_reap", waits=False, process_pid=1, seq=2)))
        await asyncio.sleep(0)
        runner.on_event(heard("gate", 2))
        runner.on_event(heard("gate", 3))
        await runner.gate(gate("after_stop", seq=3))
        await early

    asyncio.run(play())
    assert sys.modules["runner_functions"].CALLS == [("after_reap", 1), ("after_stop", None)]
