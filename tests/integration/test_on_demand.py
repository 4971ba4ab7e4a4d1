"""Watchers that the first connection starts, with real daemons, sockets and connections."""

from __future__ import annotations

from tests.support import Circusd

NO_SOCKET = """
[watcher:w]
cmd = sleep 300
on_demand = True
"""


def test_a_start_waits_and_a_stop_waits_no_more(circusd: Circusd) -> None:
    circusd.start(NO_SOCKET)
    assert circusd.ok("status", name="w")["status"] == "stopped", "as it was in circus 0.19"
    circusd.ok("stop", name="w")
    assert circusd.ok("explain", name="w")["reason"] == "it was stopped"
    for command in ("start", "restart", "reload"):
        circusd.ok(command, name="w")
        explained = circusd.ok("explain", name="w")
        assert (explained["state"], explained["detail"], explained["wanted"]) == ("stopped", "listening", 0)
    circusd.ok("rm", name="w")
    assert circusd.events.actions("w") == ["listening", "stop", "listening", "remove", "stop"]


def test_a_watcher_that_waits_starts_when_it_is_on_demand_no_more(circusd: Circusd) -> None:
    circusd.start(NO_SOCKET)
    circusd.ok("set", name="w", options={"on_demand": False})
    (pid,) = circusd.pids("w")
    circusd.ok("set", name="w", options={"on_demand": True})
    assert circusd.pids("w") == [pid], "and what runs runs on"
    circusd.ok("stop", name="w")
    circusd.ok("set", name="w", options={"on_demand": False})
    assert circusd.pids("w") == [], "what was stopped stays so"
