"""Idle: what a supervisor of 1,000 workers takes while nothing happens."""

import time
from collections.abc import Mapping

from benchmarks.peers.base import Peer
from benchmarks.proc import cpu_seconds, memory_mib
from benchmarks.rows.base import ALL, Bench, Group, Row

WORKERS = 1000
PER = 30.0  # seconds that the figure is told for


def _idle(peer: Peer, bench: Bench) -> Mapping[str, float]:
    with bench.running(peer, WORKERS) as session:
        session.settle(2.0 if bench.quick else 6.0)
        supervisors = session.supervisors()
        before, began = cpu_seconds(supervisors), time.monotonic()
        time.sleep(10.0 if bench.quick else PER)
        used, lasted = cpu_seconds(supervisors) - before, time.monotonic() - began
        pss, rss = memory_mib(supervisors)
    return {"idle-cpu": used * PER / lasted, "idle-pss": pss, "idle-rss": rss}


ROWS = (
    Row("idle-cpu", f"idle with {WORKERS:,} workers, CPU s per 30 s", "s", "< 0.03"),
    Row("idle-pss", f"memory with {WORKERS:,} workers, PSS", "MiB", "< 25"),
    Row("idle-rss", f"memory with {WORKERS:,} workers, RSS", "MiB"),
)
GROUPS = (Group("idle", ROWS, _idle, ALL, once=True),)
