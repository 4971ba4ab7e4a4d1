"""Every command against a real daemon: what its reply holds, and what it brings about."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import zmq

from circus.client import CircusClient
from tests.seen import Seen, deaf
from tests.support import DEADLINE, Circusd, is_alive, wait_until

TWO = """
[watcher:Web]
cmd = sleep 300
numprocesses = 2
flapping.max_retry = 3
[watcher:one]
cmd = sleep 300
singleton = True
"""
STUBBORN = "cmd = sh -c \"trap '' TERM; while :; do sleep 1; done\""


def error(reply: dict[str, Any]) -> tuple[int, str]:
    assert reply["status"] == "error", reply
    assert reply["tb"] is None
    return reply["errno"], reply["reason"]


# Queries.


def test_queries(circusd: Circusd) -> None:
    circusd.start(TWO)
    assert circusd.ok("list")["watchers"] == ["one", "web"]
    pids = circusd.ok("list", name="WEB")["pids"]
    assert len(pids) == 2
    assert circusd.ok("status")["statuses"] == {"Web": "active", "one": "active"}
    assert circusd.ok("status", name="web")["status"] == "active"
    assert circusd.ok("numprocesses")["numprocesses"] == 3
    reply = circusd.ok("numprocesses", name="wEB")
    assert (reply["numprocesses"], reply["watcher_name"]) == (2, "wEB")
    assert circusd.ok("numwatchers")["numwatchers"] == 2
    assert circusd.ok("listsockets")["sockets"] == []
    assert error(circusd.call("list", name="Nope")) == (3, "program Nope not found")


def test_options_of_a_watcher(circusd: Circusd) -> None:
    circusd.start(TWO)
    options = circusd.ok("options", name="web")["options"]
    assert options["cmd"] == "sleep 300"
    assert (options["numprocesses"], options["graceful_timeout"], options["max_age"]) == (2, 30.0, 0)
    assert (options["stop_signal"], options["env"], options["uid"], options["args"]) == (15, {}, None, "")
    assert (options["close_child_stdin"], options["stdout_stream_conf"]) == (True, {})
    assert options["flapping.max_retry"] == "3"
    keys = ["flapping.max_retry", "cmd"]
    assert circusd.ok("get", name="web", keys=keys)["options"] == {"flapping.max_retry": "3", "cmd": "sleep 300"}
    assert error(circusd.call("get", name="web", keys=["cmd", "no"])) == (3, "'no' option not found")


def test_options_of_the_daemon(circusd: Circusd) -> None:
    circusd.start(TWO)
    options = circusd.ok("globaloptions")["options"]
    assert options["endpoint"] == circusd.endpoint
    assert options["pubsub_endpoint"] == circusd.pubsub_endpoint
    assert circusd.ok("globaloptions", option="check_delay")["options"] == {"check_delay": 5.0}
    assert error(circusd.call("globaloptions", option="x")) == (3, "'x' not an existing option")


def test_stats(circusd: Circusd) -> None:
    circusd.start(TWO)
    pids = circusd.pids("web")
    infos = circusd.ok("stats")["infos"]
    assert set(infos) == {"Web", "one"}
    reply = circusd.ok("stats", name="WEB")
    assert reply["name"] == "WEB"
    assert set(reply["info"]) == set(map(str, pids))
    info = reply["info"][str(pids[1])]
    assert (info["pid"], info["wid"], info["cmdline"], info["children"]) == (pids[1], 2, "sleep", [])
    assert abs(info["started"] - time.time()) < DEADLINE
    one = circusd.ok("stats", name="web", process=str(pids[0]))
    assert (one["process"], one["info"]["pid"]) == (str(pids[0]), pids[0])
    assert error(circusd.call("stats", name="web", process=1)) == (3, "process 1 not found in 'web'")
    assert circusd.process is not None
    assert circusd.ok("dstats")["info"]["pid"] == circusd.process.pid


def test_events_are_kept(circusd: Circusd) -> None:
    circusd.start(TWO)
    everything = circusd.ok("events", since=0)
    numbers = [event["data"]["seq"] for event in everything["events"]]
    assert numbers == list(range(1, everything["last_seq"] + 1))
    seq = circusd.call("stop", name="web")["seq"]
    assert seq == everything["last_seq"]
    circusd.ok("stop", name="web")
    later = circusd.ok("events", since=seq)
    assert later["boot"] == everything["boot"]
    assert [event["topic"] for event in later["events"]].count("watcher.web.reap") == 2
    assert circusd.ok("events", limit=1)["events"][0]["data"]["seq"] == later["last_seq"]


def test_explain(circusd: Circusd) -> None:
    circusd.start(TWO)
    pid = circusd.pids("one")[0]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: circusd.pids("one") not in ([], [pid]), "one is replaced")
    reply = circusd.ok("explain", name="ONE")
    assert (reply["state"], reply["name"]) == ("active", "one")
    (slot,) = reply["processes"]
    assert slot["wid"] == 1
    assert slot["last_exits"][-1]["exit_code"] == -9
    assert "killed by SIGKILL" in circusd.ctl("explain", "one").stdout


def test_explain_a_program_that_is_missing(circusd: Circusd) -> None:
    circusd.start("[watcher:no]\ncmd = /no/such/program\nmax_retry = 2")
    wait_until(lambda: circusd.ok("status", name="no")["status"] == "stopped", "it has given up")
    text = circusd.ctl("explain", "no").stdout
    assert text.startswith("no: stopped")
    assert "/no/such/program" in text
    code, reason = error(circusd.call("start", name="no", waiting=True))
    assert code == 6
    assert "/no/such/program" in reason


# Start, stop, restart, reload.


def test_one_watcher_replies_with_its_processes(circusd: Circusd) -> None:
    circusd.start(TWO)
    first = sorted(circusd.pids("web"))
    assert circusd.ok("start", name="web")["info"] == {"started": [], "kept": first}
    assert circusd.ok("stop", name="web")["info"] is None
    started = circusd.ok("start", name="WEB")["info"]["started"]
    assert sorted(started) == sorted(circusd.pids("web"))
    info = circusd.ok("restart", name="web")["info"]
    assert (info["stopped"], info["started"], info["kept"]) == (sorted(started), sorted(circusd.pids("web")), [])
    info = circusd.ok("reload", name="web")["info"]
    assert (info["started"], info["kept"]) == (sorted(circusd.pids("web")), [])
    before = info["started"]
    info = circusd.ok("reload", name="web", sequential=True)["info"]
    assert info["stopped"] == before
    info = circusd.ok("reload", name="web", graceful=False)["info"]
    assert len(info["stopped"]) == len(info["started"]) == 2


@pytest.mark.parametrize(
    ("pattern", "method", "stopped"),
    [
        ("W*", "glob", {"Web", "wide"}),
        ("web", "simple", {"Web"}),
        ("W", "regex", {"Web", "wide"}),
        ("one|wide", "regex", {"one", "wide"}),
        (None, "glob", {"Web", "one", "wide"}),
    ],
)
def test_matching(circusd: Circusd, pattern: str | None, method: str, stopped: set[str]) -> None:
    circusd.start(TWO + "[watcher:wide]\ncmd = sleep 300")
    reply = circusd.ok("stop", **({"name": pattern, "match": method} if pattern else {}))
    assert ("info" in reply) == (len(stopped) == 1)
    statuses = circusd.ok("status")["statuses"]
    assert {name for name, state in statuses.items() if state == "stopped"} == stopped


def test_what_does_not_match(circusd: Circusd) -> None:
    circusd.start(TWO)
    assert error(circusd.call("stop", name="x*")) == (3, "program x* not found")
    assert error(circusd.call("stop", name="we", match="simple")) == (3, "program we not found")
    assert error(circusd.call("stop", name="web", match="fuzzy")) == (3, "unknown match method fuzzy")
    code, _ = error(circusd.call("stop", name="(", match="regex"))
    assert code == 3
    assert set(circusd.ok("status")["statuses"].values()) == {"active"}


def test_autostart_counts_unless_a_watcher_is_named_alone(circusd: Circusd) -> None:
    circusd.start("[watcher:a1]\ncmd = sleep 300\nautostart = False\n[watcher:a2]\ncmd = sleep 300")
    circusd.ok("start")
    circusd.ok("start", name="a*")
    assert circusd.ok("status")["statuses"] == {"a1": "stopped", "a2": "active"}
    circusd.ok("start", name="a1")
    assert circusd.ok("status", name="a1")["status"] == "active"


def test_without_waiting_the_reply_comes_at_once(circusd: Circusd) -> None:
    circusd.start(f"[watcher:slow]\n{STUBBORN}\ngraceful_timeout = 60")
    (pid,) = deaf(circusd, "slow")
    reply = circusd.call("stop", name="slow")
    assert set(reply) == {"status", "time", "id", "seq"}
    assert circusd.ok("status", name="slow")["status"] == "stopping"
    (blocker,) = wait_until(lambda: circusd.ok("explain", name="slow")["blocked_by"], "it is being ended")
    assert blocker["pid"] == pid


def test_a_later_command_supersedes_an_earlier_one(circusd: Circusd) -> None:
    circusd.start(f"[watcher:slow]\n{STUBBORN}\ngraceful_timeout = 60\n" + TWO)
    deaf(circusd, "slow")
    with CircusClient(endpoint=circusd.endpoint) as client:
        first = client.send({"command": "restart", "properties": {"name": "slow", "waiting": True}})
        assert client.send_message("stop", name="web", waiting=True)["status"] == "ok"
        client.send({"command": "stop", "properties": {"name": "slow", "waiting": True}})
        reply = client.receive(first, DEADLINE)
    assert reply is not None
    assert (reply["status"], reply["superseded"]) == ("ok", True)


# Numbers.


def test_incr_and_decr(circusd: Circusd) -> None:
    circusd.start(TWO)
    assert circusd.ok("incr", name="web", nb=2)["numprocesses"] == 4
    circusd.wait_for_pids("web", 4)
    assert circusd.ok("decr", name="web")["numprocesses"] == 3
    assert circusd.ok("incr", name="web", nb=-2)["numprocesses"] == 1
    assert circusd.ok("decr", name="web", nb=7)["numprocesses"] == 0
    circusd.wait_for_pids("web", 0)
    reply = circusd.call("incr", name="one")
    assert (reply["numprocesses"], reply["singleton"]) == (1, True)
    assert circusd.ctl("incr", "web", "2", "--waiting").stdout == "2\n"


# Kill, signal.


def test_kill(circusd: Circusd) -> None:
    circusd.start(TWO)
    events = circusd.subscribe()
    first, second = circusd.pids("web")
    circusd.ok("kill", name="web", pid=str(first), signum="usr1")
    reap = events.wait_for("reap", watcher="web")
    assert (reap.data["process_pid"], reap.data["exit_code"]) == (first, -signal.SIGUSR1)
    wait_until(lambda: len(circusd.pids("web")) == 2, "it is replaced")
    assert second in circusd.pids("web")
    circusd.ok("kill", name="web", pid=1)
    circusd.ok("kill", name="web")
    wait_until(lambda: second not in circusd.pids("web") and len(circusd.pids("web")) == 2, "all are replaced")


def test_kill_takes_what_does_not_obey(circusd: Circusd) -> None:
    circusd.start(f"[watcher:slow]\n{STUBBORN}\ngraceful_timeout = 600")
    (pid,) = deaf(circusd, "slow")
    assert circusd.ctl("kill", "slow", "--graceful-timeout", "0.1", "--waiting").returncode == 0
    assert not is_alive(pid)


def test_signal(circusd: Circusd) -> None:
    code = (
        "import signal, subprocess, sys, time; c = subprocess.Popen(['sleep', '300']);"
        "signal.signal(signal.SIGUSR1, lambda *a: open(sys.argv[1], 'w').write(str(c.wait())));"
        "open(sys.argv[1] + '.ready', 'w').close()\nwhile 1: time.sleep(1)"
    )
    path = circusd.folder / "program.py"
    path.write_text(code)
    out = circusd.folder / "out"
    circusd.start(f"[watcher:w]\ncmd = {sys.executable} {path} {out}")
    wait_until(lambda: out.with_suffix(".ready").exists(), "the program runs")
    (pid,) = circusd.pids("w")
    circusd.ok("signal", name="w", signum="TERM", children=True)
    circusd.ok("signal", name="w", signum=int(signal.SIGUSR1), pid=pid)
    wait_until(lambda: out.exists() and out.read_text(), "the program was told")
    assert out.read_text() == "-15"
    assert circusd.pids("w") == [pid]
    circusd.ok("signal", name="w", signum=9, pid=1)
    assert error(circusd.call("signal", name="w", signum=99)) == (4, "[Errno 22] Invalid argument")
    assert error(circusd.call("signal", name="w", signum="nosuch")) == (3, "signal invalid")


# Structure.


def test_add_and_rm(circusd: Circusd) -> None:
    circusd.start(TWO)
    events = circusd.subscribe()
    assert set(circusd.call("add", name="New", cmd="sleep", args=["300"])) == {"status", "time", "id", "seq"}
    assert circusd.ok("status", name="new")["status"] == "stopped"
    assert error(circusd.call("add", name="NEW", cmd="sleep 1")) == (5, "'NEW' already exist")
    circusd.ok("rm", name="NEW")
    reply = circusd.ok("add", name="New", cmd="sleep 300", start=True, options={"numprocesses": 2})
    assert len(reply["started"]) == 2
    assert reply["kept"] == []
    circusd.ok("rm", name="new")
    assert circusd.ok("list")["watchers"] == ["one", "web"]
    assert events.actions("new").count("add") == 2
    assert not any(is_alive(pid) for pid in reply["started"])


def test_rm_may_let_the_processes_live(circusd: Circusd) -> None:
    circusd.start(TWO)
    pids = circusd.pids("web")
    assert circusd.ctl("rm", "web", "--nostop", "--waiting").returncode == 0
    assert circusd.ok("list")["watchers"] == ["one"]
    assert all(is_alive(pid) for pid in pids)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_rm_with_nostop_is_no_stop(circusd: Circusd) -> None:
    circusd.start(TWO)
    events = circusd.subscribe()
    pids = circusd.pids("web")
    circusd.ok("rm", name="web", nostop=True)
    assert events.actions("web") == ["remove"]
    assert circusd.stop() == 0
    for pid in pids:
        assert is_alive(pid), "not even circusd's own end ends it"
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), "it is gone")  # noqa: B023


def test_rm_with_nostop_lets_what_a_process_left_behind_live_too(circusd: Circusd) -> None:
    """It was about to be ended: once nobody watches it, its PID may be another process's at any time."""
    left = circusd.folder / "left"
    deaf = "trap '' TERM; "
    (circusd.folder / "leave").write_text(f"{deaf}sleep 300 &\necho $! > {left}.new && mv {left}.new {left}\n")
    (circusd.folder / "deaf").write_text(f"{deaf}while :; do sleep 1; done\n")
    circusd.start(
        f"[watcher:w]\ncmd = sh {circusd.folder}/leave\nrespawn = False\ngraceful_timeout = 1\n"
        f"[watcher:deaf]\ncmd = sh {circusd.folder}/deaf"
    )
    wait_until(lambda: circusd.ok("explain", name="w")["blocked_by"], "what it left behind is being ended")
    circusd.ok("rm", name="w", nostop=True)
    # When this SIGKILL has come, the other would have come before.
    circusd.ok("kill", name="deaf", graceful_timeout=1.5)
    pid = int(left.read_text())
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_add_from_the_command_line(circusd: Circusd) -> None:
    circusd.start(TWO)
    program = circusd.folder / "a.py"
    program.write_text("import time; time.sleep(300)")
    run = circusd.ctl("add", "--start", "py", sys.executable, "-u", str(program), "--waiting")
    assert (run.stdout, run.returncode) == ("ok\n", 0)
    circusd.wait_for_pids("py", 1)
    assert circusd.ctl("get", "py", "cmd").stdout == f"cmd: {sys.executable} -u {program} --waiting\n"


def test_set(circusd: Circusd) -> None:
    circusd.start(TWO)
    events = circusd.subscribe()
    before = circusd.pids("web")
    circusd.ok("set", name="web", options={"numprocesses": 3, "graceful_timeout": 2})
    assert set(before) <= set(circusd.wait_for_pids("web", 3))
    circusd.ok("set", name="web", options={"env": {"A": "b"}})
    (pid, *_) = circusd.pids("web")
    assert Seen(pid).env["A"] == "b"
    assert not set(before) & set(circusd.pids("web"))
    assert len(events.of("updated", watcher="web")) == 3
    assert error(circusd.call("set", name="web", options={"nope": 1})) == (3, "unknown key 'nope'")
    assert error(circusd.call("set", name="one", options={"numprocesses": 2})) == (
        5,
        "Singleton watcher has a single process",
    )
    run = circusd.ctl("set", "web", "env", "C=d,E=f", "numprocesses", "1", "--waiting")
    assert (run.stdout, run.returncode) == ("ok\n", 0)
    assert circusd.ctl("get", "web", "env", "numprocesses").stdout == "env: C=d,E=f\nnumprocesses: 1\n"


def test_plan_and_reloadconfig(circusd: Circusd) -> None:
    circusd.start(TWO)
    pids = circusd.pids("one")
    circusd.write(TWO.replace("numprocesses = 2", "numprocesses = 3") + "[watcher:new]\ncmd = sleep 300\n")
    plan = circusd.ok("plan")
    assert (plan["add"], list(plan["resize"])) == (["new"], ["Web"])
    dry = circusd.ctl("reloadconfig", "--dry-run")
    assert dry.stdout == circusd.ctl("plan").stdout == "\n".join(plan["steps"]) + "\n"
    assert circusd.ok("list")["watchers"] == ["one", "web"]
    circusd.ok("reloadconfig")
    circusd.wait_for_pids("web", 3)
    assert circusd.ok("list")["watchers"] == ["new", "one", "web"]
    assert circusd.pids("one") == pids
    circusd.write(TWO + "[watcher:bad]\ncmd = sleep\nnumprocesses = x\nstop_signal = nosuch\n")
    for words in (["plan"], ["reloadconfig", "--waiting"]):
        run = circusd.ctl(*words)
        assert run.returncode == 3
        assert "numprocesses" in run.stderr
        assert "stop_signal" in run.stderr


def test_quit(circusd: Circusd) -> None:
    circusd.start(TWO)
    assert circusd.ctl("quit", "--waiting").stdout == "ok\n"
    assert circusd.process is not None
    assert circusd.process.wait(DEADLINE) == 0


# Events as they happen.


@pytest.mark.parametrize(
    ("words", "line"), [("listen watcher.web.", "b'watcher.web.kill': b'{"), ("events --follow", " watcher.web.kill ")]
)
def test_events_are_printed_as_they_happen(circusd: Circusd, words: str, line: str) -> None:
    circusd.start(TWO)
    endpoint = circusd.pubsub_endpoint if words.startswith("listen") else circusd.endpoint
    with subprocess.Popen(
        [sys.executable, "-m", "circus.cli.circusctl", "--endpoint", endpoint, *words.split()],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        seen = b""

        def appeared() -> bool:
            nonlocal seen
            circusd.ok("kill", name="web")
            assert process.stdout is not None
            seen += process.stdout.read() or b""
            return line.encode() in seen

        try:
            wait_until(appeared, f"{words} prints an event")
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()


def test_listen_asks_the_daemon_where_its_events_are(circusd: Circusd) -> None:
    circusd.start(TWO)
    env = {**os.environ, "CIRCUSCTL_ENDPOINT": circusd.endpoint}
    with subprocess.Popen(
        [sys.executable, "-m", "circus.cli.circusctl", "listen", "--json"], stdout=subprocess.PIPE, env=env
    ) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)

        def first_line() -> bytes | None:
            circusd.ok("kill", name="web")
            assert process.stdout is not None
            return process.stdout.readline() or None

        try:
            assert "topic" in json.loads(wait_until(first_line, "an event is printed"))
        finally:
            process.kill()


# What no request ought to be.


def test_nothing_that_is_sent_ends_the_daemon(circusd: Circusd) -> None:
    circusd.start(TWO)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(circusd.endpoint)
        for payload in (b"", b"no json", b"[1]", b"{}", b"[" * 100_000, b"\xff" * 10, b"x" * (10 << 20)):
            socket.send(payload)
            assert socket.poll(int(DEADLINE * 1000)), payload[:20]
            assert socket.recv_json()["status"] == "error"
        socket.send_multipart([b"a", b"b", b"c"])
        socket.send_json({"command": "numwatchers", "msg_type": "cast"})
        socket.send_json({"command": "numwatchers", "id": 5})
        assert socket.poll(int(DEADLINE * 1000))
        assert socket.recv_json()["id"] == 5
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.connect(circusd.endpoint)
        socket.send_json({"command": "numwatchers"})
        assert socket.poll(int(DEADLINE * 1000))
        assert socket.recv_json()["numwatchers"] == 2


def test_a_time_out_says_what_the_daemon_is_busy_with(circusd: Circusd) -> None:
    circusd.start(f"[watcher:slow]\n{STUBBORN}\ngraceful_timeout = 60")
    (pid,) = deaf(circusd, "slow")
    run = circusd.ctl("--timeout", "0.5", "stop", "slow", "--waiting")
    assert (run.stdout, run.returncode) == ("", 1)
    assert f"is busy with 'stop', sent 0.5 s ago: slow is stopping (pids {pid})" in run.stderr


def test_a_time_out_of_a_daemon_that_was_stopped_by_a_signal(circusd: Circusd) -> None:
    circusd.start(TWO)
    assert circusd.process is not None
    circusd.process.send_signal(signal.SIGSTOP)
    os.waitpid(circusd.process.pid, os.WUNTRACED)
    try:
        run = circusd.ctl("--timeout", "0.3", "status")
    finally:
        circusd.process.send_signal(signal.SIGCONT)
    assert run.returncode == 1
    assert f"(pid {circusd.process.pid}, stopped by a signal)" in run.stderr


# endpoint_owner.


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of another user")
def test_the_owner_of_the_endpoint(circusd: Circusd) -> None:
    user = pwd.getpwuid(65534).pw_name
    circusd.start(TWO, f"endpoint_owner = {user}")
    assert (circusd.folder / "endpoint").stat().st_uid == 65534
    assert error(circusd.call("add", name="x", cmd="id")) == (3, "uid does not match endpoint_owner")
    assert error(circusd.call("set", name="web", options={"cmd": "id"}))[0] == 3
    circusd.ok("add", name="x", cmd="sleep 300", start=True, options={"uid": user})
    (pid,) = circusd.pids("x")
    assert os.stat(f"/proc/{pid}").st_uid == 65534
    circusd.ok("set", name="x", options={"cmd": "sleep 301"})
    assert error(circusd.call("set", name="x", options={"uid": 0}))[0] == 3
