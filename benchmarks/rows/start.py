"""Start: from the launch of the supervisor until all workers run, and until it answers its first command."""

import time
from collections.abc import Mapping

from benchmarks.peers.base import Peer
from benchmarks.rows.base import ALL, CONTROLLED, Bench, Group, Row


def _start(workers: int, goal: str) -> Group:
    key = f"start-{workers}"

    def measure(peer: Peer, bench: Bench) -> Mapping[str, float]:
        with bench.running(peer, workers) as session:
            last = max(birth.ns for birth in session.first)
            return {key: (last - session.launched_ns) / 1e9}

    return Group(key, (Row(key, f"start of {workers:,} workers", "s", goal),), measure, ALL)


def _answer(peer: Peer, bench: Bench) -> Mapping[str, float]:
    with bench.launch(peer, 1) as session:
        session.await_control()
        client = peer.client(session.folder)
        try:
            client.ping()
            answered = time.monotonic_ns()
        finally:
            client.close()
        return {"answer": (answered - session.launched_ns) / 1e6}


GROUPS = (
    Group("answer", (Row("answer", "launch until it answers", "ms", "< 250"),), _answer, CONTROLLED),
    _start(100, "< 0.25"),
    _start(1000, "< 0.9"),
)
