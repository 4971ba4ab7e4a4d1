"""Commands: round trips per second of one client that asks again as soon as it has its answer."""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.clients import CircusClient, Client, await_socket
from benchmarks.errors import Failed
from benchmarks.peers.base import Peer
from benchmarks.rows.base import CONTROLLED, Bench, Group, Row

WORKERS = 1000
SOCKET_TIMEOUT = 30.0  # seconds
WARM_UP = 3  # calls that are not counted
STRETCHES = 5
ECHO = """
import sys, zmq
router = zmq.Context().socket(zmq.ROUTER)
router.bind(sys.argv[1])
while True:
    router.send_multipart(router.recv_multipart())
"""


def _per_second(call: Callable[[], object], seconds: float) -> float:
    """The median rate of several stretches, so that one busy moment of the machine does not count."""
    for _ in range(WARM_UP):
        call()
    return statistics.median(_rate(call, seconds / STRETCHES) for _ in range(STRETCHES))


def _rate(call: Callable[[], object], seconds: float) -> float:
    began = now = time.perf_counter()
    calls = 0
    while now - began < seconds:
        call()
        calls += 1
        now = time.perf_counter()
    return calls / (now - began)


@contextlib.contextmanager
def _connected(peer: Peer, bench: Bench, workers: int) -> Iterator[Client]:
    with bench.running(peer, workers) as session:
        session.await_control()
        client = peer.client(session.folder)
        try:
            yield client
        finally:
            client.close()


@contextlib.contextmanager
def echo(bench: Bench) -> Iterator[Client]:
    """A bare ROUTER that sends everything back: what the transport and the client alone take."""
    path = Path(bench.root) / f"bench-echo-{time.monotonic_ns()}"
    server = subprocess.Popen([sys.executable, "-c", ECHO, f"ipc://{path}"])
    try:
        await_socket(path, SOCKET_TIMEOUT)
        client = CircusClient(f"ipc://{path}")
        try:
            yield client
        finally:
            client.close()
    finally:
        server.kill()
        server.wait()
        path.unlink(missing_ok=True)


def _commands(peer: Peer, bench: Bench) -> Mapping[str, float]:
    seconds = 0.5 if bench.quick else 2.0
    with echo(bench) if peer.name == "floor" else _connected(peer, bench, 1) as client:
        return {
            "commands-ping": _per_second(client.ping, seconds),
            "commands-names": _per_second(client.names, seconds),
        }


def _list(peer: Peer, bench: Bench) -> Mapping[str, float]:
    with _connected(peer, bench, WORKERS) as client:
        if (listed := client.pids()) != WORKERS:
            raise Failed(f"{listed} processes are listed, and {WORKERS} run")
        return {"list-1000": _per_second(client.pids, 0.5 if bench.quick else 2.0)}


ROWS = (
    Row("commands-ping", "commands per second: numwatchers", "/s", "> 1.5 circus, 0.8 floor", higher=True),
    Row("commands-names", "commands per second: list", "/s", "> 1.5 circus, 0.8 floor", higher=True),
)
GROUPS = (
    Group("commands", ROWS, _commands, CONTROLLED | {"floor"}),
    Group(
        "list-1000",
        (Row("list-1000", f"list of {WORKERS:,} workers, per second", "/s", higher=True),),
        _list,
        CONTROLLED,
    ),
)
