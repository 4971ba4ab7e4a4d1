"""Stop: from the signal to the supervisor until it, its helpers and all workers are gone."""

import os
import time
from collections.abc import Mapping

from benchmarks.peers.base import Peer
from benchmarks.proc import Watch
from benchmarks.rows.base import ALL, Bench, Group, Row

WORKERS = 500
SETTLED = 1.3  # seconds, so that no supervisor still counts them as starting
STOP_TIMEOUT = 30.0  # seconds


def _stop(peer: Peer, bench: Bench) -> Mapping[str, float]:
    with bench.running(peer, WORKERS) as session:
        session.settle(SETTLED)
        watch = Watch([*session.supervisors(), *session.workers])
        try:
            asked = time.monotonic_ns()
            os.kill(session.daemon.pid, peer.stop_signal)
            watch.wait(STOP_TIMEOUT)
            gone = time.monotonic_ns()
        finally:
            watch.close()
        return {"stop-500": (gone - asked) / 1e9}


GROUPS = (Group("stop-500", (Row("stop-500", f"stop of {WORKERS} workers, and itself", "s", "< 0.13"),), _stop, ALL),)
