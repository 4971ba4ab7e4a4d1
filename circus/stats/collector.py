"""The plugin circusd-stats: follows which processes there are, and looks at them each second while somebody listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from circus.events import HELPERS, topic_name
from circus.plugins import CircusPlugin, hookimpl
from circus.stats.hits import Hits
from circus.stats.publishing import StatsSocket
from circus.stats.sampling import FILES, UNKNOWN, Sampled
from circus.util import default_stats_endpoint

if TYPE_CHECKING:
    from circus.events import Event

log = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two looks."""

OWN: Final = "circus"
"""The topic of circusd and its helpers, as if they were a watcher of that name."""

_SPARE: Final = 64
"""Descriptors that are left for other things than the files of processes."""

Json = dict[str, Any]
Processes = dict[int, Sampled | None]


class CircusStats(CircusPlugin):
    """Publish what each process, each watcher, circusd itself and its helpers use, once a second.

    Nothing is read while nobody is subscribed.
    """

    name = "circusd-stats"

    def __init__(self, *args: Any, stats_endpoint: str = "", **config: Any) -> None:
        super().__init__(*args, **config)
        self.stats_endpoint = stats_endpoint or default_stats_endpoint()
        self._processes: dict[str, Processes] = {}
        self._daemon: Processes = {}
        self._hits = Hits()
        self._socket: StatsSocket | None = None
        self._room = 0

    def handle_init(self) -> None:
        """Bind the endpoint. Raise ``CircusError`` if it cannot be had."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        self._room = soft - _SPARE if soft != resource.RLIM_INFINITY else 1 << 20
        self._socket = StatsSocket(asyncio.get_running_loop(), self.stats_endpoint, self._on_listeners)
        self.every(INTERVAL, self.look)

    def handle_stop(self) -> None:
        """Let go of the endpoint, and of the files of processes."""
        self._rest()
        if self._socket is not None:
            self._socket.close()

    @hookimpl
    async def on_resync(self, snapshot: Mapping[str, Any]) -> None:
        """Take in which processes there are, and whose descriptors are circusd's sockets."""
        self._rest()
        self._processes = {
            topic_name(name): {process["pid"]: None for process in watcher["processes"]}
            for name, watcher in snapshot["watchers"].items()
        }
        reply = await self.acall("dstats")
        self._daemon = {reply["info"]["pid"]: None}
        self._hits.follow((await self.acall("listsockets"))["sockets"])
        self._on_listeners()  # who listens may have come before this was known

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Take in which processes come and go."""
        if event.action == "spawn":
            self._processes.setdefault(event.watcher, {})[event.data["process_pid"]] = None
        elif event.action == "reap":
            self._forget(self._processes.get(event.watcher, {}), event.data["process_pid"])
        elif event.action == "stop" and not self._processes.get(event.watcher):
            self._processes.pop(event.watcher, None)

    def look(self) -> None:
        """Look at each process and publish, if anybody listens."""
        socket = self._socket
        if socket is None or not socket.topics:
            return
        mono, now = time.monotonic(), time.time()
        for name, processes in list(self._processes.items()):
            if name not in HELPERS and socket.wants(f"stat.{name}".encode()):
                self._publish(socket, name, processes, mono, now)
        if socket.wants(f"stat.{OWN}".encode()):
            self._publish_own(socket, mono, now)
        if self._hits.known and socket.wants(b"stat.sockets"):
            for topic, data in self._hits.messages():
                socket.send(topic, data)

    def _on_listeners(self) -> None:
        if self._socket is not None and self._socket.topics:
            self._hits.begin()
            self.look()
        else:
            self._rest()

    def _rest(self) -> None:
        """Keep no file open while nobody listens."""
        for processes in (*self._processes.values(), self._daemon):
            for pid in processes:
                self._close(processes, pid)
        self._hits.rest()

    def _publish(self, socket: StatsSocket, name: str, processes: Processes, mono: float, now: float) -> None:
        sampled = self._looked_at(processes, None, mono)
        self._send(socket, name, sampled, now)

    def _publish_own(self, socket: StatsSocket, mono: float, now: float) -> None:
        sampled = self._looked_at(self._daemon, "circusd", mono)
        for helper in HELPERS:
            sampled += self._looked_at(self._processes.get(helper, {}), helper, mono)
        self._send(socket, OWN, sampled, now)

    def _send(self, socket: StatsSocket, name: str, sampled: list[Sampled], now: float) -> None:
        topic = f"stat.{name}"
        for process in sampled:
            socket.send_encoded(f"{topic}.{process.pid}".encode(), process.message(now))
        socket.send(topic, summary(sampled, now))

    def _looked_at(self, processes: Processes, name: str | None, mono: float) -> list[Sampled]:
        """Look at processes; return those that are still there."""
        looked_at = []
        for pid, sampled in list(processes.items()):
            try:
                if sampled is None:
                    sampled = processes[pid] = Sampled(pid, name, keep_open=self._room > 0)
                    self._room -= FILES
                sampled.look(mono)
                looked_at.append(sampled)
            except ProcessLookupError:
                self._close(processes, pid)
        return looked_at

    def _forget(self, processes: Processes, pid: int) -> None:
        self._close(processes, pid)
        processes.pop(pid, None)

    def _close(self, processes: Processes, pid: int) -> None:
        sampled = processes.get(pid)
        if sampled is not None:
            sampled.close()
            self._room += FILES
            processes[pid] = None


def summary(processes: Iterable[Sampled], now: float) -> Json:
    """Return what subscribers know of a watcher: its PIDs, the mean of CPU, the sum of memory, the age of the oldest.

    ``rss`` is the sum in bytes, ``cpu_sum`` that of CPU in percent of one core.
    """
    known = [(process, process.usage) for process in processes if process.usage is not None]
    if not known:
        return {"pid": [], "cpu": UNKNOWN, "mem": UNKNOWN, "age": UNKNOWN, "rss": 0, "cpu_sum": 0.0}
    cpu = round(sum(usage.cpu for _, usage in known), 1)
    return {
        "pid": [process.pid for process, _ in known],
        "cpu": cpu / len(known),
        "mem": round(sum(usage.mem for _, usage in known), 3),
        "age": now - min(process.create_time for process, _ in known),
        "rss": sum(usage.rss for _, usage in known),
        "cpu_sum": cpu,
    }
