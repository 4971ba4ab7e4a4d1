"""Things that happen at the same time, with real daemons: what was wanted last is what is, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.seen import deaf, resident
from tests.support import Circusd, daemon, is_alive, wait_until

SLEEP = "cmd = sleep 300"
STUBBORN = "cmd = sh -c \"trap '' TERM; while :; do sleep 1; done\""


class Talker:
    """A connection over which commands are sent without waiting for the reply."""

    def __init__(self, circusd: Circusd) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(circusd.endpoint)
        self.sent = self.received = 0

    def send(self, command: str, **properties: Any) -> None:
        self.sent += 1
        self._socket.send_json({"command": command, "properties": properties, "id": self.sent})

    def replies(self, deadline: float = 30.0) -> dict[int, dict[str, Any]]:
        """Wait for the replies to all that was sent since the last time; return them by the number of their request."""
        found: dict[int, dict[str, Any]] = {}
        end = time.monotonic() + deadline
        while self.received < self.sent:
            assert self._socket.poll(max(0, int((end - time.monotonic()) * 1000))), (
                f"{self.received} of {self.sent} replies"
            )
            reply = json.loads(self._socket.recv())
            found[reply["id"]] = reply
            self.received += 1
        return found

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()

    def __enter__(self) -> Talker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.mark.parametrize("command", ["stop", "restart", "quit", "rm"])
def test_a_command_while_a_kill_waits(circusd: Circusd, command: str) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 1.5")
    assert circusd.process is not None
    (pid,) = deaf(circusd, "w")
    name = {} if command == "quit" else {"name": "w"}
    with Talker(circusd) as talker:
        talker.send("kill", name="w", waiting=True)
        talker.send(command, **name, waiting=True)
        if command != "rm":
            assert circusd.ok("list", name="w")["pids"] == [pid], "queries are answered meanwhile"
        replies = talker.replies()
    assert replies[1]["status"] == replies[2]["status"] == "ok"
    assert not is_alive(pid)
    if command == "quit":
        assert circusd.process.wait(20) == 0
    circusd.assert_no_defect()


@pytest.mark.parametrize("how", [{"signum": "KILL"}, {"graceful_timeout": 0}], ids=["signum", "graceful_timeout"])
def test_a_kill_hastens_a_stop(circusd: Circusd, how: dict[str, Any]) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 300")
    (pid,) = deaf(circusd, "w")
    with Talker(circusd) as talker:
        talker.send("stop", name="w", waiting=True)
        wait_until(lambda: circusd.ok("status", name="w")["status"] == "stopping", "it has its stop signal")
        talker.send("kill", name="w", pid=pid, **how, waiting=True)
        replies = talker.replies()
    assert replies[1] | {"info": None} == replies[1] and replies[2]["status"] == "ok"
    assert not is_alive(pid)
    assert circusd.ok("status", name="w")["status"] == "stopped"


@pytest.mark.parametrize("command", ["start", "reload", "incr", "set"])
def test_a_command_while_reloadconfig_has_not_come_to_its_watcher(circusd: Circusd, command: str) -> None:
    watchers = f"[watcher:first]\n{STUBBORN}\ngraceful_timeout = 2\npriority = 1\n[watcher:w]\n{SLEEP}"
    circusd.start(watchers)
    deaf(circusd, "first")
    circusd.write(watchers.replace("sleep 300", "sleep 301") + "\n[watcher:first]\nmax_retry = 4")
    more = {"incr": {"nb": 1}, "set": {"options": {"numprocesses": 2}}}.get(command, {})
    with Talker(circusd) as talker:
        talker.send("reloadconfig", waiting=True)
        wait_until(lambda: circusd.ok("status", name="first")["status"] == "stopping", "first is being replaced")
        talker.send(command, name="w", **more, waiting=True)
        replies = talker.replies()
    assert replies[1]["status"] == replies[2]["status"] == "ok"
    programs = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in circusd.pids("w")]
    assert programs == [b"sleep\x00301\x00"] * (2 if more else 1)
    assert circusd.ok("options", name="w")["options"]["numprocesses"] == len(programs)


@pytest.mark.parametrize("command", ["start", "restart", "reload", "reloadconfig", "stop", "restart all"])
def test_quit_while_something_runs(circusd: Circusd, command: str) -> None:
    watchers = "\n".join(f"[watcher:w{number}]\n{SLEEP}\nnumprocesses = 20\nwarmup_delay = 0.05" for number in range(3))
    circusd.start(watchers, "warmup_delay = 0.1")
    assert circusd.process is not None
    if command == "start":
        circusd.ok("stop")
    circusd.write(watchers.replace("20", "21"), "warmup_delay = 0.1")
    with Talker(circusd) as talker:
        talker.send(command.split()[0], waiting=True)
        talker.send("quit", waiting=True)
        replies = talker.replies()
    assert replies[2]["status"] == "ok"
    assert replies[1]["status"] == "error" or replies[1].get("superseded") or command in ("stop", "reload")
    assert circusd.process.wait(20) == 0
    assert not circusd.descendants()
    circusd.assert_no_defect()


def test_a_status_right_after_a_command_knows_of_it(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2\n[watcher:down]\n{SLEEP}\nautostart = False")
    assert circusd.process is not None
    with Talker(circusd) as talker:
        talker.send("list")
        talker.replies()
        # Both are there to be read when it goes on.
        circusd.process.send_signal(signal.SIGSTOP)
        for command, name in (("stop", "w"), ("start", "down")):
            talker.send(command, name=name)
            talker.send("explain", name=name)
            talker.send("status", name=name)
        circusd.process.send_signal(signal.SIGCONT)
        replies = talker.replies()
    assert [replies[number]["status"] for number in (4, 7)] == ["stopping", "starting"]
    assert [replies[number]["state"] for number in (3, 6)] == ["stopping", "starting"]


def test_nothing_is_started_once_circusd_shuts_down(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 1.5\n[watcher:v]\n{SLEEP}")
    assert circusd.process is not None
    deaf(circusd, "w")
    with Talker(circusd) as talker:
        talker.send("quit", waiting=True)
        for command in ("start", "restart", "reload", "reloadconfig"):
            talker.send(command, waiting=True)
        for command in ("start", "restart", "reload", "incr"):
            talker.send(command, name="v", waiting=True)
        talker.send("add", name="x", cmd="sleep 300", start=True, waiting=True)
        talker.send("set", name="v", options={"numprocesses": 9}, waiting=True)
        talker.send("list")
        replies = talker.replies()
    assert all("shutting down" in replies[number]["reason"] for number in range(2, 12)), replies
    assert replies[12]["status"] == "ok", "queries are still answered"
    assert circusd.process.wait(20) == 0
    circusd.assert_no_defect()


def test_a_storm_of_signals_to_stop(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 100\nnumprocesses = 10\n[watcher:v]\n{SLEEP}")
    assert circusd.process is not None
    deaf(circusd, "w")
    while circusd.process.poll() is None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGWINCH):
            circusd.process.send_signal(number)
    assert circusd.process.returncode == 0
    assert not circusd.descendants()
    circusd.assert_no_defect()


def test_a_signal_to_stop_the_moment_it_starts(circusd: Circusd) -> None:
    circusd.write(f"[watcher:w]\n{SLEEP}\nnumprocesses = 30")
    for _ in range(5):
        process = circusd.launch()
        wait_until(lambda: (circusd.folder / "endpoint").exists() or process.poll() is not None)  # noqa: B023
        process.terminate()
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert not circusd.descendants()
    circusd.assert_no_defect()


def test_remove_and_add_in_quick_succession(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2")
    with Talker(circusd) as talker:
        for number in range(50):
            talker.send("rm", name="w", waiting=bool(number % 2))
            talker.send("add", name="W" if number % 2 else "w", cmd="sleep 301", start=True, waiting=bool(number % 3))
        replies = talker.replies()
    assert not [reply for reply in replies.values() if reply["status"] == "error"]
    wait_until(lambda: circusd.ok("status", name="w")["status"] == "active", "the last one runs")
    (pid,) = circusd.wait_for_pids("w", 1)
    wait_until(lambda: circusd.descendants() == [pid], "the others are gone")
    circusd.assert_no_defect()


def test_added_again_while_the_old_one_ends_slowly(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 1")
    (old,) = deaf(circusd, "w")
    circusd.ok("rm", name="w", waiting=False)
    reply = circusd.ok("add", name="w", cmd="sleep 300", start=True)
    assert not is_alive(old), "the new one starts when the old one is gone"
    assert circusd.pids("w") == reply["started"]
    circusd.ok("rm", name="w", waiting=False)
    circusd.ok("add", name="w", cmd="sleep 300", start=True, waiting=False)
    circusd.ok("rm", name="w")
    assert circusd.ok("list")["watchers"] == []
    wait_until(lambda: not circusd.descendants(), "nothing runs")
    circusd.assert_no_defect()


def test_start_and_stop_a_hundred_times(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2")
    assert circusd.process is not None
    for _ in range(100):
        circusd.ok("stop", name="w")
        assert circusd.pids("w") == []
        assert len(circusd.ok("start", name="w")["info"]["started"]) == 2
    with Talker(circusd) as talker:
        for _ in range(100):
            talker.send("stop", name="w", waiting=True)
            talker.send("start", name="w", waiting=True)
        replies = talker.replies()
    assert {reply["status"] for reply in replies.values()} == {"ok"}
    assert len(circusd.wait_for_pids("w", 2)) == 2
    assert sorted(circusd.wids("w")) == [1, 2]
    wait_until(lambda: len(circusd.descendants()) == 2, "nothing else is left")
    circusd.assert_no_defect()


def test_a_stop_after_a_restart_of_everything_is_not_undone_by_it(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\n[watcher:v]\n{SLEEP}")
    before = circusd.pids("v")
    with Talker(circusd) as talker:
        for _ in range(3):
            talker.send("restart", waiting=True)
        talker.send("stop", name="w", waiting=True)
        talker.replies()
    assert circusd.ok("status")["statuses"] == {"v": "active", "w": "stopped"}
    assert circusd.pids("v") != before


@pytest.mark.parametrize("seed", range(3))
def test_commands_at_random(circusd: Circusd, seed: int) -> None:
    circusd.start(f"[watcher:a]\n{SLEEP}\nnumprocesses = 2\n[watcher:b]\n{SLEEP}\n[watcher:c]\ncmd = true")
    chance = random.Random(seed)
    commands = ["start", "stop", "restart", "reload", "kill", "incr", "decr", "reloadconfig", "set"]
    with Talker(circusd) as talker:
        for _ in range(150):
            command = chance.choice(commands)
            properties: dict[str, Any] = {"waiting": chance.random() < 0.5}
            # A restart of everything takes back what was set, whenever its turn comes.
            needs_name = command in ("kill", "incr", "decr", "set", "restart")
            if command != "reloadconfig" and (needs_name or chance.random() < 0.8):
                properties["name"] = chance.choice("abc")
            if command == "set":
                properties["options"] = {"numprocesses": chance.randrange(4), "max_age": chance.choice([0, 100])}
            talker.send(command, **properties)
            if chance.random() < 0.1:
                for pid in circusd.descendants()[:2]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        talker.send("set", name="a", options={"numprocesses": 3})
        talker.send("stop", name="b", waiting=True)
        talker.send("stop", name="c", waiting=True)
        talker.send("restart", name="a", waiting=True)
        replies = talker.replies()
    assert all("reason" not in reply or reply["errno"] == 6 for reply in replies.values())
    assert circusd.ok("status")["statuses"] == {"a": "active", "b": "stopped", "c": "stopped"}
    assert sorted(circusd.wids("a")) == [1, 2, 3]
    wait_until(lambda: sorted(circusd.descendants()) == sorted(circusd.pids("a")), "nothing else runs")
    circusd.assert_no_defect()


def test_children_outlive_a_killed_circusd_and_the_next_one_starts(circusd: Circusd) -> None:
    # Nobody is left to end them: what runs goes on serving, which is what its users want most.
    pidfile = circusd.folder / "pid"
    text = f"[watcher:w]\n{SLEEP}\nnumprocesses = 50\nwarmup_delay = 0.01"
    circusd.write(text)
    process = circusd.launch("--pidfile", str(pidfile))
    wait_until(lambda: len(circusd.descendants()) > 5, "it is starting processes")
    process.kill()
    process.wait()
    left = circusd.descendants()
    assert len(left) > 5
    assert (circusd.folder / "endpoint").exists()
    assert pidfile.exists()
    circusd.launch("--pidfile", str(pidfile))
    circusd.wait_until_ready()
    assert circusd.process is not None
    assert int(pidfile.read_text()) == circusd.process.pid
    wait_until(lambda: len(circusd.wids("w")) == 50, "its own are there")
    assert set(left) <= set(circusd.descendants()), "what it did not start it leaves alone"
    assert circusd.stop() == 0
    # Among them may be one that was in the middle of its spawn when circusd was killed, and was not seen then.
    for pid in circusd.descendants():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not circusd.descendants(), "nothing runs")


def test_a_storm_of_hangups_does_not_multiply_processes(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 3\n[watcher:stopped]\n{SLEEP}\nautostart = False")
    assert circusd.process is not None
    before = circusd.pids("w")
    most = 0
    for _ in range(60):
        circusd.process.send_signal(signal.SIGHUP)
        count = circusd.output().count("SIG_HUP")
        wait_until(lambda: circusd.output().count("SIG_HUP") > count or circusd.ok("list"))  # noqa: B023
        states = [entry["state"] for entry in circusd.ok("explain", name="w")["processes"] if entry["pid"]]
        most = max(most, states.count("running"))
    wait_until(lambda: len(circusd.pids("w")) == 3, "the last reload is complete")
    assert not set(before) & set(circusd.pids("w"))
    assert most <= 9, "the old ones, the new ones, and those of a reload that the next one has overtaken"
    circusd.assert_no_defect()


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.XSUB])
def test_a_subscriber_that_has_stopped_slows_nobody(circusd: Circusd, kind: int) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 20", "event_ring_size = 100")
    assert circusd.process is not None
    subscriber = (
        f"import zmq; s = zmq.Context().socket({kind}); s.connect({circusd.pubsub_endpoint!r}); "
        f"s.send(b'\\1') if {kind} == zmq.XSUB else s.subscribe(''); print(s.recv_multipart()[0], flush=True)\n"
        "while True: s.recv_multipart()"
    )
    stopped = subprocess.Popen([sys.executable, "-c", subscriber], stdout=subprocess.PIPE)
    try:
        while not select_readable(stopped):
            circusd.ok("restart", name="w")
        stopped.send_signal(signal.SIGSTOP)
        events = circusd.subscribe()
        for _ in range(10):
            circusd.ok("restart", name="w")
        memory = resident(circusd.process.pid)
        seen = len(events.of("spawn", watcher="w"))
        for _ in range(40):
            circusd.ok("restart", name="w")
        events.wait_for("spawn", watcher="w", count=seen + 800)
        assert resident(circusd.process.pid) - memory < 8 << 20
    finally:
        stopped.kill()
        stopped.communicate()
    assert circusd.stop() == 0


def select_readable(process: subprocess.Popen[bytes]) -> bool:
    import select

    return bool(select.select([process.stdout], [], [], 0.05)[0])


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *ts) {
    int result = syscall(SYS_clock_gettime, id, ts);
    const char *path = getenv("CLOCK_JUMP");
    char text[32] = {0};
    int fd;
    if (id == CLOCK_REALTIME && path && (fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        if (read(fd, text, sizeof text - 1) > 0) ts->tv_sec += atol(text);
        close(fd);
    }
    return result;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler to build a clock that jumps")
@pytest.mark.parametrize("jump", [-10_000_000, 10_000_000])
def test_a_clock_that_jumps_changes_nothing(circusd: Circusd, jump: int) -> None:
    source, library, offset = (circusd.folder / name for name in ("clock.c", "clock.so", "offset"))
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=60)
    offset.write_text("0")
    circusd.start(
        f"[watcher:w]\n{SLEEP}\nmax_age = 1000\n[watcher:deaf]\n{STUBBORN}\ngraceful_timeout = 1.5",
        env={"LD_PRELOAD": str(library), "CLOCK_JUMP": str(offset)},
    )
    before = circusd.pids("w")
    deaf(circusd, "deaf")
    with Talker(circusd) as talker:
        talker.send("stop", name="deaf", waiting=True)
        wait_until(lambda: circusd.ok("status", name="deaf")["status"] == "stopping", "the stop has begun")
        offset.write_text(str(jump))
        assert abs(circusd.ok("list")["time"] - time.time() - jump) < 1000, "the daemon's clock has jumped"
        assert talker.replies(10)[1]["status"] == "ok"
    assert circusd.pids("w") == before
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: circusd.pids("w") not in ([], before), "it was replaced")
    events = circusd.ok("events", since=0)["events"]
    assert [entry["data"]["mono"] for entry in events] == sorted(entry["data"]["mono"] for entry in events)
    assert circusd.stop() == 0


def test_commands_are_answered_while_hundreds_start_and_stop(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 300\nautostart = False\n[watcher:v]\n{SLEEP}")
    for command in ("start", "restart", "stop"):
        with Talker(circusd) as talker:
            talker.send(command, name="w", waiting=True)
            talker.send("status", name="w")
            talker.send("list", name="v")
            talker.send("restart", name="v", waiting=True)
            replies = talker.replies()
        order = list(replies)
        assert order.index(2) < order.index(1)
        assert order.index(3) < order.index(1)
        assert order.index(4) < order.index(1) or command == "stop", "and others are served before it is done"
        assert replies[1]["status"] == "ok"
    assert circusd.stop() == 0


def test_two_daemons_at_once_on_one_endpoint(circusd: Circusd) -> None:
    circusd.write(f"[watcher:w]\n{SLEEP}")
    with daemon() as other:
        other.ini = circusd.ini
        processes = [circusd.launch(), other.launch()]
        loser = wait_until(
            lambda: next((process for process in processes if process.poll() is not None), None), "one is refused"
        )
        assert loser.returncode == 1
        winner = processes[1 - processes.index(loser)]
        assert str(winner.pid) in circusd.output() + other.output()
        wait_until(lambda: circusd.try_call("list", 1), "the other one answers")
        winner.terminate()
        assert winner.wait(20) == 0
