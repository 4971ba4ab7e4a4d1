"""Statistics: what circusd-stats takes to tell of 1,000 processes each second, and while nobody wants to know."""

import time
from collections.abc import Mapping
from pathlib import Path

import zmq

from benchmarks.errors import Failed
from benchmarks.peers.base import Peer
from benchmarks.peers.circus import Circus
from benchmarks.proc import cpu_seconds
from benchmarks.rows.base import CIRCUS, Bench, Group, Row

WORKERS = 1000
FIRST_TIMEOUT = 30.0  # seconds until the first message
TOPIC = b"stat."


class Listener:
    """One subscriber to all statistics, who reads what comes and looks at the topics alone."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.subscribe(TOPIC)
        self._socket.connect(endpoint)

    def begin(self) -> None:
        """Return when something has come; raise Failed if nothing does."""
        if not self._socket.poll(int(FIRST_TIMEOUT * 1000)):
            raise Failed(f"no statistics within {FIRST_TIMEOUT:g} s")

    def count(self, seconds: float) -> int:
        """Read for so long; return how many messages were about one process."""
        ends, found = time.monotonic() + seconds, 0
        while (left := ends - time.monotonic()) > 0:
            if self._socket.poll(int(left * 1000) + 1):
                topic, _ = self._socket.recv_multipart()
                found += topic.rpartition(b".")[2].isdigit()
        return found

    def close(self) -> None:
        """Hang up."""
        self._context.destroy(linger=0)


def _stats(peer: Peer, bench: Bench) -> Mapping[str, float]:
    assert isinstance(peer, Circus)

    def write(folder: Path) -> None:
        command = (*bench.programs.worker, str(folder / "births"))
        peer.write(folder, WORKERS, command, f"stats_endpoint = {_endpoint(folder)}\n")

    period = 5.0 if bench.quick else 20.0
    with bench.running(peer, WORKERS, write) as session:
        # It hears of a thousand new processes first.
        session.settle(4.0 if bench.quick else 8.0)
        helpers = session.supervisors()[1:]
        if not helpers:
            raise Failed("circusd-stats does not run")
        began, before = time.monotonic(), cpu_seconds(helpers)
        time.sleep(period)
        alone = (cpu_seconds(helpers) - before) / (time.monotonic() - began)
        listener = Listener(_endpoint(session.folder))
        try:
            listener.begin()
            listener.count(2.0)  # the first looks are dearer: files are opened, names are asked for
            began, before = time.monotonic(), cpu_seconds(helpers)
            found = listener.count(period)
            listened = (cpu_seconds(helpers) - before) / (time.monotonic() - began)
        finally:
            listener.close()
    return {"stats-cpu": listened * 100, "stats-idle": alone * 100, "stats-rate": found / period}


def _endpoint(folder: Path) -> str:
    return f"ipc://{folder / 'stats'}"


ROWS = (
    Row("stats-cpu", f"circusd-stats, {WORKERS:,} processes, one listener", "%", "< 1"),
    Row("stats-idle", "the same, no listener", "%", "0"),
    Row("stats-rate", "messages about one process, one listener", "/s", higher=True),
)
GROUPS = (Group("stats", ROWS, _stats, CIRCUS, once=True),)
