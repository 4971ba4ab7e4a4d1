"""A gatekeeper answers each gate once, however often it hears of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from circus.events import Event
from circus.exc import CallError
from circus.plugins import CircusPlugin
from circus.plugins.gatekeeping import Gatekeeper


def gate(number: int, **more: Any) -> dict[str, Any]:
    return {"gate": number, "hook": "before_start", "watcher": "w", "gatekeepers": ["plugin:me"], **more}


class Keeping(CircusPlugin):
    """Answers by itself, and keeps what it has sent."""

    watchers = "web*"

    def __init__(self) -> None:
        super().__init__("ipc:///nowhere", "ipc:///nowhere", 1.0)
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.reply: dict[str, Any] = {"status": "ok", "seq": 10, "gates": [gate(1)]}

    async def acall(self, command: str, **props: Any) -> dict[str, Any]:
        self.sent.append((command, props))
        return self.reply

    async def gate(self, gate: dict[str, Any]) -> tuple[bool, str | None, dict[str, Any] | None]:
        if gate["gate"] == 66:
            raise ValueError("it broke\nhere")
        return gate["gate"] % 2 == 1, None, {"key": 1} if gate["gate"] == 5 else None

    @property
    def verdicts(self) -> dict[int, dict[str, Any]]:
        return {props["gate"]: props for command, props in self.sent if command == "verdict"}


def event(seq: int, data: dict[str, Any], action: str = "gate") -> Event:
    return Event(f"watcher.w.{action}", {"seq": seq, **data})


def run(*rounds: list[Event], plugin: Keeping | None = None, hooks: tuple[str, ...] = ("before_start",)) -> Keeping:
    plugin = plugin or Keeping()

    async def scenario(plugin: Keeping) -> None:
        keeper = Gatekeeper(plugin, "plugin:me", hooks)
        keeper.hear([event(5, gate(99))])
        await keeper.register()
        for events in rounds:
            keeper.hear(events)
            while keeper._tasks:
                await asyncio.gather(*keeper._tasks)
        keeper.close()

    asyncio.run(scenario(plugin))
    plugin.link.close()
    return plugin


def test_it_registers_and_answers_what_waits_for_it_already() -> None:
    plugin = run([])
    assert plugin.sent[0] == (
        "register",
        {
            "plugin": "plugin:me",
            "sync": plugin.link.token,
            "hooks": ["before_start"],
            "watchers": "web*",
            "functions": False,
        },
    )
    assert plugin.verdicts == {1: {"gate": 1, "sync": plugin.link.token, "allow": True}}


def test_each_gate_is_answered_once() -> None:
    plugin = run(
        [event(9, gate(7)), event(10, gate(1)), event(11, gate(2)), event(12, gate(1))],
        [event(11, gate(2)), event(13, gate(5)), event(14, {}, "kill"), event(15, gate(4, gatekeepers=["other"]))],
    )
    answered = [props["gate"] for command, props in plugin.sent if command == "verdict"]
    assert answered == [1, 2, 5], "nothing up to the number of the registration, nothing twice, nothing for others"
    assert [plugin.verdicts[number]["allow"] for number in answered] == [True, False, True]
    assert plugin.verdicts[5]["result"] == {"key": 1}


def test_an_error_is_the_verdict(caplog) -> None:
    plugin = run([event(11, gate(66))])
    verdict = plugin.verdicts[66]
    assert (verdict["allow"], verdict["error"]) == (False, "ValueError: it broke here")
    assert "the hook before_start of w raised ValueError: it broke here" in caplog.text


def test_without_hooks_it_says_who_it_is() -> None:
    command, props = run([], hooks=()).sent[0]
    assert (command, props["plugin"], props["hooks"]) == ("register", "plugin:me", [])


def test_a_refusal_of_the_registration() -> None:
    plugin = Keeping()
    plugin.reply = {"status": "error", "reason": "not you"}
    with pytest.raises(CallError, match="refuses plugin:me as a gatekeeper: not you"):
        run([], plugin=plugin)
    plugin.link.close()
