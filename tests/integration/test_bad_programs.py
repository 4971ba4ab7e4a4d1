"""Programs that misbehave, under real daemons: each gets a clear answer, and a stop leaves nothing of it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import Circusd, is_alive, wait_until

SLEEP = "cmd = sleep 300"


def assert_fails(circusd: Circusd, cmd: str, *words: str, **options: Any) -> str:
    """Add a watcher that cannot start; return the reason, which holds the words."""
    reply = circusd.call("add", name="bad", cmd=cmd, options={"max_retry": 2, **options}, start=True, waiting=True)
    assert (reply["status"], reply["errno"], reply["tb"]) == ("error", 6, None), reply
    for word in words:
        assert word in reply["reason"], reply["reason"]
    assert circusd.ok("status", name="bad")["status"] == "stopped"
    assert words[0] in circusd.ok("explain", name="bad")["reason"]
    circusd.ok("rm", name="bad")
    circusd.assert_no_defect()
    reason: str = reply["reason"]
    return reason


def test_what_cannot_be_run_says_why(circusd: Circusd) -> None:
    circusd.start(f"[watcher:good]\n{SLEEP}")
    plain = circusd.folder / "plain"
    plain.write_text("#!/bin/sh\nsleep 300\n")
    no_interpreter = circusd.folder / "no-interpreter"
    no_interpreter.write_text("#!/nowhere/interpreter\n")
    no_program = circusd.folder / "no-program"
    no_program.write_bytes(b"\x7fELF" + bytes(60))
    empty = circusd.folder / "empty"
    empty.touch()
    loop = circusd.folder / "loop"
    loop.symlink_to(loop)
    for path in (no_interpreter, no_program, empty):
        path.chmod(0o755)
    assert_fails(circusd, "/nowhere/program", "/nowhere/program", "does not exist")
    assert_fails(circusd, "nosuchprogram", "'nosuchprogram'", "not found in PATH")
    assert_fails(circusd, str(plain), str(plain), "not executable", "chmod +x")
    assert_fails(circusd, str(circusd.folder), str(circusd.folder), "is not a file")
    assert_fails(circusd, f"{plain}/x", f"{plain}/x", "Not a directory")
    assert_fails(circusd, str(loop), str(loop), "symbolic links")
    assert_fails(circusd, "/" + "x" * 300, "xxx", "File name too long")
    assert_fails(circusd, str(no_interpreter), str(no_interpreter), "interpreter")
    assert_fails(circusd, str(no_program), str(no_program))
    assert_fails(circusd, str(empty), str(empty), "#!")
    assert_fails(circusd, "./plain", "working_dir", "/nowhere", working_dir="/nowhere")
    assert_fails(circusd, "sleep 300", "working_dir", str(plain), working_dir=str(plain))
    assert circusd.ok("status", name="good")["status"] == "active"


def test_arguments_that_are_too_long(circusd: Circusd) -> None:
    circusd.start("")
    assert_fails(circusd, "sleep 300", "too long", args=["x" * 200_000])


def test_a_working_dir_that_vanishes_and_comes_back(circusd: Circusd) -> None:
    folder = circusd.folder / "work"
    folder.mkdir()
    circusd.start(f"[watcher:w]\n{SLEEP}\nworking_dir = {folder}\nmax_retry = -1")
    events = circusd.subscribe()
    (pid,) = circusd.pids("w")
    folder.rmdir()
    os.kill(pid, signal.SIGKILL)
    failed = events.wait_for("spawn_failed", watcher="w", count=2)
    assert failed.data["stage"] == "chdir"
    assert str(folder) in failed.data["reason"]
    assert circusd.ok("status", name="w")["status"] == "active"
    assert str(folder) in str(circusd.ok("explain", name="w"))
    folder.mkdir()
    events.wait_for("spawn", watcher="w")
    assert len(circusd.pids("w")) == 1


def test_the_folder_of_circusd_vanishes(circusd: Circusd) -> None:
    folder = circusd.folder / "own"
    folder.mkdir()
    circusd.start(f"[watcher:w]\n{SLEEP}", cwd=folder)
    folder.rmdir()
    before = circusd.pids("w")
    circusd.ok("restart", name="w")
    assert circusd.pids("w") != before
    assert circusd.ok("options", name="w")["options"]["working_dir"]
    reply = circusd.call(
        "add", name="v", cmd="sleep 9", options={"working_dir": "x", "max_retry": 1}, start=True, waiting=True
    )
    assert "relative to a folder that is gone" in reply["reason"]
    assert circusd.ok("reloadconfig")["status"] == "ok"


@pytest.mark.parametrize("cmd", ["true", "false", 'sh -c "kill -KILL $$"', 'sh -c "kill -SEGV $$"', 'sh -c "exit 255"'])
def test_a_program_that_ends_at_once_is_reaped_each_time(circusd: Circusd, cmd: str) -> None:
    circusd.start(f"[watcher:quick]\ncmd = {cmd}\nnumprocesses = 3\nautostart = False\n[watcher:good]\n{SLEEP}")
    events = circusd.subscribe()
    circusd.ok("start", name="quick", waiting=False)
    events.wait_for("reap", watcher="quick", count=9)
    before = circusd.pids("good")
    circusd.ok("stop", name="quick")
    events.wait_for("stop", watcher="quick")
    spawned = [event.data["process_pid"] for event in events.of("spawn", watcher="quick")]
    reaped = [event.data["process_pid"] for event in events.of("reap", watcher="quick")]
    assert sorted(spawned) == sorted(reaped)
    assert circusd.pids("good") == before
    assert circusd.descendants() == before


DEAF = """
import signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
open(sys.argv[1], "a").write("x")
time.sleep(300)
"""


def test_a_program_that_ignores_the_stop_signal_is_killed_after_the_graceful_timeout(circusd: Circusd) -> None:
    flag = circusd.folder / "flag"
    cmd = circusd.program("deaf.py", DEAF)
    circusd.start(f"[watcher:w]\ncmd = {cmd} {flag}\nnumprocesses = 2\ngraceful_timeout = 0.5")
    events = circusd.subscribe()
    wait_until(lambda: flag.exists() and len(flag.read_text()) == 2, "both are deaf")
    pids = circusd.pids("w")
    begin = time.monotonic()
    circusd.ok("stop", name="w")
    assert time.monotonic() - begin >= 0.5
    assert not any(is_alive(pid) for pid in pids)
    events.wait_for("stop", watcher="w")
    assert {event.data["exit_code"] for event in events.of("reap", watcher="w")} == {-9}
    signals = [(event.data["process_pid"], event.data["signum"]) for event in events.of("kill", watcher="w")]
    assert sorted(signals) == sorted([(pid, signum) for pid in pids for signum in (15, 9)])


def test_a_program_that_has_stopped_itself(circusd: Circusd) -> None:
    circusd.start('[watcher:w]\ncmd = sh -c "kill -STOP $$; sleep 300"\ngraceful_timeout = 0.5')
    (pid,) = circusd.pids("w")
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "it has stopped")
    assert circusd.ok("status", name="w")["status"] == "active"
    circusd.ok("stop", name="w")
    assert not is_alive(pid)


DAEMON = """
import os, sys, time
flag, how = sys.argv[1:3]
env = {} if "clear" in how else dict(os.environ)
if os.fork():
    while "clear" in how and not os.path.exists(flag):
        time.sleep(0.01)  # until then it has the mark, by which circusd would know it
    if "stay" in how:
        os.wait()
        time.sleep(300)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
deaf = 'import os, signal, time; signal.signal(15, signal.SIG_IGN); open(%r, "w").write(str(os.getpid())); '
deaf += 'time.sleep(300)'
os.execve(sys.executable, [sys.executable, "-c", deaf % flag], env)
"""


@pytest.mark.parametrize("how", ["clear", "clear-stay"])
def test_a_program_that_has_left_every_trace_behind_is_ended_with_circusd(circusd: Circusd, how: str) -> None:
    """It forked twice, left its session and cleared its environment: nobody can tell which watcher it is from."""
    cmd = circusd.program("daemon.py", DAEMON)
    flag = circusd.folder / "flag"
    circusd.start(f"[watcher:w]\ncmd = {cmd} {flag} {how}\nrespawn = False\ngraceful_timeout = 0.5")
    wait_until(lambda: flag.exists() and flag.read_text(), "the daemon runs")
    pid = int(flag.read_text())
    try:
        circusd.ok("stop", name="w")
        assert is_alive(pid)
        assert circusd.stop() == 0
        assert not is_alive(pid)
        assert f"process {pid} is circusd's child now" in circusd.output()
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("how", ["keep-stay"])
def test_a_program_that_daemonizes_itself_is_ended_with_its_watcher(circusd: Circusd, how: str) -> None:
    cmd = circusd.program("daemon.py", DAEMON)
    flag = circusd.folder / "flag"
    circusd.start(f"[watcher:w]\ncmd = {cmd} {flag} {how}\nrespawn = False\ngraceful_timeout = 0.5")
    wait_until(lambda: flag.exists() and flag.read_text(), "the daemon runs")
    pid = int(flag.read_text())
    try:
        circusd.ok("stop", name="w")
        assert not is_alive(pid)
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


TREE = """
import os, subprocess, sys, time
depth, log = int(sys.argv[1]), sys.argv[2]
with open(log, "a") as file:
    file.write(f"{os.getpid()}\\n")
if depth:
    for _ in range(2):
        subprocess.Popen([sys.executable, __file__, str(depth - 1), log], start_new_session=True)
time.sleep(300)
"""


@pytest.mark.parametrize("way", ["stop", "kill -9", "quit"])
def test_grandchildren_in_sessions_of_their_own_go_with_it(circusd: Circusd, way: str) -> None:
    cmd = circusd.program("tree.py", TREE)
    log = circusd.folder / "pids"
    circusd.start(f"[watcher:w]\ncmd = {cmd} 3 {log}\ngraceful_timeout = 2\nrespawn = False")
    wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 15, "the whole tree runs")
    pids = [int(line) for line in log.read_text().split()]
    if way == "stop":
        circusd.ok("stop", name="w")
    elif way == "quit":
        assert circusd.stop() == 0
    else:
        os.kill(pids[0], signal.SIGKILL)
        wait_until(lambda: circusd.ok("status", name="w")["status"] == "stopped", "it is down")
    assert not [pid for pid in pids if is_alive(pid)]


CHAIN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for generation in range(int(sys.argv[1])):
    if os.fork():
        time.sleep(float(sys.argv[2]))
        os._exit(0)
    os.setsid()
open(sys.argv[3], "w").write(str(os.getpid()))
time.sleep(300)
"""


@pytest.mark.parametrize(("links", "pause"), [(1000, 0.0), (100, 0.02)])
def test_a_chain_of_forks_is_ended(circusd: Circusd, links: int, pause: float) -> None:
    cmd = circusd.program("chain.py", CHAIN)
    last = circusd.folder / "last"
    circusd.start(
        f"[watcher:w]\ncmd = {cmd} {links} {pause} {last}\nrespawn = False\ngraceful_timeout = 0.2\nautostart = False"
    )
    circusd.ok("start", name="w", waiting=False)
    circusd.ok("stop", name="w")
    assert not circusd.descendants()
    assert circusd.ok("status", name="w")["status"] == "stopped"


def test_a_process_that_dies_at_any_moment_after_its_spawn_is_never_missed(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 300\nnumprocesses = 5\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("start", name="w", waiting=False)
    # Whoever is told of a process kills it at once: most of them die before their exec is over.
    killed: set[int] = set()

    def kill_all() -> bool:
        for event in events.of("spawn", watcher="w"):
            if event.data["process_pid"] not in killed and len(killed) < 60:
                os.kill(event.data["process_pid"], signal.SIGKILL)
                killed.add(event.data["process_pid"])
        return len(killed) >= 25

    wait_until(kill_all, "25 processes have been killed")
    wait_until(
        lambda: killed <= {event.data["process_pid"] for event in events.of("reap", watcher="w")}, "each has its reap"
    )
    circusd.wait_for_pids("w", 5)
    assert sorted(circusd.wids("w")) == [1, 2, 3, 4, 5]


def test_a_program_that_spoils_its_mark_keeps_no_watcher_from_being_stopped(circusd: Circusd) -> None:
    left = circusd.folder / "left"
    spoilt = 'CIRCUS_MARK="${CIRCUS_MARK%.*.*.*}.spoilt" setsid sleep 300'
    (circusd.folder / "spoil").write_text(f"{spoilt} &\necho $! > {left}.new && mv {left}.new {left}\nexec sleep 300\n")
    circusd.start(f"[watcher:w]\ncmd = /bin/sh {circusd.folder}/spoil\nrespawn = False\n[watcher:other]\n{SLEEP}")
    wait_until(left.exists, "it has started the other program")
    wait_until(lambda: b".spoilt" in Path(f"/proc/{int(left.read_text())}/environ").read_bytes(), "its mark is spoilt")
    os.kill(circusd.pids("w")[0], signal.SIGKILL)
    circusd.ok("stop", name="w")
    circusd.ok("stop", name="other")
    assert "internal error" not in circusd.output()
    assert circusd.stop() == 0


def test_three_hundred_die_at_once(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 300\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("start", name="w")
    before = circusd.wids("w")
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: len(events.of("reap", watcher="w")) == 300 and len(events.of("spawn", watcher="w")) == 600,
        "all have been replaced",
    )
    after = circusd.wids("w")
    assert sorted(after) == sorted(before)
    assert not set(before.values()) & set(after.values())
    assert sorted(event.data["process_pid"] for event in events.of("reap", watcher="w")) == sorted(before.values())
    assert circusd.stop() == 0
    assert not [pid for pid in after.values() if is_alive(pid)]


def test_a_file_with_many_bad_programs_still_runs_the_good_ones(circusd: Circusd) -> None:
    bad = "\n".join(f"[watcher:bad{number}]\ncmd = /nowhere/{number}\nmax_retry = -1" for number in range(30))
    circusd.start(f"{bad}\n[watcher:good]\n{SLEEP}")
    statuses = circusd.ok("status")["statuses"]
    assert statuses.pop("good") == "active"
    assert len(statuses) == 30
    (pid,) = circusd.pids("good")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: circusd.pids("good") not in ([], [pid]), "it was replaced")
    assert circusd.stop() == 0
