"""The plugin flapping, with a real circusd and programs that really end."""

from __future__ import annotations

import itertools
import os
import signal

import pytest

from tests.support import Circusd, wait_until

PLUGIN = "[plugin:flapping]\nretry_in = 0.5\n"
CRASHING = "cmd = sh -c 'exit 3'\n"
SLEEP = "cmd = sleep 300\n"
CALM = f"[watcher:calm]\n{SLEEP}"


def kill(circusd: Circusd, pid: int, name: str = "w") -> None:
    """Kill a process behind circusd's back, and wait until it is replaced."""
    spawned = len(circusd.events.of("spawn", watcher=name))
    os.kill(pid, signal.SIGKILL)
    circusd.wait_for("spawn", watcher=name, count=spawned + 1)


def flaps(circusd: Circusd, name: str = "w") -> int:
    return len(circusd.events.of("flapping", watcher=name))


@pytest.mark.parametrize("numprocesses", [1, 3])
def test_a_program_that_ends_at_once_is_retried_and_given_up(circusd: Circusd, numprocesses: int) -> None:
    circusd.start(
        # A machine that is slow must not take a start that takes its time for a calm life.
        f"{PLUGIN}max_retry = 2\nwindow = 10\n{CALM}"
        f"[watcher:My Web]\n{CRASHING}numprocesses = {numprocesses}\nautostart = False\n"
    )
    circusd.ok("start", name="my web", waiting=False)
    gave_up = circusd.wait_for("gave_up", watcher="my_web")
    assert gave_up.data["reason"] == "flapping: 2 unexpected exits within 10 s, and 2 retries have not helped"
    assert gave_up.data["exit_code"] == 3
    last = circusd.wait_for("flapping", watcher="my_web", count=3)
    assert (last.data["retry_in"], last.data["max_retry"]) == (None, 2)
    assert [event.data["attempt"] for event in circusd.events.of("flapping")] == [1, 2, 2]
    stops = circusd.events.of("stop", watcher="my_web")
    starts = circusd.events.of("start", watcher="my_web")
    assert [stop.data["reason"] for stop in stops[:2]] == [
        "flapping: retry in 0.5s (attempt number 1)",
        "flapping: retry in 0.5s (attempt number 2)",
    ]
    reaps = circusd.events.of("reap", watcher="my_web", reason="exited")
    for before, retry in itertools.pairwise(starts):
        first = next(reap for reap in reaps if reap.seq > before.seq)
        assert retry.data["mono"] - first.data["mono"] >= 0.5
    explained = circusd.ok("explain", name="My Web")
    assert explained["detail"] == "failed"
    assert "flapping" in explained["reason"]
    output = circusd.output()
    assert "My Web: flapping detected: retry in 0.5s (attempt number 1)" in output
    assert "My Web: flapping detected: retry in 0.5s (attempt number 2)" in output
    assert "My Web: flapping detected: reached max retry limit" in output
    assert circusd.events.actions("calm") == ["spawn", "start"]
    circusd.assert_no_defect()


def test_it_is_retried_for_ever_with_minus_one(circusd: Circusd) -> None:
    circusd.start(f"[plugin:flapping]\nretry_in = 0.05\nmax_retry = -1\n[watcher:w]\n{CRASHING}")
    assert circusd.wait_for("flapping", count=8).data["attempt"] == 8


def test_ends_that_somebody_has_commanded_do_not_count(circusd: Circusd) -> None:
    circusd.start(f"{PLUGIN}window = 60\n[watcher:w]\n{SLEEP}numprocesses = 4\n")
    circusd.ok("restart", name="w")
    circusd.ok("reload", name="w")
    circusd.ok("reload", name="w", sequential=True)
    circusd.ok("decr", name="w", nb=3)
    circusd.ok("incr", name="w", nb=3)
    circusd.ok("kill", name="w")
    circusd.ok("set", name="w", options={"max_age": 1, "max_age_variance": 0})
    for wid in range(1, 5):
        circusd.wait_for("reap", watcher="w", wid=wid, reason="max_age")
    circusd.ok("set", name="w", options={"max_age": 0})
    circusd.ok("stop", name="w")
    circusd.ok("start", name="w")
    # A signal is no command that ends: two of these are.
    first, second, *_ = circusd.wait_for_pids("w", 4)
    kill(circusd, first)
    os.kill(second, signal.SIGKILL)
    flap = circusd.wait_for("flapping", watcher="w")
    killed = circusd.events.of("reap", watcher="w", reason="exited")
    assert [reap.data["process_pid"] for reap in killed if reap.seq < flap.seq] == [first, second]


def test_what_somebody_stops_meanwhile_stays_stopped(circusd: Circusd) -> None:
    circusd.start(f"{PLUGIN}[watcher:w]\n{CRASHING}[watcher:other]\n{CRASHING}")
    circusd.wait_for("stop", watcher="w")
    circusd.ok("stop", name="w")
    circusd.wait_for("start", watcher="other", count=2)
    wait_until(lambda: "w is not stopped for that reason any more" in circusd.output(), "the retry is over")
    assert circusd.ok("status", name="w")["status"] == "stopped"
    assert len(circusd.events.of("start", watcher="w")) == 1


def test_whoever_starts_it_meanwhile_makes_it_count_anew(circusd: Circusd) -> None:
    circusd.start(f"[plugin:flapping]\nretry_in = 30\nmax_retry = 1\n[watcher:w]\n{CRASHING}")
    for count in (1, 2, 3):
        assert circusd.wait_for("flapping", watcher="w", count=count).data["attempt"] == 1
        circusd.wait_for("stop", watcher="w", count=count)
        circusd.ok("start", name="w", waiting=False)


def test_options_of_a_watcher_count_at_once(circusd: Circusd) -> None:
    circusd.start(
        f"{PLUGIN}window = 60\n[watcher:w]\n{SLEEP}flapping.attempts = 5\nflapping.retry_in = 0\n[watcher:v]\n{SLEEP}"
    )
    for _ in range(3):
        kill(circusd, circusd.pids("w")[0])
    kill(circusd, circusd.pids("v")[0], "v")
    os.kill(circusd.pids("v")[0], signal.SIGKILL)
    circusd.wait_for("flapping", watcher="v")
    assert flaps(circusd) == 0
    circusd.ok("set", name="w", options={"flapping.attempts": 4})
    os.kill(circusd.wait_for_pids("w", 1)[0], signal.SIGKILL)
    assert circusd.wait_for("flapping", watcher="w").data["retry_in"] == 0


def test_who_is_left_alone(circusd: Circusd) -> None:
    circusd.start(
        f"""{PLUGIN}
        [watcher:inactive]
        {CRASHING}
        flapping.active = False
        [watcher:jobs]
        {CRASHING}
        respawn = False
        numprocesses = 5
        [watcher:missing]
        cmd = /bin/none
        max_retry = -1
        [watcher:w]
        {CRASHING}
        autostart = False
        """.replace("        ", "")
    )
    circusd.wait_for("reap", watcher="inactive", count=4)
    circusd.wait_for("reap", watcher="jobs", count=5)
    circusd.wait_for("spawn_failed", watcher="missing", count=4)
    circusd.ok("start", name="w", waiting=False)
    circusd.wait_for("flapping", watcher="w")
    assert {event.watcher for event in circusd.events.of("flapping")} == {"w"}


def test_a_reload_that_fails_leaves_the_old_processes(circusd: Circusd) -> None:
    circusd.start(f"{PLUGIN}[watcher:w]\n{SLEEP}numprocesses = 4\n")
    before = circusd.pids("w")
    for _ in range(2):
        assert circusd.call("set", name="w", options={"cmd": "false"}, waiting=True)["status"] == "error"
        wait_until(lambda: circusd.pids("w") == before, "the old processes alone are left")
    # What the plugin hears of this, it has heard of the reload before.
    kill(circusd, before[0])
    os.kill(before[1], signal.SIGKILL)
    flap = circusd.wait_for("flapping", watcher="w")
    assert flap.seq > circusd.wait_for("reap", watcher="w", process_pid=before[1]).seq


def test_a_first_crash_before_the_plugin_was_there_counts(circusd: Circusd) -> None:
    circusd.start(f"{PLUGIN}window = 60\n[watcher:w]\n{SLEEP}")
    circusd.ok("rm", name="plugin:flapping")
    kill(circusd, circusd.pids("w")[0])
    circusd.ok("reloadconfig")
    wait_until(lambda: circusd.ok("status", name="plugin:flapping")["status"] == "active", "it is there again")
    assert flaps(circusd) == 0
    os.kill(circusd.wait_for_pids("w", 1)[0], signal.SIGKILL)
    circusd.wait_for("flapping", watcher="w")


def test_a_plugin_that_is_killed_goes_on_with_what_it_had_begun(circusd: Circusd) -> None:
    circusd.start(f"[plugin:flapping]\nretry_in = 1\nmax_retry = 2\n[watcher:w]\n{CRASHING}")
    for attempt in (1, 2):
        circusd.wait_for("stop", watcher="w", reason=f"flapping: retry in 1s (attempt number {attempt})")
        (plugin,) = circusd.pids("plugin:flapping")
        kill(circusd, plugin, "plugin:flapping")
        circusd.wait_for("start", watcher="w", reason=f"flapping: retry (attempt number {attempt})")
    circusd.wait_for("gave_up", watcher="w")


def test_one_exit_may_be_too_many(circusd: Circusd) -> None:
    circusd.start(f"{PLUGIN}attempts = 1\nmax_retry = 1\n[watcher:w]\n{CRASHING}")
    gave_up = circusd.wait_for("gave_up", watcher="w")
    assert gave_up.data["reason"] == "flapping: 1 unexpected exit within 1 s, and 1 retry has not helped"


def test_what_it_decides_while_it_catches_up_is_decided_once(circusd: Circusd) -> None:
    names = [f"w{number}" for number in range(40)]
    crashing = "".join(f"[watcher:{name}]\ncmd = sh -c 'sleep 0.3; exit 3'\nautostart = no\n" for name in names)
    circusd.start(f"[plugin:flapping]\nwindow = 60\nmax_retry = 0\n{crashing}")
    (plugin,) = circusd.pids("plugin:flapping")
    os.kill(plugin, signal.SIGSTOP)
    for name in names:
        circusd.ok("start", name=name, waiting=False)
    for name in names:
        circusd.wait_for("reap", watcher=name, count=2)
    os.kill(plugin, signal.SIGKILL)
    for name in names:
        circusd.wait_for("gave_up", watcher=name)
        circusd.wait_for("stop", watcher=name)
    wait_until(lambda: all(flaps(circusd, name) for name in names), "all have been told of")
    assert [name for name in names if flaps(circusd, name) > 1] == []


def test_the_last_word_ends_circusd_where_on_failure_says_so(circusd: Circusd) -> None:
    circusd.start(f"{PLUGIN}max_retry = 0\n[watcher:w]\n{CRASHING}on_failure = exit\n")
    assert circusd.process is not None
    assert circusd.process.wait(20) == 3
