"""Watchers that the first connection starts, with real daemons, sockets and connections."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.seen import open_descriptors
from tests.support import DEADLINE, Circusd, wait_until

NO_SOCKET = """
[watcher:w]
cmd = sleep 300
on_demand = True
"""

# Tells each client its PID, and does with it what its second argument says.
SERVER = """
import os, socket, sys, threading

listening = socket.socket(fileno=int(sys.argv[1]))
listening.setblocking(True)
me = str(os.getpid()).encode()

def serve(connection):
    connection.sendall(me)
    connection.recv(1)
    connection.close()

while sys.argv[2] == "datagrams":
    _, client = listening.recvfrom(100)
    listening.sendto(me, client)
while True:
    connection, _ = listening.accept()
    threading.Thread(target=serve, args=[connection], daemon=sys.argv[2] != "once").start()
    if sys.argv[2] == "once":
        break
"""


CALM = 0.1
"""Seconds of computing: more than a second of waiting takes, and far less than being told something without end."""


def served(circusd: Circusd, how: str = "", name: str = "w", sockets: str = "web", more: str = "") -> str:
    """The section of a watcher on demand that serves on a socket."""
    program = circusd.program("server.py", SERVER)
    return (
        f"[watcher:{name}]\ncmd = {program} $(circus.sockets.{sockets}) {how or 'many'}\non_demand = True\n"
        f"copy_env = True\n{more}\n"
    )


def listener(*names: str) -> str:
    """The sections of TCP sockets at ports that are free."""
    return "".join(f"[socket:{name}]\nhost = 127.0.0.1\nport = 0\n" for name in names or ("web",))


def port_of(circusd: Circusd, name: str = "web") -> int:
    return next(int(found["port"]) for found in circusd.ok("listsockets")["sockets"] if found["name"] == name)


@contextlib.contextmanager
def connection(circusd: Circusd, name: str = "web") -> Iterator[socket.socket]:
    """A connection to a socket of circusd, which nobody may have accepted yet."""
    with socket.create_connection(("127.0.0.1", port_of(circusd, name)), timeout=DEADLINE) as made:
        yield made


def ask(circusd: Circusd, name: str = "web") -> int:
    """Connect; return the PID that answers."""
    with connection(circusd, name) as made:
        return int(made.recv(20))


def is_waiting(circusd: Circusd, name: str = "w") -> bool:
    return bool(circusd.ok("explain", name=name)["detail"] == "listening")


def wait_until_waiting(circusd: Circusd, name: str = "w") -> None:
    wait_until(lambda: is_waiting(circusd, name), f"{name} waits for a connection")


def spawns(circusd: Circusd, name: str = "w") -> list[int]:
    return [event.data["process_pid"] for event in circusd.events.of("spawn", watcher=name)]


def test_a_start_waits_and_a_stop_waits_no_more(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd))
    assert circusd.ok("status", name="w")["status"] == "stopped", "as it was in circus 0.19"
    circusd.ok("stop", name="w")
    assert circusd.ok("explain", name="w")["reason"] == "it was stopped"
    for command in ("start", "restart", "reload"):
        circusd.ok(command, name="w")
        explained = circusd.ok("explain", name="w")
        assert (explained["state"], explained["detail"], explained["wanted"]) == ("stopped", "listening", 0)
        assert explained["reason"] == "it waits for a connection on the socket web"
    circusd.ok("rm", name="w")
    assert circusd.events.actions("w") == ["listening", "stop", "listening", "remove", "stop"]
    assert circusd.events.of("listening")[0].data["sockets"] == ["web"]


def test_a_watcher_that_waits_starts_when_it_is_on_demand_no_more(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd))
    circusd.ok("set", name="w", options={"on_demand": False})
    (pid,) = circusd.pids("w")
    circusd.ok("set", name="w", options={"on_demand": True})
    assert circusd.pids("w") == [pid], "and what runs runs on"
    circusd.ok("stop", name="w")
    circusd.ok("set", name="w", options={"on_demand": False})
    assert circusd.pids("w") == [], "what was stopped stays so"


def test_without_a_socket_it_says_so(circusd: Circusd) -> None:
    circusd.start()
    circusd.ok("add", name="w", cmd="sleep 300", start=True, options={"on_demand": True})
    assert "has no socket that circusd holds" in circusd.ok("explain", name="w")["reason"]


def test_the_first_connection_is_served_and_so_is_the_first_after_each_end(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd, "once"))
    seen = []
    for count in range(3):
        wait_until_waiting(circusd)
        assert circusd.pids("w") == []
        assert spawns(circusd) == seen, "nothing is started before"
        seen.append(ask(circusd))
        circusd.wait_for("listening", watcher="w", count=count + 2)
    assert spawns(circusd) == seen
    assert [event.data["reason"] for event in circusd.events.of("start", watcher="w")] == ["a connection"] * 3
    circusd.assert_no_defect()


def test_all_processes_come_and_none_is_replaced_while_one_is_there(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd, more="numprocesses = 3"))
    ask(circusd)
    pids = circusd.wait_for_pids("w", 3)
    for left in (pids[1:], pids[2:], []):
        os.kill(next(pid for pid in pids if pid not in left), signal.SIGKILL)
        wait_until(lambda: circusd.pids("w") == left, "it is not replaced")  # noqa: B023
        pids = left
    wait_until_waiting(circusd)
    ask(circusd)
    circusd.wait_for_pids("w", 3)
    assert len(spawns(circusd)) == 6


def test_only_the_watcher_whose_socket_it_is(circusd: Circusd) -> None:
    sections = [served(circusd, name=name, sockets=name) for name in ("a", "b")]
    shared = [served(circusd, name=name, sockets="web") for name in ("c", "d")]
    circusd.start(listener("a", "b", "web") + "".join(sections + shared))
    pid = ask(circusd, "b")
    assert circusd.pids("b") == [pid]
    assert [name for name in "acd" if not is_waiting(circusd, name)] == []
    pid = ask(circusd, "web")
    pids = circusd.wait_for_pids("c", 1) + circusd.wait_for_pids("d", 1)
    assert pid in pids, "of one that two have, each"
    assert is_waiting(circusd, "a")


@pytest.mark.parametrize("kind", ["ipv6", "stream", "seqpacket", "datagram", "udp", "stdin"])
def test_other_kinds_of_sockets(circusd: Circusd, kind: str) -> None:
    path = circusd.folder / "socket"
    sections = {
        "ipv6": "host = ::1\nport = 0\nfamily = AF_INET6",
        "stream": f"path = {path}",
        "seqpacket": f"path = {path}\ntype = SOCK_SEQPACKET",
        "datagram": f"path = {path}\ntype = SOCK_DGRAM",
        "udp": "host = 127.0.0.1\nport = 0\ntype = SOCK_DGRAM",
        "stdin": f"path = {path}",
    }
    text = served(circusd, "datagrams" if kind in ("datagram", "udp") else "many")
    if kind == "stdin":
        text = text.replace("$(circus.sockets.web)", "0") + "stdin_socket = web\n"
    circusd.start(f"[socket:web]\n{sections[kind]}\n{text}")
    assert is_waiting(circusd)
    family = {"ipv6": socket.AF_INET6, "udp": socket.AF_INET}.get(kind, socket.AF_UNIX)
    types = {"datagram": socket.SOCK_DGRAM, "udp": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}
    with socket.socket(family, types.get(kind, socket.SOCK_STREAM)) as client:
        client.settimeout(DEADLINE)
        if kind == "datagram":
            client.bind(str(circusd.folder / "client"))
        client.connect(_address(circusd) if kind in ("ipv6", "udp") else str(path))
        if types.get(kind) == socket.SOCK_DGRAM:
            client.send(b"hello")
        pid = int(client.recv(20))
        assert circusd.pids("w") == [pid]
    circusd.assert_no_defect()


def _address(circusd: Circusd) -> tuple[str, int]:
    (found,) = circusd.ok("listsockets")["sockets"]
    return found["host"], found["port"]


def test_one_that_dies_without_accepting_does_not_spin(circusd: Circusd) -> None:
    circusd.start(listener() + "[watcher:w]\ncmd = sh -c 'exit 3' $(circus.sockets.web)\non_demand = True\n")
    assert circusd.process is not None
    with connection(circusd):
        circusd.wait_for("spawn", watcher="w", count=5)
        times = [event.data["mono"] for event in circusd.events.of("spawn", watcher="w")]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert gaps[1] >= 0.1
        assert gaps[2] >= 0.2
        assert gaps[3] >= 0.4
        before = processor_time(circusd.process.pid)
        circusd.wait_for("spawn", watcher="w", count=6)
        assert processor_time(circusd.process.pid) - before < CALM
        assert not circusd.events.of("gave_up")
        wait_until(lambda: circusd.ok("explain", name="w")["detail"] == "backoff", "it waits for its next try")
        circusd.ok("stop", name="w")
        assert circusd.ok("explain", name="w")["detail"] == ""


def test_one_that_cannot_be_spawned_is_given_up(circusd: Circusd) -> None:
    circusd.start(listener() + "[watcher:w]\ncmd = /nowhere $(circus.sockets.web)\non_demand = True\nmax_retry = 2\n")
    with connection(circusd):
        circusd.wait_for("gave_up", watcher="w")
        wait_until(lambda: circusd.ok("explain", name="w")["detail"] == "failed", "it is given up")
        assert circusd.ok("status", name="w")["status"] == "stopped"
        assert len(circusd.events.of("spawn_failed", watcher="w")) == 2


def test_what_was_stopped_waits_for_no_connection(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd))
    circusd.ok("stop", name="w")
    with connection(circusd) as early:
        assert circusd.ok("explain", name="w")["detail"] == ""
        circusd.ok("start", name="w")
        assert circusd.wait_for_pids("w", 1) == [int(early.recv(20))], "who has come meanwhile is served then"
    circusd.ok("stop", name="w")
    assert circusd.pids("w") == []


def test_a_stop_in_the_moment_of_the_connection_wins(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd))
    port = port_of(circusd)
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE):
            circusd.ok("stop", name="w")
            explained = circusd.ok("explain", name="w")
            assert (explained["state"], explained["detail"]) == ("stopped", "")
            assert circusd.pids("w") == []
        circusd.ok("start", name="w")
    circusd.assert_no_defect()


def test_restart_and_reload_of_one_that_runs(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd))
    pid = ask(circusd)
    for command in ("restart", "reload"):
        info = circusd.ok(command, name="w")["info"]
        assert info["stopped"] == [pid]
        (pid,) = info["started"]
        assert ask(circusd) == pid


def test_a_change_of_its_socket_is_followed(circusd: Circusd) -> None:
    circusd.start(listener("web", "other") + served(circusd) + served(circusd, name="stopped", sockets="web"))
    circusd.ok("stop", name="stopped")
    old = port_of(circusd)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    circusd.write(
        f"[socket:web]\nhost = 127.0.0.1\nport = {port}\n"
        + listener("other")
        + served(circusd)
        + served(circusd, name="stopped", sockets="web")
    )
    circusd.ok("reloadconfig")
    assert port_of(circusd) == port != old
    assert is_waiting(circusd)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", old), timeout=DEADLINE)
    pid = ask(circusd)
    assert circusd.pids("w") == [pid]
    assert circusd.ok("explain", name="stopped")["reason"] == "it was stopped"


def test_a_change_that_is_rolled_back_is_not(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd))
    port = port_of(circusd)
    broken = circusd.folder / "broken"
    broken.write_text("no program\n")
    broken.chmod(0o755)
    path = circusd.folder / "socket"
    circusd.write(f"[socket:web]\npath = {path}\n" + served(circusd) + f"[watcher:broken]\ncmd = {broken}\n")
    assert "rolled back" in circusd.call("reloadconfig", waiting=True)["reason"]
    assert not path.exists()
    assert port_of(circusd) == port
    assert is_waiting(circusd)
    pid = ask(circusd)
    assert circusd.pids("w") == [pid]
    circusd.assert_no_defect()


def test_another_socket_of_its_own_is_followed(circusd: Circusd) -> None:
    circusd.start(listener("web", "other") + served(circusd))
    circusd.write(listener("web", "other") + served(circusd, sockets="other"))
    circusd.ok("reloadconfig")
    assert [event.data["sockets"] for event in circusd.events.of("listening")] == [["web"], ["other"]]
    with connection(circusd, "web"):
        pid = ask(circusd, "other")
        assert circusd.pids("w") == [pid]
    circusd.ok("set", name="w", options={"cmd": circusd.ok("get", name="w", keys=["cmd"])["options"]["cmd"] + " x"})
    circusd.kill(circusd.wait_for_pids("w", 1)[0])
    wait_until_waiting(circusd)
    pid = ask(circusd, "other")
    assert circusd.pids("w") == [pid]


def test_one_that_is_removed_leaves_its_socket_to_others(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd))
    circusd.ok("rm", name="w")
    with connection(circusd) as early:
        cmd = f"{circusd.program('server.py', SERVER)} $(circus.sockets.web) many"
        circusd.ok("add", name="W", cmd=cmd, start=True, options={"on_demand": True, "copy_env": True})
        assert circusd.wait_for_pids("w", 1) == [int(early.recv(20))]


def test_nothing_happens_while_nobody_connects_or_accepts(circusd: Circusd) -> None:
    ticking = "[watcher:ticks]\ncmd = sleep 300\nmax_age = 1\nmax_age_variance = 0\nautostart = False\n"
    deaf = "[watcher:w]\ncmd = sleep 300\nuse_sockets = True\non_demand = True\n"
    circusd.start(listener() + deaf + ticking)
    assert circusd.process is not None
    with connection(circusd):
        # The connection waits for ever: circusd must not be told of it again and again.
        circusd.wait_for("start", watcher="w")
        before = processor_time(circusd.process.pid)
        circusd.ok("start", name="ticks")
        circusd.wait_for("reap", watcher="ticks")
        assert processor_time(circusd.process.pid) - before < CALM
    assert circusd.events.actions("w") == ["listening", "spawn", "start"]


def processor_time(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_quitting_with_a_connection_that_waits(circusd: Circusd) -> None:
    deaf = "[watcher:deaf]\ncmd = sh -c \"trap '' TERM; touch deaf; while :; do sleep 0.05; done\"\n"
    circusd.start(listener() + served(circusd, more="priority = 1") + deaf + "graceful_timeout = 1\n")
    assert circusd.process is not None
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    circusd.process.send_signal(signal.SIGTERM)
    circusd.wait_for("kill", watcher="deaf")
    with connection(circusd):
        before = processor_time(circusd.process.pid)
        circusd.wait_for("kill", watcher="deaf", signum=signal.SIGKILL)
        assert processor_time(circusd.process.pid) - before < CALM
        assert circusd.process.wait(DEADLINE) == 0
    assert spawns(circusd) == []


def test_the_time_without_connections(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd, more="idle_timeout = 0.5"))
    with connection(circusd) as held:
        pid = int(held.recv(20))
        end = time.monotonic() + 1.5
        with connection(circusd) as other:
            assert int(other.recv(20)) == pid
        wait_until(lambda: time.monotonic() > end, "three times that long")
        assert circusd.pids("w") == [pid], "one that is open holds it"
    stopped = circusd.wait_for("stop", watcher="w")
    assert stopped.data["reason"] == "idle for 0.5 s"
    assert is_waiting(circusd)
    other_pid = ask(circusd)
    assert other_pid != pid
    circusd.wait_for("stop", watcher="w", count=2)
    assert len(spawns(circusd)) == 2
    circusd.assert_no_defect()


def test_connections_that_come_and_go_hold_it(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd, more="idle_timeout = 0.6"))
    pid, end = ask(circusd), time.monotonic() + 2
    while time.monotonic() < end:
        before = time.monotonic()
        again = ask(circusd)
        assert again == pid or time.monotonic() - before > 0.6, "unless this test was held up itself"
        pid = again


def test_datagrams_hold_it(circusd: Circusd) -> None:
    circusd.start(
        "[socket:web]\nhost = 127.0.0.1\nport = 0\ntype = SOCK_DGRAM\n"
        + served(circusd, "datagrams", more="idle_timeout = 0.8\ngraceful_timeout = 0.1")
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.connect(_address(circusd))
        client.send(b"first")
        pid = int(client.recv(20))
        # Whoever reads nothing cannot be quicker than circusd.
        os.kill(pid, signal.SIGSTOP)
        longest, last = 0.0, time.monotonic()
        while not circusd.events.of("kill", watcher="w") and len(circusd.events) < 40:
            client.send(b"another")
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            circusd.ok("notify", name="w", action="sent")
            wait_until(lambda: time.monotonic() > last + 0.04, "some time between them")  # noqa: B023
        assert not circusd.events.of("kill", watcher="w") or longest > 0.8, "unless this test was held up itself"
    circusd.wait_for("stop", watcher="w", reason="idle for 0.8 s")
    circusd.wait_for("start", watcher="w", count=2)  # by what was not read


def test_a_time_without_connections_that_is_changed(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd, more="idle_timeout = 1000"))
    ask(circusd)
    circusd.ok("set", name="w", options={"idle_timeout": 0.2})
    circusd.wait_for("stop", watcher="w")
    circusd.ok("set", name="w", options={"idle_timeout": 0})
    pid = ask(circusd)
    circusd.ok("set", name="w", options={"on_demand": False, "idle_timeout": 0.2})
    os.kill(pid, signal.SIGKILL)
    (pid,) = wait_until(lambda: [found for found in circusd.pids("w") if found != pid], "it is replaced")
    circusd.ok("set", name="w", options={"on_demand": True})
    circusd.wait_for("reap", watcher="w", process_pid=pid, reason="stop")


def test_nothing_is_left_open_after_many_times(circusd: Circusd) -> None:
    circusd.start(listener() + served(circusd, "once", more="idle_timeout = 1000"))
    assert circusd.process is not None
    ask(circusd)
    circusd.wait_for("listening", watcher="w", count=2)
    before = open_descriptors(circusd.process.pid)
    for count in range(10):
        ask(circusd)
        circusd.wait_for("listening", watcher="w", count=count + 3)
    wait_until(lambda: open_descriptors(circusd.process.pid) <= before, "as many as before")
