"""The plugin circusd-stats: follows which processes there are, and looks at them each second while somebody listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from circus.events import HELPERS, topic_name
from circus.plugins import CircusPlugin, hookimpl
from circus.stats.families import Families
from circus.stats.hits import Hits
from circus.stats.publishing import StatsSocket
from circus.stats.sampler import Processes, Sampler
from circus.stats.sampling import UNKNOWN, Sampled
from circus.util import default_stats_endpoint, to_bool

if TYPE_CHECKING:
    from circus.events import Event

INTERVAL: Final = 1.0
"""Seconds between two looks."""

OWN: Final = "circus"
"""The topic of circusd and its helpers, as if they were a watcher of that name."""

Json = dict[str, Any]


class CircusStats(CircusPlugin):
    """Publish what each process, each watcher, circusd itself and its helpers use, once a second.

    Nothing is read of what nobody is subscribed to; while nobody listens at all, not even a timer runs.
    """

    name = "circusd-stats"

    def __init__(self, *args: Any, stats_endpoint: str = "", children: Any = False, **config: Any) -> None:
        super().__init__(*args, **config)
        self.stats_endpoint = stats_endpoint or default_stats_endpoint()
        self._processes: dict[str, Processes] = {}
        self._daemon: Processes = {}
        self._families = Families() if to_bool(children) else None
        self._sampler = Sampler()
        self._hits = Hits()
        self._socket: StatsSocket | None = None
        self._tick: asyncio.TimerHandle | None = None

    def handle_init(self) -> None:
        """Bind the endpoint. Raise ``CircusError`` if it cannot be had."""
        self._socket = StatsSocket(asyncio.get_running_loop(), self.stats_endpoint, self._on_listeners)

    def handle_stop(self) -> None:
        """Let go of the endpoint, and of the files of processes."""
        if self._tick is not None:
            self._tick.cancel()
        self._rest()
        if self._socket is not None:
            self._socket.close()

    @hookimpl
    async def on_resync(self, snapshot: Mapping[str, Any]) -> None:
        """Take in which processes there are, and whose descriptors are circusd's sockets."""
        daemon = (await self.acall("dstats"))["info"]["pid"]
        sockets = (await self.acall("listsockets"))["sockets"]
        self._rest()
        self._processes = {
            topic_name(name): {process["pid"]: None for process in watcher["processes"]}
            for name, watcher in snapshot["watchers"].items()
        }
        self._daemon = {daemon: None}
        self._hits.follow(sockets)
        self._on_listeners()  # who listens may have come before this was known

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Take in which processes come and go."""
        if event.action == "spawn":
            self._processes.setdefault(event.watcher, {})[event.data["process_pid"]] = None
        elif event.action == "reap":
            processes = self._processes.get(event.watcher, {})
            self._sampler.close(processes, event.data["process_pid"])
            processes.pop(event.data["process_pid"], None)
        elif event.action == "remove" or (event.action == "stop" and not self._processes.get(event.watcher)):
            # Processes that outlive their watcher are nobody's any more.
            removed = self._processes.pop(event.watcher, {})
            for pid in removed:
                self._sampler.close(removed, pid)

    def look(self) -> None:
        """Look at each process that anybody wants to know of, and publish."""
        socket = self._socket
        assert socket is not None
        mono, now = time.monotonic(), time.time()
        wanted = [name for name in self._processes if name not in HELPERS and socket.wants(f"stat.{name}".encode())]
        if self._families is not None:
            self._families.find({pid for processes in self._processes.values() for pid in processes})
        for name in wanted:
            processes = self._processes[name]
            sampled = self._sampler.look(processes, None, _chosen(socket, name, processes), mono)
            self._publish(socket, name, sampled, mono, now)
        if socket.wants(f"stat.{OWN}".encode()):
            self._publish(socket, OWN, self._own(socket, mono), mono, now)
        if self._hits.known and socket.wants(b"stat.sockets"):
            for topic, data in self._hits.messages():
                socket.send(topic, data)

    def _on_listeners(self) -> None:
        """Somebody came or went. Whoever comes and goes all the time causes no look beyond that of each second."""
        socket = self._socket
        if socket is None or not socket.topics:
            return  # the next tick is the last
        if self._tick is None:
            self._on_tick()
        for name, processes in (*self._processes.items(), (OWN, self._daemon)):
            for pid in processes.keys() - _chosen(socket, OWN if name in HELPERS else name, processes):
                self._sampler.close(processes, pid)
        if socket.wants(b"stat.sockets"):
            self._hits.begin()
        else:
            self._hits.rest()

    def _on_tick(self) -> None:
        assert self._socket is not None
        self._tick = None
        if self._socket.topics:
            self._tick = asyncio.get_running_loop().call_later(INTERVAL, self._on_tick)
            self.look()
        else:
            self._rest()

    def _rest(self) -> None:
        """Keep no file open while nobody listens."""
        for processes in (*self._processes.values(), self._daemon):
            for pid in processes:
                self._sampler.close(processes, pid)
        if self._families is not None:
            self._families.rest()
        self._hits.rest()

    def _own(self, socket: StatsSocket, mono: float) -> list[Sampled]:
        """Look at circusd and its helpers."""
        sampled = self._sampler.look(self._daemon, "circusd", _chosen(socket, OWN, self._daemon), mono)
        for helper in HELPERS:
            processes = self._processes.get(helper, {})
            sampled += self._sampler.look(processes, helper, _chosen(socket, OWN, processes), mono)
        return sampled

    def _publish(self, socket: StatsSocket, name: str, sampled: list[Sampled], mono: float, now: float) -> None:
        topic = f"stat.{name}"
        messages = []
        for process in sampled:
            children = self._families.of(process.pid, mono, now) if self._families is not None else ()
            messages.append((f"{topic}.{process.pid}".encode(), process.message(now, children)))
        # In one go: each time that libzmq's thread has sent all and goes to sleep, waking it takes longer than sending.
        for frames in messages:
            socket.send_encoded(*frames)
        if socket.covers(topic.encode()):
            socket.send(topic, summary(sampled, now))


def _chosen(socket: StatsSocket, name: str, processes: Processes) -> list[int]:
    """The processes of a watcher that somebody hears of, by themselves or in their sum."""
    topic = f"stat.{name}."
    if socket.covers(topic.encode()):
        return list(processes)
    return [pid for pid in processes if socket.covers(f"{topic}{pid}".encode())]


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
