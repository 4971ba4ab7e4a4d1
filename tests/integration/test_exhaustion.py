"""A daemon that runs out of something: it says of what, keeps what it has, and goes on when there is more again."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.seen import open_descriptors, resident
from tests.support import Circusd, is_alive, wait_until

SLEEP = "cmd = sleep 300"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users, other mount namespaces")


def wrapper(circusd: Circusd, text: str) -> str:
    """Write a shell script that stands in for the interpreter; ``"$@"`` are circusd's arguments."""
    path = circusd.folder / "wrapper"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# Processes.


@needs_root
def test_no_more_processes(circusd: Circusd) -> None:
    # A user of its own, since the limit counts all processes of a user. The interpreter may be readable for root only.
    uid = random.randrange(300_000, 2_000_000_000)
    os.chown(circusd.folder, uid, uid)
    circusd.write(f"[watcher:w]\n{SLEEP}\nnumprocesses = 20\nmax_retry = -1\n[watcher:few]\n{SLEEP}\nautostart = False")
    circusd.launch(
        executable=wrapper(
            circusd,
            f"exec setpriv --reuid {uid} --regid {uid} --clear-groups --inh-caps=-all,+dac_read_search "
            f'--ambient-caps=-all,+dac_read_search -- prlimit --nproc=12:100 -- {sys.executable} "$@"',
        )
    )
    wait_until(lambda: circusd.try_call("list", 1), "it answers")
    assert circusd.process is not None
    failed = wait_until(
        lambda: [
            entry for entry in circusd.ok("events", since=0)["events"] if entry["topic"] == "watcher.w.spawn_failed"
        ],
        "a spawn has failed",
    )
    assert failed[0]["data"]["stage"] == "resources"
    assert "no more processes are allowed" in failed[0]["data"]["reason"]
    before = circusd.pids("w")
    assert 0 < len(before) < 12
    assert circusd.ok("status", name="w")["status"] == "starting"
    assert "no more processes" in str(circusd.ok("explain", name="w"))
    assert "no more processes" in circusd.call("start", name="few", waiting=True)["reason"]
    stats = circusd.call("stats", name="w")
    assert "log has the details" not in str(stats.get("reason")), stats
    assert "log has the details" not in str(circusd.call("reloadconfig", waiting=True).get("reason"))
    assert set(before) <= set(circusd.pids("w"))
    more = ["prlimit", "--pid", str(circusd.process.pid), "--nproc=100:100"]
    subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", *more], check=True)
    circusd.wait_for_pids("w", 20)
    assert set(before) <= set(circusd.pids("w"))
    assert circusd.ok("stop", name="w")["status"] == "ok"
    assert circusd.stop() == 0
    circusd.assert_no_defect()


# Descriptors.

DEAF_CHILD = """
import os, subprocess, sys, time
deaf = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w'); time.sleep(300)"
subprocess.Popen([sys.executable, "-c", deaf, sys.argv[1]], start_new_session=True)
time.sleep(300)
"""


@contextlib.contextmanager
def no_descriptors(pid: int) -> Any:
    """Leave a process without any free descriptor: the limit is the first that is free; those above stay open."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    first_free = next(number for number in itertools.count() if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


class Line:
    """A connection that is open already, as a client that comes now may not get in."""

    def __init__(self, circusd: Circusd) -> None:
        self._socket = circusd.context.socket(zmq.DEALER)
        self._socket.connect(circusd.endpoint)
        self._process = circusd.process
        self.call("list")

    def call(self, command: str, **properties: Any) -> dict[str, Any]:
        self._socket.send_json({"command": command, "properties": properties})
        wait_until(lambda: self._socket.poll(10) or self._is_over(), f"a reply to {command}")
        assert self._socket.poll(0), f"circusd ended instead of replying to {command}"
        reply: dict[str, Any] = self._socket.recv_json()  # type: ignore[assignment]
        return reply

    def close(self) -> None:
        self._socket.close(linger=0)

    def _is_over(self) -> bool:
        return self._process is not None and self._process.poll() is not None


def test_no_more_descriptors(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 3\nmax_retry = -1")
    assert circusd.process is not None
    line = Line(circusd)
    circusd.ok("stats", name="w")
    circusd.ok("dstats")
    with no_descriptors(circusd.process.pid):
        victim, *others = line.call("list", name="w")["pids"]
        os.kill(victim, signal.SIGKILL)
        failed = wait_until(
            lambda: [
                entry["data"]
                for entry in line.call("events", since=0)["events"]
                if entry["topic"] == "watcher.w.spawn_failed"
            ],
            "a spawn has failed",
        )
        assert failed[0]["stage"] == "resources"
        assert "no more file descriptors" in failed[0]["reason"]
        assert line.call("list", name="w")["pids"] == others
        for command, properties in (
            ("stats", {"name": "w"}),
            ("dstats", {}),
            ("reloadconfig", {"waiting": True}),
            ("plan", {}),
            ("add", {"name": "r", "cmd": "sleep 9", "options": {"ready": "notify", "max_retry": 1}, "start": True}),
            ("options", {"name": "w"}),
            ("explain", {"name": "w"}),
        ):
            reply = line.call(command, **properties)
            assert "log has the details" not in str(reply.get("reason")), (command, reply)
    circusd.wait_for_pids("w", 3)
    assert set(others) < set(circusd.pids("w"))
    line.close()
    assert circusd.stop() == 0
    circusd.assert_no_defect()


@pytest.mark.parametrize("way", ["stop", "kill", "quit"])
def test_a_stop_without_descriptors_still_means_the_whole_tree(circusd: Circusd, way: str) -> None:
    flag = circusd.folder / "flag"
    parent = circusd.folder / "parent.py"
    parent.write_text(DEAF_CHILD)
    circusd.start(f"[watcher:w]\ncmd = {sys.executable} {parent} {flag}\ngraceful_timeout = 0.5\nmax_retry = -1")
    assert circusd.process is not None
    line = Line(circusd)
    wait_until(flag.exists, "the child is deaf")
    before = circusd.descendants()
    assert len(before) == 2
    with no_descriptors(circusd.process.pid):
        if way == "quit":
            assert circusd.stop() == 0
        else:
            assert line.call(way, name="w", waiting=True)["status"] == "ok"
        assert not [pid for pid in before if is_alive(pid)]
    line.close()


@pytest.mark.parametrize(
    "transport",
    [
        "tcp",
        pytest.param(
            "ipc",
            marks=pytest.mark.xfail(
                strict=True, reason="libzmq ends the process when it accepts a local connection without a descriptor"
            ),
        ),
    ],
)
def test_too_many_connections(circusd: Circusd, transport: str) -> None:
    if transport == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as held:
            circusd.endpoint = f"tcp://127.0.0.1:{held.getsockname()[1]}"
    circusd.start(f"[watcher:w]\n{SLEEP}\nmax_retry = -1")
    assert circusd.process is not None
    line = Line(circusd)
    hard = resource.prlimit(circusd.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(circusd.process.pid, resource.RLIMIT_NOFILE, (open_descriptors(circusd.process.pid) + 10, hard))
    crowd = [circusd.context.socket(zmq.DEALER) for _ in range(60)]
    for made in crowd:
        made.connect(circusd.endpoint)
        made.send(b'{"command": "list"}')
    wait_until(lambda: not circusd.try_call("list", 0.2), "newcomers are left waiting")
    assert line.call("list")["watchers"] == ["w"]
    for made in crowd:
        made.close(linger=0)
    wait_until(lambda: circusd.try_call("list", 1), "there is room again")
    circusd.ok("restart", name="w")
    line.close()
    assert circusd.stop() == 0
    circusd.assert_no_defect()


def test_a_start_with_too_few_descriptors_says_so(circusd: Circusd) -> None:
    circusd.write(f"[watcher:w]\n{SLEEP}")
    for limit in (8, 12, 20, 63):
        process = circusd.launch(executable=wrapper(circusd, f'exec prlimit --nofile={limit} -- {sys.executable} "$@"'))
        assert process.wait(20) == 1, circusd.output()
        assert f"circusd may open {limit} files, and needs at least 64" in circusd.output()
    circusd.launch(executable=wrapper(circusd, f'exec prlimit --nofile=64 -- {sys.executable} "$@"'))
    circusd.wait_until_ready()
    assert len(circusd.pids("w")) == 1
    assert circusd.stop() == 0
    circusd.assert_no_defect()


# Disk.


def test_a_log_that_takes_nothing(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}", "", "--log-output", "/dev/full", "--log-level", "debug")
    for _ in range(5):
        (pid,) = circusd.pids("w")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: circusd.pids("w") not in ([], [pid]), "it was replaced")  # noqa: B023
    assert circusd.ok("restart", name="w")["status"] == "ok"
    assert circusd.stop() == 0
    circusd.assert_no_defect()


@needs_root
def test_a_full_disk_under_the_log(circusd: Circusd) -> None:
    disk = circusd.folder / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=16k none {disk} && exec {sys.executable} "$@"'
    text = f"[watcher:w]\n{SLEEP}"
    inside = wrapper(circusd, f'exec unshare -m {wrapper_inside(circusd, mount)} "$@"')
    circusd.start(text, "", "--log-output", f"{disk}/log", executable=inside)
    assert circusd.process is not None
    seen = Path(f"/proc/{circusd.process.pid}/root{disk}")
    with contextlib.suppress(OSError):
        (seen / "filler").write_bytes(bytes(64 << 10))
    for _ in range(100):
        circusd.ok("restart", name="w")
    size = (seen / "log").stat().st_size
    circusd.ok("restart", name="w")
    assert (seen / "log").stat().st_size == size, "the disk is full"
    (seen / "filler").unlink()
    circusd.ok("restart", name="w")
    log = (seen / "log").read_text()
    assert "lines of this log could not be written and are lost" in log
    assert log.endswith("w started\n")
    assert circusd.stop() == 0
    circusd.assert_no_defect()


def wrapper_inside(circusd: Circusd, text: str) -> str:
    """A second script, which runs in the new namespace."""
    path = circusd.folder / "inside"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@needs_root
@pytest.mark.parametrize("option", ["pidfile", "endpoint"])
def test_a_full_disk_under_the_pid_file_and_the_endpoint(circusd: Circusd, option: str) -> None:
    disk = circusd.folder / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=4k none {disk}; head -c 8192 /dev/zero > {disk}/filler; exec {sys.executable} "$@"'
    if option == "endpoint":
        circusd.endpoint = f"ipc://{disk}/endpoint"
    circusd.write(f"[watcher:w]\n{SLEEP}")
    inside = wrapper(circusd, f'exec unshare -m {wrapper_inside(circusd, mount)} "$@"')
    process = circusd.launch(*(["--pidfile", f"{disk}/pid"] if option == "pidfile" else []), executable=inside)
    assert process.wait(20) == 1
    assert "No space left on device" in circusd.output()
    assert str(disk) in circusd.output()
    assert not circusd.descendants()
    circusd.assert_no_defect()


# Leaks.


def test_nothing_grows_with_deaths(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 10", "event_ring_size = 100")
    assert circusd.process is not None
    daemon = circusd.process.pid

    def kill_all() -> None:
        before = circusd.pids("w")
        circusd.ok("kill", name="w", signum="KILL")
        assert not set(circusd.wait_for_pids("w", 10)) & set(before)

    for _ in range(15):
        kill_all()
    memory, descriptors = resident(daemon), open_descriptors(daemon)
    for _ in range(30):
        kill_all()
    assert resident(daemon) - memory < 3 << 20
    wait_until(lambda: open_descriptors(daemon) <= descriptors, "no descriptor is left open")


def test_nothing_grows_with_watchers_that_come_and_go(circusd: Circusd) -> None:
    circusd.start("", "event_ring_size = 100")
    assert circusd.process is not None
    daemon = circusd.process.pid
    orphan = 'sh -c "setsid sleep 300 & sleep 300"'

    def come_and_go() -> None:
        circusd.ok("add", name="w", cmd=orphan, start=True, options={"env": {"A": "x" * 10_000}})
        circusd.ok("rm", name="w")

    for _ in range(30):
        come_and_go()
    memory, descriptors = resident(daemon), open_descriptors(daemon)
    for _ in range(100):
        come_and_go()
    assert resident(daemon) - memory < 2 << 20
    assert not circusd.descendants()
    wait_until(lambda: open_descriptors(daemon) <= descriptors, "no descriptor is left open")
