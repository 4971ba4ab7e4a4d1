"""Log capture: how fast output gets into rotating files, whether all of it does, and what it costs everybody else."""

import contextlib
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import written
from benchmarks.clients import Client
from benchmarks.errors import Failed
from benchmarks.peers.base import LOGS, Peer, Rotation
from benchmarks.proc import cpu_seconds
from benchmarks.rows.base import ALL, CONTROLLED, Bench, Group, Row
from benchmarks.rows.commands import echo
from benchmarks.rows.idle import at_rest
from benchmarks.rows.restart import percentile
from benchmarks.session import Session

MANY = 50
ROTATIONS = {1: 10, MANY: 2}  # of each file
BACKUPS = 20  # more than there are rotations, so that nothing is deleted
WRITE_TIMEOUT = 120.0  # seconds
LOOK = 0.001  # seconds between two looks whether all has arrived
STALLED = 5.0  # seconds without another byte, after which none is expected any more
PAUSE = 0.004  # seconds between two commands, on average: as fast as it goes they would be a load of their own
RATE, SHORT = 1000, 100  # lines a second, and bytes of each, from the writers of small lines
PER_LINES = 10.0  # seconds that the CPU time for small lines is told for
SILENT = 1000


@contextlib.contextmanager
def _writers(peer: Peer, bench: Bench, count: int, task: str, rotation: Rotation) -> Iterator[tuple[Session, "_Gate"]]:
    """So many writers that run and wait at the gate."""

    def write(folder: Path) -> None:
        os.mkfifo(folder / "gate")
        command = (*bench.programs.writer, str(folder / "births"), str(folder / "gate"), *task.split())
        peer.write_capturing(folder, count, command, rotation)

    with bench.running(peer, count, write) as session, _Gate(session.folder / "gate") as gate:
        yield session, gate


class _Gate:
    """Holds the writers back until it is opened: the FIFO has no other end until then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> "_Gate":
        return self

    def open(self) -> int:
        """Let the writers begin; returns the moment before, in nanoseconds."""
        opened = time.monotonic_ns()
        self._fd = os.open(self._path, os.O_WRONLY)
        return opened

    def __exit__(self, *failure: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _throughput(writers: int) -> Group:
    name = f"log-{writers}"

    def measure(peer: Peer, bench: Bench) -> Mapping[str, float]:
        blocks = -(-(128 if bench.quick else 512) * (1 << 20) // written.BLOCK // writers)
        total = blocks * writers * written.BLOCK
        rotation = Rotation(total // writers // ROTATIONS[writers], BACKUPS)
        with _writers(peer, bench, writers, f"blocks {blocks}", rotation) as (session, gate):
            supervisors = session.supervisors()
            used = cpu_seconds(supervisors)
            seconds = _await_bytes(session, gate.open(), total)
            used = cpu_seconds(supervisors) - used
            wrong = written.wrong_bytes(session.folder / LOGS, session.workers, blocks)
        return {f"{name}-rate": total / seconds / 1e6, f"{name}-cpu": used * 1e9 / total, f"{name}-wrong": wrong}

    who = "one writer" if writers == 1 else f"{writers} writers"
    rows = (
        Row(f"{name}-rate", f"log of {who}", "MB/s", "> cat", higher=True),
        Row(f"{name}-cpu", "   its CPU, s per GB", "s"),
        Row(f"{name}-wrong", "   bytes lost or doubled", "", "0"),
    )
    return Group(name, rows, measure, ALL | {"cat"})


def _await_bytes(session: Session, opened: int, total: int) -> float:
    """Seconds from the moment that the gate was opened until the last byte stands in a file, or no more come."""
    done, folder = 0, session.folder / LOGS
    deadline = time.monotonic() + WRITE_TIMEOUT
    while done < len(session.first):
        if time.monotonic() > deadline:
            raise Failed(f"{len(session.first) - done} writers were not done within {WRITE_TIMEOUT:g} s")
        time.sleep(LOOK)
        done += len(session.births.take())
    moved = now = time.monotonic_ns()
    last = 0
    while last < total and now - moved < STALLED * 1e9:
        size, now = written.size(folder), time.monotonic_ns()
        if size != last:
            last, moved = size, now
        time.sleep(LOOK)
    if last == 0:
        raise Failed("nothing was captured")
    return (moved - opened) / 1e9


@contextlib.contextmanager
def _client(peer: Peer, bench: Bench, session: Session) -> Iterator[Client]:
    if peer.control is None:
        with echo(bench) as client:
            yield client
    else:
        session.await_control()
        connected = peer.client(session.folder)
        try:
            yield connected
        finally:
            connected.close()


def _latencies(call: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of each call, with a pause after each."""
    taken = []
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        call()
        taken.append((time.monotonic() - began) * 1000)
        time.sleep(random.uniform(0, 2 * PAUSE))
    return taken


def _meanwhile(writers: int) -> Group:
    name = f"log-{writers}-commands"

    def measure(peer: Peer, bench: Bench) -> Mapping[str, float]:
        rotation = Rotation(50_000_000 if writers == 1 else 5_000_000, 1)
        with (
            _writers(peer, bench, writers, "blocks 0", rotation) as (session, gate),
            _client(peer, bench, session) as client,
        ):
            _latencies(client.ping, 0.2)
            gate.open()
            taken = _latencies(client.ping, 2.0 if bench.quick else 10.0)
            if written.size(session.folder / LOGS) == 0:
                raise Failed("nothing was captured")
        return {
            f"{name}-p50": statistics.median(taken),
            f"{name}-p99": percentile(taken, 0.99),
            f"{name}-max": max(taken),
        }

    who = "one writes" if writers == 1 else f"{writers} write"
    rows = (
        Row(f"{name}-p50", f"one command while {who}, p50", "ms"),
        Row(f"{name}-p99", "   p99", "ms"),
        Row(f"{name}-max", "   longest", "ms", "< 20"),
    )
    return Group(name, rows, measure, CONTROLLED | {"cat"}, once=True)


def _lines(peer: Peer, bench: Bench) -> Mapping[str, float]:
    with _writers(peer, bench, MANY, f"lines {RATE}", Rotation(1 << 30, 1)) as (session, gate):
        logs, supervisors = session.folder / LOGS, session.supervisors()
        gate.open()
        time.sleep(1.0)
        began, used, size = time.monotonic(), cpu_seconds(supervisors), written.size(logs)
        time.sleep(3.0 if bench.quick else PER_LINES)
        lasted = time.monotonic() - began
        used, size = cpu_seconds(supervisors) - used, written.size(logs) - size
    return {"log-lines-cpu": used * PER_LINES / lasted, "log-lines-rate": size / SHORT / lasted}


def _silent(peer: Peer, bench: Bench) -> Mapping[str, float]:
    def write(folder: Path) -> None:
        command = (*bench.programs.worker, str(folder / "births"))
        peer.write_capturing(folder, SILENT, command, Rotation(50_000_000, 1))

    with bench.running(peer, SILENT, write) as session:
        return at_rest(session, bench, "log-silent")


LINES = (
    Row("log-lines-cpu", f"{MANY} × {RATE:,} small lines a second, CPU s per 10 s", "s"),
    Row("log-lines-rate", "   lines that get into the files", "/s", f"{MANY * RATE:,}", higher=True),
)
SILENCE = (
    Row("log-silent-cpu", f"idle with {SILENT:,} captured, CPU s per 30 s", "s", "as not captured"),
    Row("log-silent-pss", f"memory with {SILENT:,} captured, PSS", "MiB", "as not captured"),
    Row("log-silent-rss", f"memory with {SILENT:,} captured, RSS", "MiB"),
)
GROUPS = (
    _throughput(1),
    _throughput(MANY),
    _meanwhile(1),
    _meanwhile(MANY),
    Group("log-lines", LINES, _lines, (ALL | {"cat"}) - {"floor"}, once=True),
    Group("log-silent", SILENCE, _silent, ALL - {"floor"}, once=True),
)
