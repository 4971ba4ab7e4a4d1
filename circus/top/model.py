"""What is known of a daemon: its watchers and processes, what they use, its sockets, and what has happened.

Nothing here reads or writes; whoever hears something tells it. Times are seconds since the epoch. What it keeps is
bounded: by what the daemon has, by :data:`~circus.top.history.KEPT` figures of each, and by :data:`EVENTS`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from circus.events import Event, topic_name
from circus.top.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

EVENTS: Final = 500
"""Events that are kept."""
OWN: Final = "circus"
"""What circusd and its helpers are together, in the statistics."""
SOCKETS: Final = "sockets"


class Usage:
    """What a process, or all of a watcher, uses. ``at`` is when that was told last; None stands for unknown."""

    __slots__ = ("age", "at", "cpu", "cpus", "mem", "mems", "pids", "rss")

    def __init__(self) -> None:
        self.at = 0.0
        self.cpu: float | None = None
        self.mem: float | None = None
        self.rss: float | None = None
        self.age: float | None = None
        self.pids: list[int] = []
        self.cpus = History()
        self.mems = History()

    def take(self, data: Mapping[str, Any], now: float) -> None:
        """Take a message of the statistics: of a process, or of a watcher, whose CPU is then the sum."""
        self.at = now
        self.cpu = _number(data.get("cpu_sum", data.get("cpu")))
        self.mem, self.rss, self.age = (_number(data.get(key)) for key in ("mem", "rss", "age"))
        pids = data.get("pid")
        self.pids = [int(pid) for pid in pids] if isinstance(pids, list) else []
        self.cpus.add(self.cpu or 0.0)
        self.mems.add(self.mem or 0.0)


class Hits:
    """A socket of circusd: how often something has arrived since circus-top runs, and in the last second."""

    __slots__ = ("address", "at", "last", "name", "rates", "reads")

    def __init__(self) -> None:
        self.name = ""
        self.address = ""
        self.at = 0.0
        self.reads = 0
        self.last: int | None = None
        self.rates = History()


class Link:
    """One of the two that are listened to: circusd, or circusd-stats. ``trouble`` says what is wrong, if anything."""

    __slots__ = ("heard", "trouble", "up")

    def __init__(self) -> None:
        self.up = False
        self.heard = 0.0
        self.trouble = ""

    def hear(self, now: float) -> None:
        """Take note that it is there."""
        self.up, self.heard, self.trouble = True, now, ""

    def lose(self, trouble: str) -> None:
        """Take note that it is not there."""
        self.up, self.trouble = False, trouble


class Model:
    """All that circus-top knows. Figures of processes are forgotten ``process_timeout`` seconds after the last."""

    def __init__(self, process_timeout: float = 3.0) -> None:
        self.process_timeout = process_timeout
        self.daemon = Link()
        self.stats = Link()
        self.watchers: dict[str, Json] = {}
        self.totals: dict[str, Usage] = {}
        self.processes: dict[int, Usage] = {}
        self.names: dict[int, str] = {}
        self.sockets: dict[str, Hits] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS)

    def take_status(self, reply: Json) -> None:
        """Take the reply of ``status`` with details."""
        self.watchers = reply.get("details", {})

    def take_sockets(self, reply: Json) -> None:
        """Take the reply of ``listsockets``."""
        listed = {str(item["fd"]): item for item in reply.get("sockets", ()) if item["fd"] >= 0}
        for number, item in listed.items():
            hits = self.sockets.setdefault(number, Hits())
            hits.name = str(item["name"])
            hits.address = str(item["path"]) if "path" in item else f"{item['host']}:{item['port']}"
        for number in [number for number in self.sockets if number not in listed]:
            del self.sockets[number]

    def take_event(self, event: Event) -> None:
        """Take what has happened."""
        self.events.append(event)

    def take_stats(self, watcher: str, subtopic: str | None, data: Json, now: float) -> None:
        """Take a message of the statistics."""
        self.stats.hear(now)
        if watcher == SOCKETS and ("reads" in data or "addresses" in data):
            if subtopic is not None:
                self._take_hits(subtopic, data, now)
        elif subtopic is None:
            self.totals.setdefault(watcher, Usage()).take(data, now)
        else:
            pid = int(subtopic)
            self.processes.setdefault(pid, Usage()).take(data, now)
            if watcher == OWN:
                self.names[pid] = str(data.get("name") or OWN)

    def _take_hits(self, number: str, data: Json, now: float) -> None:
        hits = self.sockets.setdefault(number, Hits())
        hits.address = hits.address or str(data.get("address", ""))
        hits.at, hits.last = now, int(data.get("reads", 0))
        hits.reads += hits.last
        hits.rates.add(hits.last)

    def forget(self, now: float) -> None:
        """Forget the figures of what is no longer told of. What a watcher has used is kept as long as there is one."""
        since = now - self.process_timeout
        for pid in [pid for pid, usage in self.processes.items() if usage.at < since]:
            del self.processes[pid]
            self.names.pop(pid, None)
        alive = {topic_name(name) for name in self.watchers}
        for name in [name for name, usage in self.totals.items() if usage.at < since and name not in alive]:
            del self.totals[name]

    def forget_daemon(self) -> None:
        """Forget what circusd said: it is gone, and what it said may no longer be so."""
        self.watchers = {}

    def fresh(self, usage: Usage | Hits | None, now: float) -> bool:
        """Return whether figures are those of now."""
        return usage is not None and usage.at >= now - self.process_timeout


def _number(value: Any) -> float | None:
    """A figure; ``"N/A"`` is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
