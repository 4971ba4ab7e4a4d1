"""Events: one watcher goes up and down by 50, ten subscribers listen."""

import json
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from benchmarks.clients import WATCHER, CircusClient
from benchmarks.errors import Failed
from benchmarks.peers.base import Peer
from benchmarks.peers.circus import Circus
from benchmarks.rows.base import CIRCUS, Bench, Group, Row

SUBSCRIBERS = 10
STEP = 50
JOIN_TIMEOUT = 30.0  # seconds
NUDGE = 0.2  # seconds between two events that are made only to see who hears them


def _flip(client: CircusClient, step: int) -> None:
    client.call("incr", name=WATCHER, nb=step, waiting=True)
    client.call("decr", name=WATCHER, nb=step, waiting=True)


def _line(output: IO[bytes], timeout: float) -> bytes:
    return output.readline().strip() if select.select([output], [], [], timeout)[0] else b""


def _join(client: CircusClient, output: IO[bytes]) -> None:
    """Return when all subscriptions have arrived at the publisher: events are made until each has heard one."""
    deadline = time.monotonic() + JOIN_TIMEOUT
    while _line(output, NUDGE) != b"heard":
        if time.monotonic() > deadline:
            raise Failed(f"not all subscribers have heard an event after {JOIN_TIMEOUT:g} s")
        _flip(client, 1)
    if _line(output, JOIN_TIMEOUT) != b"ready":
        raise Failed("the subscribers did not get ready")


def _lost(subscriber: Mapping[str, Any], flips: int) -> int:
    """Events that a subscriber should have seen and has not: each flip spawns and stops so many processes."""
    kinds: dict[str, int] = subscriber["kinds"]
    missing = sum(max(0, flips * STEP - kinds.get(kind, 0)) for kind in ("spawn", "kill"))
    holes: int = subscriber["holes"]
    return max(missing, holes)


def _events(peer: Peer, bench: Bench) -> Mapping[str, float]:
    assert isinstance(peer, Circus)
    flips = 4 if bench.quick else 10
    with bench.running(peer, 1) as session:
        client = peer.client(session.folder)
        script = str(Path(__file__).with_name("subscribers.py"))
        command = [sys.executable, script, peer.pubsub(session.folder), str(SUBSCRIBERS)]
        listening = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        try:
            assert listening.stdout is not None
            _join(client, listening.stdout)
            began = time.monotonic_ns()
            for _ in range(flips):
                _flip(client, STEP)
            seen = json.loads(listening.communicate(timeout=JOIN_TIMEOUT)[0])
        finally:
            listening.kill()
            listening.wait()
            client.close()
    seconds = (max(subscriber["last_ns"] for subscriber in seen) - began) / 1e9
    return {
        "events-rate": min(subscriber["events"] for subscriber in seen) / seconds,
        "events-lost": sum(_lost(subscriber, flips) for subscriber in seen),
    }


ROWS = (
    Row("events-rate", f"events per second, moving by {STEP}", "/s", higher=True),
    Row("events-lost", f"events lost by {SUBSCRIBERS} subscribers", "", "0"),
)
GROUPS = (Group("events", ROWS, _events, CIRCUS),)
