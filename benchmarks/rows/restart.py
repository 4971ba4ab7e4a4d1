"""Restart: from SIGKILL to a worker until its replacement runs, one at a time and 500 at once."""

import os
import random
import signal
import statistics
import time
from collections.abc import Mapping

from benchmarks.peers.base import Peer
from benchmarks.rows.base import ALL, Bench, Group, Row
from benchmarks.session import Session

OLD_ENOUGH = 1.3  # seconds; every supervisor delays the replacement of a worker that lived for less than one
PAUSE = 0.01  # seconds before a kill, for the supervisor to go back to sleep
RESTART_TIMEOUT = 30.0  # seconds
MANY = 500


def _any_phase(peer: Peer) -> None:
    """Sleep, so that kills do not always meet the same phase of a supervisor that polls."""
    time.sleep(PAUSE + random.uniform(0, peer.period))


def _one_by_one(session: Session, kills: int, budget: float) -> list[float]:
    """Milliseconds for each of so many kills, or as many as fit into the budget of seconds (five at least)."""
    victims = [birth.pid for birth in session.first]
    born_ns = {birth.pid: birth.ns for birth in session.first}
    taken: list[float] = []
    deadline = time.monotonic() + budget
    session.settle(OLD_ENOUGH)
    while len(taken) < kills and (len(taken) < 5 or time.monotonic() < deadline):
        _any_phase(session.peer)
        victim = victims.pop(0)
        time.sleep(max(0.0, OLD_ENOUGH - (time.monotonic_ns() - born_ns[victim]) / 1e9))
        killed = time.monotonic_ns()
        os.kill(victim, signal.SIGKILL)
        birth = session.births.wait(1, RESTART_TIMEOUT)[0]
        taken.append((birth.ns - killed) / 1e6)
        born_ns[birth.pid] = birth.ns
        victims.append(birth.pid)
    return taken


def _restart(workers: int, kills: int) -> Group:
    middle, worst = f"restart-{workers}-p50", f"restart-{workers}-p99"

    def measure(peer: Peer, bench: Bench) -> Mapping[str, float]:
        with bench.running(peer, workers) as session:
            budget = 12.0 if bench.quick else 60.0
            taken = _one_by_one(session, kills // 4 if bench.quick else kills, budget)
        return {middle: statistics.median(taken), worst: percentile(taken, 0.99)}

    rows = (
        Row(middle, f"restart after kill -9, of {workers:,}, p50", "ms", "< 3"),
        Row(worst, f"restart after kill -9, of {workers:,}, p99", "ms"),
    )
    return Group(f"restart-{workers}", rows, measure, ALL, once=True)


def percentile(values: list[float], part: float) -> float:
    """The smallest value that is not below this part of all; of fewer than 100 values the 99th is the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _mass_death(peer: Peer, bench: Bench) -> Mapping[str, float]:
    with bench.running(peer, MANY) as session:
        session.settle(OLD_ENOUGH)
        _any_phase(peer)
        first = time.monotonic_ns()
        for pid in session.workers:
            os.kill(pid, signal.SIGKILL)
        last = max(birth.ns for birth in session.births.wait(MANY, RESTART_TIMEOUT))
        return {"mass-death": (last - first) / 1e9}


GROUPS = (
    _restart(1, 40),
    _restart(1000, 400),
    Group("mass-death", (Row("mass-death", f"{MANY} killed at once, all replaced", "s", "< 0.4"),), _mass_death, ALL),
)
