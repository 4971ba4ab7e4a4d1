"""Hooks: what a hook that sleeps does to everybody else, and how long a verdict takes."""

import json
import signal
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import zmq

from benchmarks.clients import WATCHER, CircusClient
from benchmarks.errors import Failed
from benchmarks.peers.base import Peer
from benchmarks.peers.circus import Circus
from benchmarks.rows.base import CIRCUS, Bench, Group, Row
from benchmarks.rows.restart import percentile
from benchmarks.session import Session

SLEEPER, RESTARTED = "sleeper", "restarted"
NAP = 60  # seconds that the hook sleeps, longer than all that is measured meanwhile
PATIENCE = 5.0  # seconds for one reply; a daemon that has not answered by then is frozen
BUDGET = 10.0  # seconds for all restarts of one kind
FALL_ASLEEP = 30.0  # seconds
GATEKEEPER = "gatekeeper"

HOOK = """
import pathlib, time

def nap(*args, **kwargs):
    pathlib.Path(__file__).with_name("asleep").touch()
    time.sleep({nap})
    return True
"""

PLUGIN = """
from circus.plugins import CircusPlugin, hookimpl

class Gatekeeper(CircusPlugin):
    @hookimpl
    def before_signal(self, watcher, pid, signum):
        return True
"""


class _Configured(Circus):
    """A circusd with more in its folder and its configuration."""

    def __init__(self, peer: Peer, files: Mapping[str, str], sections: str) -> None:
        assert isinstance(peer, Circus)
        super().__init__(peer.name, peer.programs)
        self.files = files
        self.sections = sections

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        super().write(folder, workers, command)
        for name, text in self.files.items():
            (folder / name).write_text(text)
        with (folder / "circus.ini").open("a") as ini:
            ini.write(self.sections.format(folder=folder))


def _latencies(call: Callable[[], object], calls: int) -> list[float]:
    """Milliseconds of each of so many calls. A daemon that does not answer in time is asked no more."""
    taken: list[float] = []
    deadline = time.monotonic() + BUDGET
    while len(taken) < calls and (not taken or time.monotonic() < deadline):
        began = time.monotonic_ns()
        try:
            call()
        except Failed:
            return [*taken, PATIENCE * 1000]
        taken.append((time.monotonic_ns() - began) / 1e6)
    return taken


def _figures(session: Session, bench: Bench, state: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    commands, restarts = (200, 5) if bench.quick else (2000, 20)
    with session.client(PATIENCE) as client:
        taken = _latencies(client.ping, commands)
    figures[f"{state}-command-p50"], figures[f"{state}-command-p99"] = statistics.median(taken), percentile(taken, 0.99)
    with session.client(PATIENCE) as client:
        taken = _latencies(lambda: client.call("restart", name=RESTARTED, waiting=True), restarts)
    figures[f"{state}-restart-p50"] = statistics.median(taken)
    return figures


def _asleep(peer: Peer, bench: Bench) -> Mapping[str, float]:
    sections = (
        f"[watcher:{RESTARTED}]\ncmd = sleep 300\n"
        f"[watcher:{SLEEPER}]\ncmd = sleep 300\nautostart = False\nhooks.before_start = sleepy.nap\n"
        f"[env:{SLEEPER}]\nPYTHONPATH = {{folder}}\n"
    )
    configured = _Configured(peer, {"sleepy.py": HOOK.format(nap=NAP)}, sections)
    with bench.running(configured, 1) as session:
        figures = _figures(session, bench, "rest")
        with session.client(PATIENCE) as client:
            client.cast("start", name=SLEEPER)
            _await_file(session.folder / "asleep")
        return figures | _figures(session, bench, "asleep")


def _await_file(path: Path) -> None:
    deadline = time.monotonic() + FALL_ASLEEP
    while not path.exists():
        if time.monotonic() > deadline:
            raise Failed(f"the hook was not called within {FALL_ASLEEP:g} s")
        time.sleep(0.01)


def _verdicts(peer: Peer, bench: Bench) -> Mapping[str, float]:
    sections = f"[plugin:{GATEKEEPER}]\nuse = {{folder}}/gatekeeper.py:Gatekeeper\n"
    configured = _Configured(peer, {"gatekeeper.py": PLUGIN}, sections)
    with bench.running(configured, 1) as session, session.client(PATIENCE) as client:
        taken = _round_trips(client, configured.pubsub(session.folder), 200 if bench.quick else 2000)
    return {"verdict-p50": statistics.median(taken), "verdict-p99": percentile(taken, 0.99)}


def _round_trips(client: CircusClient, pubsub: str, count: int) -> list[float]:
    """Milliseconds from each gate to the verdict on it, by the clock of circusd, which sees both."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    taken: list[float] = []
    opened = 0.0
    try:
        events = context.socket(zmq.SUB)
        events.rcvtimeo = int(PATIENCE * 1000)
        events.subscribe(f"watcher.{WATCHER}.".encode())
        events.connect(pubsub)
        while len(taken) < count:
            # A signal that does nothing to a process that runs.
            client.call("signal", name=WATCHER, signum=int(signal.SIGCONT))
            answered = False
            while not answered:
                topic, data = events.recv_multipart()
                event = json.loads(data)
                if topic.endswith(b".gate"):
                    opened = event["mono"]
                answered = topic.endswith(b".hook_success")
            if opened:
                taken.append((event["mono"] - opened) * 1000)
    except zmq.Again:
        raise Failed(f"no verdict within {PATIENCE:g} s") from None
    finally:
        context.destroy(linger=0)
    return taken


ROWS = (
    Row("rest-command-p50", "one command, p50", "ms"),
    Row("asleep-command-p50", "the same while a hook sleeps, p50", "ms", "as usual"),
    Row("rest-command-p99", "one command, p99", "ms"),
    Row("asleep-command-p99", "the same while a hook sleeps, p99", "ms", "as usual"),
    Row("rest-restart-p50", "restart of a watcher by command, p50", "ms"),
    Row("asleep-restart-p50", "the same while another's hook sleeps, p50", "ms", "as usual"),
)
VERDICTS = (
    Row("verdict-p50", "a hook in a plugin, asked and answered, p50", "ms"),
    Row("verdict-p99", "a hook in a plugin, asked and answered, p99", "ms"),
)
GROUPS = (
    Group("hook-asleep", ROWS, _asleep, CIRCUS),
    Group("verdict", VERDICTS, _verdicts, frozenset({"ours"}), once=True),
)
