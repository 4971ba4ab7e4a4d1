"""Why a watcher was stopped: circusd remembers it until somebody decides otherwise; a start may depend on it."""

from __future__ import annotations

import pytest

from tests.support import Circusd

SLEEP = "[watcher:w]\ncmd = sleep 300\n"
WHY = "the disk is being replaced"


def reason(circusd: Circusd) -> str:
    return str(circusd.ok("explain", name="w")["reason"])


def test_a_stop_tells_why(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    events = circusd.subscribe()
    circusd.ok("stop", name="w", reason=WHY)
    assert reason(circusd) == WHY
    assert circusd.ok("snapshot")["watchers"]["w"]["reason"] == WHY
    assert events.wait_for("stop", watcher="w").data["reason"] == WHY
    circusd.ok("start", name="w", reason="it is back")
    assert events.wait_for("start", watcher="w").data["reason"] == "it is back"
    circusd.ok("restart", name="w")
    assert events.wait_for("stop", watcher="w", count=2).data["reason"] == ""
    assert events.wait_for("start", watcher="w", count=2).data["reason"] == ""
    circusd.ok("stop", name="w")
    assert reason(circusd) == "it was stopped"


def test_it_is_started_while_the_reason_still_holds(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    circusd.ok("stop", name="w", reason=WHY)
    refused = circusd.call("start", name="w", after="something else")
    assert refused["status"] == "error"
    assert "w is not stopped for that reason any more" in refused["reason"]
    assert not circusd.pids("w")
    circusd.ok("start", name="w", after=WHY)
    assert circusd.pids("w")


@pytest.mark.parametrize("command", ["stop", "start", "restart", "reload"])
def test_the_reason_ends_with_what_somebody_else_decides(circusd: Circusd, command: str) -> None:
    circusd.start(SLEEP)
    circusd.ok("stop", name="w", reason=WHY)
    circusd.ok(command, name="w")
    before = circusd.pids("w")
    assert circusd.call("start", name="w", after=WHY)["status"] == "error"
    assert circusd.pids("w") == before


def test_a_later_reason_does_not_replace_the_decision_of_somebody_else(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    circusd.ok("stop", name="w")
    circusd.ok("stop", name="w", reason=WHY)
    assert reason(circusd) == "it was stopped"
    assert circusd.call("start", name="w", after=WHY)["status"] == "error"
    assert not circusd.pids("w")


def test_a_watcher_that_has_failed_has_no_other_reason(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = /bin/none\nmax_retry = 1\n")
    circusd.call("start", name="w", reason=WHY, waiting=True)
    assert "/bin/none" in reason(circusd)
    assert circusd.call("start", name="w", after=WHY)["status"] == "error"


def test_a_reason_is_that_of_one_watcher(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    for command in ("stop", "start"):
        reply = circusd.call(command, reason=WHY)
        assert reply["status"] == "error"
        assert "'name' is missing" in reply["reason"]
    assert circusd.pids("w")
    assert circusd.ctl("stop", "w", "--reason", WHY, "--waiting").stdout == "ok\n"
    assert reason(circusd) == WHY


def test_who_says_again_that_it_has_failed_changes_nothing(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    for _ in range(2):
        circusd.ok("stop", name="w", failure="it flaps")
        assert reason(circusd) == "gave up: it flaps"
    assert len(circusd.events.of("gave_up")) == 1
    circusd.ok("stop", name="w")
    assert reason(circusd) == "it was stopped"
