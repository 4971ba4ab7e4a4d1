"""circusd-stats beside a real daemon."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.stats.client import StatsClient
from tests.support import DEADLINE, Circusd, wait_until

SLEEPERS = "[watcher:My Sleepers]\ncmd = sleep 1000\nnumprocesses = 2\n"

Seen = dict[tuple[str, str | None], dict[str, Any]]


def open_files(pid: int, folder: str) -> set[str]:
    """What a process has open in a folder."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(os.readlink(descriptor))
    return {path for path in found if path.startswith(folder) and path.endswith("stat")}


class Listener:
    """Keeps the last message of each watcher, process and socket."""

    def __init__(self, endpoint: str, *topics: str) -> None:
        self.client = StatsClient(endpoint)
        if topics:
            self.client._socket.unsubscribe("stat.")
        for topic in topics:
            self.client._socket.subscribe(topic)
        self.seen: Seen = {}

    def until(self, condition: Callable[[Seen], object], what: str) -> Seen:
        """Listen until the last messages are such."""

        def holds() -> bool:
            message = self.client.receive(0.05)
            if message is not None:
                self.seen[message[:2]] = message[2]
            return bool(condition(self.seen))

        wait_until(holds, what)
        return self.seen


@pytest.fixture
def listener(circusd: Circusd) -> Iterator[Listener]:
    found = Listener(f"ipc://{circusd.folder}/stats")
    yield found
    found.client.stop()


@pytest.fixture
def by_hand(circusd: Circusd) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        words = ["--endpoint", circusd.endpoint, "--pubsub", circusd.pubsub_endpoint]
        words += ["--statspoint", f"ipc://{circusd.folder}/stats"]
        started.append(subprocess.Popen([sys.executable, "-m", "circus.cli.stats", *words]))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        assert process.wait(DEADLINE) == 0


def test_processes_watchers_and_circusd(
    circusd: Circusd, listener: Listener, by_hand: Callable[[], subprocess.Popen[bytes]]
) -> None:
    circusd.start(SLEEPERS)
    by_hand()
    pids = circusd.ok("list", name="my sleepers")["pids"]
    seen = listener.until(
        lambda seen: seen.get(("circus", None), {}).get("pid"), "processes, their sum, circusd, its sum"
    )
    assert {topic for topic in seen if topic[0] == "my_sleepers"} == {
        ("my_sleepers", None),
        *(("my_sleepers", str(pid)) for pid in pids),
    }
    one = seen["my_sleepers", str(pids[0])]
    assert (one["pid"], one["cmdline"], one["name"]) == (pids[0], "sleep", None)
    assert sorted(seen["my_sleepers", None]["pid"]) == sorted(pids)
    assert circusd.process is not None
    assert seen["circus", str(circusd.process.pid)]["name"] == "circusd"
    assert seen["circus", None]["pid"] == [circusd.process.pid]


def test_who_comes_and_who_goes(
    circusd: Circusd, listener: Listener, by_hand: Callable[[], subprocess.Popen[bytes]]
) -> None:
    circusd.start(SLEEPERS)
    by_hand()
    total = ("my_sleepers", None)
    listener.until(lambda seen: len(seen.get(total, {}).get("pid", ())) == 2, "two processes")
    circusd.ok("incr", name="my sleepers")
    listener.until(lambda seen: len(seen[total]["pid"]) == 3, "a third one")
    circusd.ok("stop", name="my sleepers")
    circusd.ok("add", name="late", cmd="sleep 1000", start=True)
    listener.until(lambda seen: ("late", None) in seen, "one that was added")
    listener.seen.clear()
    listener.until(lambda seen: len(seen) >= 3, "another round")
    assert not [topic for topic in listener.seen if topic[0] == "my_sleepers"]
    circusd.ok("rm", name="late", nostop=True)
    circusd.ok("start", name="my sleepers")
    listener.until(lambda seen: total in seen, "those are back")
    listener.seen.clear()
    listener.until(lambda seen: total in seen, "another round")
    assert not [topic for topic in listener.seen if topic[0] == "late"], "it outlives its watcher"


def test_nothing_is_open_while_nobody_listens(
    circusd: Circusd, listener: Listener, by_hand: Callable[[], subprocess.Popen[bytes]]
) -> None:
    circusd.start(SLEEPERS)
    stats = by_hand()

    listener.until(lambda seen: ("my_sleepers", None) in seen, "it publishes")
    assert open_files(stats.pid, "/proc/")
    listener.client.stop()
    wait_until(lambda: not open_files(stats.pid, "/proc/"), "nothing of a process is open")


def test_only_what_somebody_has_subscribed_to_is_looked_at(
    circusd: Circusd, by_hand: Callable[[], subprocess.Popen[bytes]]
) -> None:
    circusd.start(f"{SLEEPERS}[watcher:other]\ncmd = sleep 1000\nnumprocesses = 2\n")
    stats = by_hand()
    _, second = circusd.ok("list", name="my sleepers")["pids"]
    everything = Listener(f"ipc://{circusd.folder}/stats")
    everything.until(lambda seen: len(seen) >= 8, "two watchers, and circusd")
    one = Listener(f"ipc://{circusd.folder}/stats", f"stat.my_sleepers.{second}")
    one.until(lambda seen: seen, "there is a message")
    everything.client.stop()
    wait_until(
        lambda: open_files(stats.pid, "/proc/") == {f"/proc/{second}/stat", f"/proc/{second}/schedstat"}, "one is left"
    )
    for _ in range(2):
        one.seen.clear()
        one.until(lambda seen: seen, "there is another one")
        assert list(one.seen) == [("my_sleepers", str(second))]
    one.client.stop()


def test_children_on_request(circusd: Circusd, listener: Listener) -> None:
    stats = f"stats_endpoint = ipc://{circusd.folder}/stats\nstatsd_children = True"
    circusd.start("[watcher:family]\nshell = True\ncmd = sleep 1000 & sleep 1001 & wait\n", circus=stats)
    (pid,) = circusd.ok("list", name="family")["pids"]
    topic = ("family", str(pid))
    seen = listener.until(lambda seen: len(seen.get(topic, {}).get("children", ())) == 2, "two children")
    asked = circusd.ok("stats", name="family", process=pid)["info"]["children"]
    told = seen[topic]["children"]
    assert {child["pid"] for child in told} == {child["pid"] for child in asked}
    assert set(asked[0]) <= set(told[0])
    assert (told[0]["cmdline"], told[0]["children"]) == ("sleep", [])


def test_a_successor_takes_over_and_leaves_nothing_open(circusd: Circusd, listener: Listener) -> None:
    circusd.start(SLEEPERS, circus=f"stats_endpoint = ipc://{circusd.folder}/stats")
    total = ("my_sleepers", None)
    listener.until(lambda seen: total in seen, "it publishes")
    (killed,) = circusd.ok("list", name="circusd-stats")["pids"]
    circusd.ok("signal", name="circusd-stats", signum="kill")
    wait_until(lambda: circusd.ok("list", name="circusd-stats")["pids"] not in ([killed], []), "there is another one")
    (successor,) = circusd.ok("list", name="circusd-stats")["pids"]
    listener.until(lambda seen: ("circus", str(successor)) in seen, "it publishes at the same endpoint")
    pids = circusd.ok("list", name="my sleepers")["pids"]

    def renewed() -> None:
        nonlocal pids
        circusd.ok("restart", name="my sleepers", waiting=True)
        pids = circusd.ok("list", name="my sleepers")["pids"]
        listener.until(lambda seen: sorted(seen[total]["pid"]) == sorted(pids), "others are there")

    renewed()
    wait_until(lambda: len(open_files(successor, "/proc/")) == 8, "two of each that is looked at")
    before = len(os.listdir(f"/proc/{successor}/fd"))
    renewed()
    with StatsClient(f"ipc://{circusd.folder}/stats") as another:
        assert another.receive(DEADLINE)
    wait_until(lambda: len(os.listdir(f"/proc/{successor}/fd")) <= before, "as many as before")


def test_an_endpoint_in_use(circusd: Circusd, by_hand: Callable[[], subprocess.Popen[bytes]]) -> None:
    circusd.start(SLEEPERS)
    by_hand()
    wait_until((circusd.folder / "stats").exists, "the first one has it")
    words = ["--endpoint", circusd.endpoint, "--pubsub", circusd.pubsub_endpoint]
    run = subprocess.run(
        [sys.executable, "-m", "circus.cli.stats", *words, "--statspoint", f"ipc://{circusd.folder}/stats"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert run.returncode == 1
    assert "stop it or name another endpoint" in run.stderr
    assert "Traceback" not in run.stderr


def test_circusd_runs_it_and_a_reload_moves_and_ends_it(circusd: Circusd, listener: Listener) -> None:
    stats = f"stats_endpoint = ipc://{circusd.folder}/stats"
    circusd.start(SLEEPERS, circus=stats)
    assert circusd.ok("list")["watchers"] == ["circusd-stats", "my sleepers"]
    seen = listener.until(lambda seen: len(seen) >= 6, "processes, circusd, and circusd-stats")
    (helper,) = circusd.ok("list", name="circusd-stats")["pids"]
    assert seen["circus", str(helper)]["name"] == "circusd-stats"
    assert not [topic for topic in seen if topic[0] == "circusd-stats"]
    (listed,) = [row for row in circusd.ok("plugins")["plugins"] if row["kind"] == "plugin" and row["state"]]
    assert (listed["name"], listed["state"], listed["distribution"]) == ("circusd-stats", "active", "circus")

    circusd.write(SLEEPERS, circus=f"{stats}2")
    assert "replace watcher circusd-stats" in "\n".join(circusd.ok("plan")["steps"])
    circusd.ok("reloadconfig")
    moved = Listener(f"ipc://{circusd.folder}/stats2")
    moved.until(lambda seen: ("my_sleepers", None) in seen, "it publishes at the new endpoint")
    moved.client.stop()

    circusd.write(SLEEPERS)
    circusd.ok("reloadconfig")
    assert circusd.ok("list")["watchers"] == ["my sleepers"]


def test_the_example_prints_what_each_watcher_uses(circusd: Circusd) -> None:
    endpoint = f"ipc://{circusd.folder}/stats"
    circusd.start(f"[circus]\nstats_endpoint = {endpoint}\n{SLEEPERS}")
    example = Path(__file__).parents[2] / "examples" / "usage.py"
    program = [sys.executable, "-u", str(example), endpoint]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as usage:
        assert usage.stdout is not None
        lines = [usage.stdout.readline() for _ in range(3)]
        usage.terminate()
    assert {line.split()[0] for line in lines} == {"my_sleepers", "circus"}
    assert all(re.fullmatch(r"\w+ +[0-9.]+ % +[1-9][0-9]*\.[0-9] MiB\n", line) for line in lines), lines


def test_hits_of_sockets(circusd: Circusd, listener: Listener) -> None:
    path = circusd.folder / "web"
    socket_section = f"[socket:web]\npath = {path}\n"
    circusd.start(SLEEPERS + socket_section, circus=f"stats_endpoint = ipc://{circusd.folder}/stats")
    (entry,) = circusd.ok("listsockets")["sockets"]
    topic = ("sockets", str(entry["fd"]))
    listener.until(lambda seen: topic in seen, "the socket is known")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        listener.until(lambda seen: seen[topic]["reads"] == 1, "the connection is counted")
    assert listener.seen[topic]["address"] == str(path)
    listener.until(lambda seen: seen[topic]["reads"] == 0, "once")


def test_an_endpoint_that_others_can_reach_is_refused(circusd: Circusd) -> None:
    circusd.write(SLEEPERS, circus="stats_endpoint = tcp://0.0.0.0:0")
    process = circusd.launch()
    assert process.wait(DEADLINE) == 1
    assert "tcp://0.0.0.0:0" in circusd.output()
    circusd.start(SLEEPERS)
    circusd.write(SLEEPERS, circus="stats_endpoint = tcp://0.0.0.0:0")
    assert "tcp://0.0.0.0:0" in circusd.call("reloadconfig", waiting=True)["reason"]
    assert circusd.ok("list")["watchers"] == ["my sleepers"]
