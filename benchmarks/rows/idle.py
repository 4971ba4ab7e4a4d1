"""Idle: what a supervisor of 1,000 workers takes while nothing happens."""

import time
from collections.abc import Mapping

from benchmarks.peers.base import Peer
from benchmarks.proc import cpu_seconds, memory_mib
from benchmarks.rows.base import ALL, Bench, Group, Row
from benchmarks.session import Session

WORKERS = 1000
PER = 30.0  # seconds that the figure is told for


def _idle(peer: Peer, bench: Bench) -> Mapping[str, float]:
    with bench.running(peer, WORKERS) as session:
        return at_rest(session, bench, "idle")


def at_rest(session: Session, bench: Bench, row: str) -> dict[str, float]:
    """Return what a supervisor takes while nothing happens: seconds of CPU for ``PER``, and its memory in MiB."""
    session.settle(2.0 if bench.quick else 6.0)
    supervisors = session.supervisors()
    before, began = cpu_seconds(supervisors), time.monotonic()
    time.sleep(10.0 if bench.quick else PER)
    used, lasted = cpu_seconds(supervisors) - before, time.monotonic() - began
    pss, rss = memory_mib(supervisors)
    return {f"{row}-cpu": used * PER / lasted, f"{row}-pss": pss, f"{row}-rss": rss}


ROWS = (
    Row("idle-cpu", f"idle with {WORKERS:,} workers, CPU s per 30 s", "s", "< 0.03"),
    Row("idle-pss", f"memory with {WORKERS:,} workers, PSS", "MiB", "< 25"),
    Row("idle-rss", f"memory with {WORKERS:,} workers, RSS", "MiB"),
)
GROUPS = (Group("idle", ROWS, _idle, ALL, once=True),)
