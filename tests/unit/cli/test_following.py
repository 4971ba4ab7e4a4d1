"""Following events: each is printed once and in order, whatever the subscription loses or repeats."""

from __future__ import annotations

import json
from typing import Any

import pytest

from circus.cli.following import Follower
from circus.cli.session import Session
from circus.exc import CallError
from tests.unit.fakes import Responder


class History:
    """What a daemon keeps of its events, and how it tells."""

    def __init__(self) -> None:
        self.boot = "a"
        self.events: list[dict[str, Any]] = []

    def happen(self) -> dict[str, Any]:
        data = {"seq": len(self.events) + 1, "boot": self.boot, "time": 0.0}
        self.events.append({"topic": "watcher.w.kill", "data": data})
        return data

    def restart(self) -> None:
        self.boot, self.events = "b", []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        later = [event for event in self.events if event["data"]["seq"] > request["properties"]["since"]]
        return {"status": "ok", "events": later[:2], "last_seq": len(self.events), "boot": self.boot}


def printed(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, int]]:
    lines = capsys.readouterr().out.splitlines()
    return [(data["boot"], data["seq"]) for data in (json.loads(line)["data"] for line in lines)]


def test_each_event_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    history = History()
    with Responder(history.answer) as server:
        session = Session({"endpoint": server.endpoint})
        follower = Follower(session, as_json=True, since=0)
        for _ in range(5):
            history.happen()
        follower.catch_up()
        assert printed(capsys) == [("a", number) for number in range(1, 6)]
        follower.take("watcher.w.kill", history.events[2]["data"])
        assert printed(capsys) == []
        follower.take("watcher.w.kill", history.happen())
        assert printed(capsys) == [("a", 6)]
        history.happen()
        follower.take("watcher.w.kill", history.happen())
        assert printed(capsys) == [("a", 7), ("a", 8)]
        history.happen()
        follower.take("circus.tick", {"seq": 9, "boot": "a"})
        assert printed(capsys) == [("a", 9)]
        follower.take("circus.tick", {"seq": 9, "boot": "a"})
        follower.take("watcher.w.odd", {})
        assert printed(capsys) == []
        history.restart()
        follower.take("watcher.w.kill", history.happen())
        assert printed(capsys) == [("b", 1)]
        session.close()


def test_only_later_events_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    history = History()
    for _ in range(4):
        history.happen()
    with Responder(history.answer) as server:
        session = Session({"endpoint": server.endpoint})
        Follower(session, as_json=True, since=3).catch_up()
        session.close()
    assert printed(capsys) == [("a", 4)]


def test_a_daemon_that_keeps_no_events() -> None:
    with Responder(lambda _: {"status": "error", "reason": "unknown command: 'events'"}) as server:
        session = Session({"endpoint": server.endpoint})
        with pytest.raises(CallError, match="unknown command"):
            Follower(session, as_json=True, since=0).catch_up()
        session.close()
