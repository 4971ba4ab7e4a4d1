"""What the kernel promises about processes, with real daemons and real children."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.seen import deaf
from tests.support import Circusd, is_alive, wait_until

SLEEP = "cmd = sleep 300"
STUBBORN = "cmd = sh -c \"trap '' TERM; while :; do sleep 1; done\""


def test_the_classic_example(circusd: Circusd) -> None:
    out = circusd.folder / "out"
    circusd.start(
        f"""
        [watcher:one]
        cmd = {sys.executable}
        args = -u -c "import time; open('{out}-$(circus.wid)', 'w').close(); time.sleep(300)"
        numprocesses = 5
        [watcher:two]
        {SLEEP}
        numprocesses = 2
        """
    )
    assert len(circusd.pids("one")) == 5
    assert len(circusd.pids("two")) == 2
    wait_until(lambda: all(Path(f"{out}-{wid}").exists() for wid in range(1, 6)), "each slot has run")
    pids = circusd.pids("one") + circusd.pids("two")
    assert circusd.stop() == 0
    assert not any(is_alive(pid) for pid in pids)
    assert not (circusd.folder / "endpoint").exists()


def test_a_killed_worker_is_replaced_in_its_slot(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 3")
    events = circusd.subscribe()
    before = circusd.wids("w")
    os.kill(before[2], signal.SIGKILL)
    reap = events.wait_for("reap", watcher="w")
    spawn = events.wait_for("spawn", watcher="w")
    assert (reap.data["process_pid"], reap.data["exit_code"], reap.data["wid"], reap.data["reason"]) == (
        before[2],
        -9,
        2,
        "exited",
    )
    assert spawn.data["wid"] == 2
    after = circusd.wids("w")
    assert set(after) == {1, 2, 3}
    assert (after[1], after[3]) == (before[1], before[3])
    assert after[2] == spawn.data["process_pid"] != before[2]
    assert events.actions("w")[:2] == ["reap", "spawn"]


def test_a_missing_program_is_tried_and_given_up(circusd: Circusd) -> None:
    circusd.start(f"[watcher:bad]\ncmd = /nowhere/program\nmax_retry = 3\nautostart = False\n[watcher:good]\n{SLEEP}")
    events = circusd.subscribe()
    reply = circusd.call("start", name="bad", waiting=True)
    assert (reply["status"], reply["errno"]) == ("error", 6)
    assert "/nowhere/program" in reply["reason"]
    assert len(events.of("spawn_failed", watcher="bad")) == 3
    assert circusd.ok("status", name="bad")["status"] == "stopped"
    explained = circusd.ok("explain", name="bad")
    assert "gave up" in explained["reason"]
    assert circusd.ok("status", name="good")["status"] == "active"


def test_a_missing_program_tried_for_ever_waits_longer_each_time(circusd: Circusd) -> None:
    circusd.start("[watcher:bad]\ncmd = /nowhere/program\nmax_retry = -1\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("start", name="bad", waiting=False)
    sixth = events.wait_for("spawn_failed", watcher="bad", count=6)
    waits = [event.data["retry_in"] for event in events.of("spawn_failed", watcher="bad")]
    assert waits[0] == 0
    assert waits[1:] == sorted(waits[1:])
    assert sixth.data["retry_in"] >= 1.6
    explained = circusd.ok("explain", name="bad")
    assert explained["detail"] == "backoff"
    assert explained["processes"][0]["next_try"] > time.time() - 1
    assert circusd.ok("stop", name="bad")["status"] == "ok"


def test_a_program_that_ends_at_once_is_slowed_down(circusd: Circusd) -> None:
    circusd.start("[watcher:quick]\ncmd = true\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("start", name="quick")
    events.wait_for("spawn", watcher="quick", count=5)
    times = [event.data["mono"] for event in events.of("spawn", watcher="quick")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[1] >= 0.1
    assert gaps[2] >= 0.2
    assert gaps[3] >= 0.4


def test_commands_run_side_by_side(circusd: Circusd) -> None:
    circusd.start(
        f"[watcher:slow]\n{STUBBORN}\ngraceful_timeout = 3\n[watcher:quick]\n{SLEEP}\n[watcher:other]\n{SLEEP}"
    )
    slow, quick = deaf(circusd, "slow"), circusd.pids("quick")
    circusd.ok("restart", name="slow", waiting=False)
    reply = circusd.ok("restart", name="quick")
    assert reply["info"]["stopped"] == quick
    assert circusd.ok("incr", name="other")["numprocesses"] == 2
    assert circusd.ok("status", name="slow")["status"] == "stopping"
    assert circusd.pids("slow") == slow
    wait_until(lambda: circusd.ok("status", name="slow")["status"] == "active", "slow is up again")
    assert circusd.pids("slow") != slow


def test_a_later_intent_supersedes_an_earlier_one(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 5\nwarmup_delay = 1\nautostart = False")
    import threading

    replies: list[dict[str, object]] = []
    waiting = threading.Thread(target=lambda: replies.append(circusd.ok("start", name="w")))
    waiting.start()
    wait_until(lambda: circusd.pids("w"), "the start has begun")
    assert circusd.ok("stop", name="w")["info"] is None
    waiting.join()
    assert replies[0]["superseded"] is True
    assert circusd.ok("status", name="w")["status"] == "stopped"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_to_stop_preempts_a_slow_start(circusd: Circusd, signum: signal.Signals) -> None:
    watchers = "\n".join(f"[watcher:w{number}]\n{SLEEP}\n" for number in range(6))
    circusd.write(watchers, "warmup_delay = 5")
    circusd.launch()
    wait_until(lambda: circusd.try_call("numwatchers", 0.2), "circusd answers")
    wait_until(circusd.descendants, "the first process runs")
    begin = time.monotonic()
    assert circusd.stop(signum) == 0
    assert time.monotonic() - begin < 4
    assert not circusd.descendants()


def test_a_second_signal_shortens_the_grace_and_a_third_kills(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 100")
    assert circusd.process is not None
    deaf(circusd, "w")
    circusd.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "Got signal SIG_TERM" in circusd.output(), "the first signal")
    circusd.process.send_signal(signal.SIGTERM)
    assert circusd.process.wait(10) == 0


def test_a_third_signal_kills_at_once(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 100")
    assert circusd.process is not None
    deaf(circusd, "w")
    for count in (1, 2, 3):
        circusd.process.send_signal(signal.SIGTERM)
        wait_until(lambda: circusd.output().count("Got signal") == count, f"signal {count}")  # noqa: B023
    assert circusd.process.wait(10) == 0


GRANDCHILDREN = """
import os, signal, subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
env = dict(os.environ) if "keep" in sys.argv else {}
subprocess.Popen([sys.executable, "-c", deaf], start_new_session="session" in sys.argv, env=env)
open(sys.argv[1], "a").close()
time.sleep(300)
"""


@pytest.mark.parametrize("how", ["keep", "keep session", "clear", "clear session"])
def test_stopped_means_that_the_whole_tree_is_gone(circusd: Circusd, how: str) -> None:
    cmd = circusd.program("parent.py", GRANDCHILDREN)
    flag = circusd.folder / "flag"
    circusd.start(f"[watcher:w]\ncmd = {cmd} {flag} {how}\ngraceful_timeout = 0.5")
    (parent,) = circusd.pids("w")
    wait_until(flag.exists, "the grandchild has been started")
    children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=True).stdout.split()
    assert len(children) == 1
    assert circusd.ok("stop", name="w")["status"] == "ok"
    assert not is_alive(int(children[0]))
    assert circusd.ok("status", name="w")["status"] == "stopped"


def test_a_daemonizing_program_is_told_of_and_ended(circusd: Circusd) -> None:
    circusd.start('[watcher:d]\ncmd = sh -c "setsid sleep 300 & exit 0"\nrespawn = False\nautostart = False')
    events = circusd.subscribe()
    circusd.ok("start", name="d")
    orphan = events.wait_for("orphan", watcher="d")
    events.wait_for("stop", watcher="d")
    assert not any(is_alive(pid) for pid in orphan.data["pids"])
    assert "stay in the foreground" in circusd.output()


def test_a_crashed_worker_is_replaced_at_once_and_its_children_are_ended(circusd: Circusd) -> None:
    circusd.start('[watcher:w]\ncmd = sh -c "sleep 301 & sleep 302"\n')
    events = circusd.subscribe()
    (parent,) = circusd.pids("w")
    wait_until(lambda: len(circusd.descendants()) == 3, "the worker has its children")
    before = set(circusd.descendants())
    os.kill(parent, signal.SIGKILL)
    events.wait_for("spawn", watcher="w")
    wait_until(lambda: not before & set(circusd.descendants()), "what the dead worker left is gone")
    wait_until(lambda: len(circusd.descendants()) == 3, "and the new one is whole")


def test_start_goes_down_by_priority_and_stop_goes_up(circusd: Circusd) -> None:
    slow = "cmd = sh -c \"trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done\""
    circusd.start(
        f"[watcher:low]\n{slow}\npriority = 1\nautostart=False\n"
        f"[watcher:high]\n{slow}\npriority = 10\nautostart=False\n"
        f"[watcher:mid]\n{slow}\npriority = 5\nautostart=False"
    )
    for name in ("low", "mid", "high"):
        circusd.ok("start", name=name)
    events = circusd.subscribe()
    circusd.ok("stop")
    stops = {name: events.of("stop", watcher=name)[0].data["seq"] for name in ("low", "mid", "high")}
    kills = {name: events.of("kill", watcher=name)[0].data["seq"] for name in ("low", "mid", "high")}
    assert stops["low"] < kills["mid"] < stops["mid"] < kills["high"]
    circusd.ok("start", name="*", match="glob")
    assert circusd.ok("status")["statuses"] == dict.fromkeys(("high", "low", "mid"), "stopped"), "autostart is off"


def test_start_order(circusd: Circusd) -> None:
    circusd.start(
        f"[watcher:low]\n{SLEEP}\npriority = 1\n[watcher:high]\n{SLEEP}\npriority = 10\n"
        f"[watcher:mid]\n{SLEEP}\npriority = 5",
        "warmup_delay = 0.2",
    )
    wait_until(lambda: circusd.ok("status", name="low")["status"] == "active", "the last one has started")
    events = circusd.ok("events", since=0)["events"]
    spawns = [(entry["topic"].split(".")[1], entry["data"]["mono"]) for entry in events if "spawn" in entry["topic"]]
    assert [name for name, _ in spawns] == ["high", "mid", "low"]
    assert spawns[1][1] - spawns[0][1] >= 0.2
    assert spawns[2][1] - spawns[1][1] >= 0.2


def test_every_death_has_its_reap(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 4")
    events = circusd.subscribe()
    circusd.ok("decr", name="w")
    circusd.ok("kill", name="w", pid=circusd.pids("w")[0])
    circusd.ok("reload", name="w")
    circusd.ok("restart", name="w")
    circusd.ok("stop", name="w")
    reaps = [event.data["reason"] for event in events.of("reap", watcher="w")]
    assert reaps == ["resize"] + ["kill"] + ["reload"] * 3 + ["restart"] * 3 + ["stop"] * 3
    assert events.actions("w")[-1] == "stop"
    spawned = {event.data["process_pid"] for event in events.of("spawn", watcher="w")}
    assert len(events.of("reap", watcher="w")) == 4 + len(spawned)


def test_reload_brings_up_the_new_before_it_ends_the_old(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2")
    events = circusd.subscribe()
    before = circusd.wids("w")
    reply = circusd.ok("reload", name="w")
    after = circusd.wids("w")
    assert reply["info"] == {
        "stopped": sorted(before.values()),
        "started": sorted(after.values()),
        "kept": [],
    }
    assert set(after) == {1, 2}
    actions = events.actions("w")
    assert actions[:2] == ["spawn", "spawn"]
    assert actions[2:4] == ["kill", "kill"]
    assert actions[-1] == "reload"


def test_a_reload_that_fails_leaves_the_old_processes(circusd: Circusd) -> None:
    program = circusd.folder / "program"
    program.write_text("#!/bin/sh\nexec sleep 300\n")
    program.chmod(0o755)
    circusd.start(f"[watcher:w]\ncmd = {program}\nnumprocesses = 2")
    before = circusd.wids("w")
    for pid in before.values():
        command_line = Path(f"/proc/{pid}/cmdline")
        wait_until(lambda: command_line.read_text().startswith("sleep"), "it has read its program")  # noqa: B023
    program.write_text("#!/bin/sh\nexit 3\n")
    reply = circusd.call("reload", name="w", waiting=True)
    assert reply["status"] == "error"
    assert "exit code 3" in reply["reason"]
    assert circusd.wids("w") == before
    program.unlink()
    reply = circusd.call("reload", name="w", waiting=True)
    assert reply["status"] == "error"
    assert str(program) in reply["reason"]
    assert circusd.wids("w") == before
    assert circusd.ok("status", name="w")["status"] == "active"


def test_a_sequential_reload_replaces_one_slot_after_the_other(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 3")
    events = circusd.subscribe()
    before = circusd.wids("w")
    circusd.ok("reload", name="w", sequential=True)
    after = circusd.wids("w")
    assert set(after) == {1, 2, 3}
    assert not set(after.values()) & set(before.values())
    events.wait_for("reload", watcher="w")
    order = [(event.action, event.data["wid"]) for event in events if event.action in ("kill", "spawn")]
    assert order == [("kill", 1), ("spawn", 1), ("kill", 2), ("spawn", 2), ("kill", 3), ("spawn", 3)]


def test_send_hup(circusd: Circusd) -> None:
    out = circusd.folder / "hups"
    cmd = f"sh -c \"trap 'echo hup >> {out}' HUP; while :; do sleep 0.05; done\""
    circusd.start(f"[watcher:w]\ncmd = {cmd}\nsend_hup = True")
    before = circusd.pids("w")
    wait_until(lambda: is_trapping(before[0], signal.SIGHUP), "the trap is set")
    circusd.ok("reload", name="w")
    wait_until(out.exists, "the worker got SIGHUP")
    assert circusd.pids("w") == before


def is_trapping(pid: int, signum: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signum - 1) & 1)


def test_max_age_with_a_variance_drawn_once(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nmax_age = 1\nmax_age_variance = 0\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("start", name="w")
    first = events.wait_for("spawn", watcher="w")
    reap = events.wait_for("reap", watcher="w")
    second = events.wait_for("spawn", watcher="w", count=2)
    assert reap.data["reason"] == "max_age"
    assert second.data["wid"] == 1
    assert 0.9 <= second.data["mono"] - first.data["mono"] < 5


def test_respawn_off(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 0.1\nrespawn = False\nnumprocesses = 2\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("start", name="w")
    events.wait_for("stop", watcher="w")
    assert events.actions("w") == ["spawn", "spawn", "start", "reap", "reap", "stop"]
    assert circusd.ok("status", name="w")["status"] == "stopped"


def test_respawn_off_in_a_second_run_that_warms_up(circusd: Circusd) -> None:
    circusd.start(
        "[watcher:w]\ncmd = sleep 0.1\nrespawn = False\nnumprocesses = 2\nwarmup_delay = 0.5\nautostart = False"
    )
    events = circusd.subscribe()
    for run in (1, 2):
        circusd.ok("start", name="w")
        events.wait_for("stop", watcher="w", count=run)
    assert events.actions("w") == ["spawn", "reap", "spawn", "start", "reap", "stop"] * 2


@pytest.mark.parametrize("end", ["kill", "max_age"])
def test_respawn_off_when_circusd_ends_the_last_process(circusd: Circusd, end: str) -> None:
    age = "max_age = 1\nmax_age_variance = 0" if end == "max_age" else ""
    circusd.start(f"[watcher:w]\n{SLEEP}\nrespawn = False\nautostart = False\n{age}")
    events = circusd.subscribe()
    circusd.ok("start", name="w")
    if end == "kill":
        circusd.ok("kill", name="w", waiting=True)
    events.wait_for("stop", watcher="w")
    assert events.actions("w") == ["spawn", "start", "kill", "reap", "stop"]
    assert circusd.ok("status", name="w")["status"] == "stopped"


@pytest.mark.parametrize(("cmd", "status"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_on_failure_exit_ends_circusd_with_the_code_of_the_program(circusd: Circusd, cmd: str, status: int) -> None:
    circusd.write(
        f"[watcher:job]\ncmd = sh -c 'sleep 0.3; {cmd}'\nrespawn = False\non_failure = exit\n[watcher:other]\n{SLEEP}"
    )
    process = circusd.launch()
    assert process.wait(20) == status
    assert not circusd.descendants()


def test_on_failure_exit_after_max_retry(circusd: Circusd) -> None:
    circusd.write("[watcher:job]\ncmd = /nowhere/program\nmax_retry = 2\non_failure = exit")
    assert circusd.launch().wait(20) == 127


def test_a_start_is_over_once_each_slot_was_filled(circusd: Circusd) -> None:
    circusd.start(
        """
        [watcher:w]
        cmd = sh -c "sleep 0.1; exit 1"
        numprocesses = 3
        warmup_delay = 0.3
        autostart = False
        """
    )
    events = circusd.subscribe()
    circusd.ok("start", name="w", waiting=True)
    assert circusd.ok("status", name="w")["status"] == "active"
    assert events.actions("w").count("start") == 1
    circusd.ok("restart", name="w", waiting=True)
    assert circusd.ok("incr", name="w", waiting=True)["numprocesses"] == 4
    assert events.actions("w").count("start") == 2
    assert {event.data["wid"] for event in events.of("spawn", watcher="w")} == {1, 2, 3, 4}


def test_a_slot_that_comes_back_is_filled_without_respawn_too(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nrespawn = False\nnumprocesses = 2")
    (first, _) = circusd.pids("w")
    circusd.ok("decr", name="w", waiting=True)
    assert circusd.pids("w") == [first]
    circusd.ok("incr", name="w", waiting=True)
    assert set(circusd.wids("w")) == {1, 2}


def test_numprocesses_zero_and_resizing(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 0")
    assert circusd.ok("status", name="w")["status"] == "active"
    assert circusd.pids("w") == []
    assert circusd.ok("incr", name="w", nb=3)["numprocesses"] == 3
    before = circusd.wids("w")
    assert circusd.ok("decr", name="w", nb=2)["numprocesses"] == 1
    assert circusd.wids("w") == {1: before[1]}
    assert circusd.ok("decr", name="w", nb=9)["numprocesses"] == 0
    assert circusd.pids("w") == []


def test_singleton(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nsingleton = True")
    reply = circusd.ok("incr", name="w")
    assert (reply["singleton"], reply["numprocesses"]) == (True, 1)
    assert len(circusd.pids("w")) == 1


def test_stop_children(circusd: Circusd) -> None:
    out = circusd.folder / "child"
    child = f"trap 'echo term > {out}; exit' TERM; touch {out}.ready; while :; do sleep 0.05; done"
    circusd.start(
        f"""
        [watcher:w]
        cmd = {
            circusd.program(
                "p.py",
                f'''
import subprocess, time
subprocess.Popen(["sh", "-c", {child!r}])
time.sleep(300)
''',
            )
        }
        stop_children = True
        """
    )
    wait_until((circusd.folder / "child.ready").exists, "the child runs")
    circusd.ok("stop", name="w")
    assert out.read_text() == "term\n"


@pytest.mark.parametrize("spelling", ["quit", "SIGQUIT", "3", "QUIT"])
def test_stop_signal_of_any_spelling(circusd: Circusd, spelling: str) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nstop_signal = {spelling}")
    events = circusd.subscribe()
    circusd.ok("stop", name="w")
    assert events.of("kill", watcher="w")[0].data["signum"] == 3
    assert events.of("reap", watcher="w")[0].data["exit_code"] == -3


def test_autostart_off(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nautostart = False")
    assert circusd.ok("status", name="w")["status"] == "stopped"
    assert circusd.ok("explain", name="w")["reason"] == "nobody has started it"
    assert len(circusd.ok("start", name="w")["info"]["started"]) == 1


def test_orphans_of_others_are_reaped(circusd: Circusd) -> None:
    circusd.start('[watcher:w]\ncmd = sh -c "((sleep 0.2; touch over) & sleep 0.1) & exec sleep 300"')
    assert circusd.process is not None
    children = Path(f"/proc/{circusd.process.pid}/task/{circusd.process.pid}/children")
    wait_until((circusd.folder / "over").exists, "the orphan is at its end")
    wait_until(lambda: [*map(int, children.read_text().split())] == circusd.pids("w"), "no zombie is left")


def test_readiness(circusd: Circusd) -> None:
    go = circusd.folder / "go"
    cmd = circusd.program(
        "ready.py",
        f"""
import os, socket, time
while not os.path.exists({str(go)!r}):
    time.sleep(0.01)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("\\0" + os.environ["NOTIFY_SOCKET"][1:])
s.send(b"READY=1\\nSTATUS=serving")
time.sleep(300)
""",
    )
    circusd.write(f"[watcher:w]\ncmd = {cmd}\nready = notify\npriority = 9\n[watcher:later]\n{SLEEP}")
    circusd.launch()
    wait_until(lambda: (circusd.try_call("list", 0.3, name="w") or {}).get("pids"), "the process runs")
    assert circusd.ok("status", name="w")["status"] == "starting"
    assert circusd.ok("status", name="later")["status"] == "stopped"
    assert "after watchers of higher priority" in circusd.ok("explain", name="later")["reason"]
    assert "ready" in circusd.ok("explain", name="w")["blocked_by"][0]["why"]
    go.touch()
    wait_until(lambda: circusd.ok("status", name="later")["status"] == "active", "the next level has started")
    assert circusd.ok("status", name="w")["status"] == "active"
    assert circusd.ok("explain", name="w")["processes"][0]["status_text"] == "serving"


def test_what_else_was_changed_stays_when_a_set_is_taken_back(circusd: Circusd) -> None:
    """What came after it, and what no new process had to prove, is no part of what has failed."""
    circusd.start(f"[watcher:w]\n{SLEEP}")
    events = circusd.subscribe()
    circusd.ok("set", name="w", options={"cmd": "sh -c 'sleep 0.5; exit 1'"}, waiting=False)
    events.wait_for("updated", watcher="w")
    circusd.ok("incr", name="w", waiting=False)
    circusd.ok("set", name="w", options={"graceful_timeout": 7}, waiting=False)
    events.wait_for("reload_failed", watcher="w")
    options = circusd.ok("options", name="w")["options"]
    assert (options["cmd"], options["numprocesses"], options["graceful_timeout"]) == ("sleep 300", 2, 7)
    circusd.wait_for_pids("w", 2)


def test_a_set_whose_processes_do_not_come_up_is_taken_back(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2")
    before = circusd.wids("w")
    reply = circusd.call("set", name="w", options={"cmd": "/nowhere/program", "graceful_timeout": 7}, waiting=True)
    assert reply["status"] == "error"
    assert "/nowhere/program" in reply["reason"]
    assert circusd.wids("w") == before
    options = circusd.ok("options", name="w")["options"]
    assert (options["cmd"], options["graceful_timeout"]) == ("sleep 300", 30)
    os.kill(before[1], signal.SIGKILL)
    wait_until(lambda: circusd.wids("w").get(1, before[1]) != before[1], "a replacement with what worked before")


def test_a_new_watcher_waits_for_the_end_of_a_removed_one_of_its_name(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 1")
    (old,) = deaf(circusd, "w")
    circusd.ok("rm", name="w", waiting=False)
    circusd.ok("add", name="w", cmd="sleep 300", start=True, waiting=False)
    assert circusd.pids("w") == []
    assert circusd.ok("explain", name="w")["blocked_by"][0]["pid"] == old
    circusd.wait_for_pids("w", 1)
    assert not is_alive(old)
    assert f"process {old} (wid 1) did not end in time" in circusd.output()


@contextlib.contextmanager
def held_by_a_tracer(pid: int) -> Iterator[None]:
    """Keep a process from being collected: a dead process is its tracer's before it is its parent's."""
    libc = ctypes.CDLL(None, use_errno=True)
    seize, detach = 0x4206, 17
    assert libc.ptrace(seize, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        if os.waitpid(pid, os.WNOHANG)[0] == 0:
            libc.ptrace(detach, pid, None, None)


def test_what_survives_sigkill_is_named_and_blocks_nobody(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\ngraceful_timeout = 0.2\n[watcher:other]\n{SLEEP}")
    (pid,) = circusd.pids("w")
    with held_by_a_tracer(pid):
        reply = circusd.call("stop", name="w", waiting=True)
        assert (reply["status"], reply["errno"]) == ("error", 6)
        assert str(pid) in reply["reason"]
        assert circusd.ok("restart", name="other")["info"]["started"]
        assert circusd.ok("status", name="w")["status"] == "stopping"
        assert circusd.ok("explain", name="w")["blocked_by"][0]["why"] == "survives SIGKILL"
    wait_until(lambda: circusd.ok("status", name="w")["status"] == "stopped", "it is gone in the end")


def test_a_reload_of_a_stopped_watcher_is_a_start(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nautostart = False")
    events = circusd.subscribe()
    assert len(circusd.ok("reload", name="w")["info"]["started"]) == 1
    events.wait_for("reload", watcher="w")
    assert events.actions("w") == ["spawn", "start", "reload"]


def test_max_age_does_not_chase_a_reload(circusd: Circusd) -> None:
    """New processes expire in the second in which they have come up: the reload ends all the same."""
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2\nmax_age = 1\nmax_age_variance = 0")
    events = circusd.subscribe()
    circusd.ok("reload", name="w")
    events.wait_for("reload", watcher="w")
    reload = events.of("reload", watcher="w")[0]
    spawned = [event for event in events.of("spawn", watcher="w") if event.seq < reload.seq]
    assert len(spawned) <= 4, "those of the reload, and at most one round of max_age before it"
    events.wait_for("spawn", watcher="w", count=len(spawned) + 2)
