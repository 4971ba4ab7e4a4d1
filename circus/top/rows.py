"""The lines of the table: watchers, those that are open with their processes, sorted and filtered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from circus.events import is_plugin, topic_name
from circus.top import text
from circus.top.history import graph
from circus.top.model import OWN, Json, Model, Usage
from circus.util import describe_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD: Final = ("NAME", "STATE", "PROCS", "RESTARTS", "CPU%", "MEM%", "RSS", "AGE")
ORDERS: Final = ("name", "cpu", "mem", "age", "restarts", "state")
"""What the table may be sorted by."""
_FULL_CORE: Final = 100.0
BAD: Final = ("backoff", "degraded", "failed")
"""States that somebody ought to look into."""


class Row(NamedTuple):
    """A line: of a watcher, or with ``pid`` or ``wid`` of one of its processes or slots."""

    watcher: str
    wid: int | None
    pid: int | None
    state: str
    reason: str
    wanted: int | None
    running: int
    restarts: int | None
    usage: Usage | None
    """None where nothing is known, or no longer."""
    age: float | None
    label: str

    @property
    def key(self) -> str:
        """What tells it from all others. It stays the same while the line is about the same."""
        return self.watcher if self.wid is None else f"{self.watcher}\n{self.wid}\n{self.pid}"

    @property
    def is_bad(self) -> bool:
        """Whether somebody ought to look at it."""
        return self.state in BAD

    def cells(self) -> tuple[str, ...]:
        """The texts that stand below :data:`HEAD`."""
        usage = self.usage
        counts = (
            "" if self.wid is not None else f"{self.running}/{text.UNKNOWN if self.wanted is None else self.wanted}"
        )
        return (
            text.harmless(self.label),
            self.state,
            counts,
            "" if self.restarts is None else str(self.restarts),
            text.percent(usage.cpu if usage else None),
            text.percent(usage.mem if usage else None),
            text.size(usage.rss if usage else None),
            text.age(self.age),
        )

    def cpu_graph(self, width: int) -> str:
        """The CPU of the last minutes; a full bar is a core, or the most that was used."""
        return graph(self.usage.cpus.values, width, _FULL_CORE) if self.usage else " " * width

    def mem_graph(self, width: int) -> str:
        """The memory of the last minutes; a full bar is the most that was used."""
        return graph(self.usage.mems.values, width) if self.usage else " " * width


class View:
    """What of the model is shown: which watchers are open, the order, and the filter."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.order = "name"
        self.reverse = False
        self.filter = ""

    def next_order(self) -> None:
        """Sort by what follows."""
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]

    def fold(self, watcher: str) -> None:
        """Open a watcher, or close it."""
        self.open ^= {watcher}

    def rows(self, model: Model, now: float | None = None) -> list[Row]:
        """Return the lines, in order."""
        moment = time.time() if now is None else now
        found: list[Row] = []
        for row in self._sorted(list(_watchers(model, moment))):
            if not self._chosen(row):
                continue
            found.append(row._replace(label=("▾ " if row.watcher in self.open else "▸ ") + row.label))
            if row.watcher in self.open:
                found += self._sorted(list(_processes(model, row, moment)))
        return found

    def _chosen(self, row: Row) -> bool:
        wanted = self.filter.lower()
        return wanted in row.watcher.lower() or wanted in row.state

    def _sorted(self, rows: list[Row]) -> list[Row]:
        keys: dict[str, Callable[[Row], Any]] = {
            "name": lambda row: 0,
            "cpu": lambda row: -((row.usage and row.usage.cpu) or 0.0),
            "mem": lambda row: -((row.usage and row.usage.mem) or 0.0),
            "age": lambda row: -(row.age or 0.0),
            "restarts": lambda row: -(row.restarts or 0),
            "state": lambda row: (not row.is_bad, row.state),
        }
        key = keys[self.order]
        ordered = sorted(rows, key=lambda row: (key(row), _is_own(row), row.watcher.lower(), row.wid or 0))
        return ordered[::-1] if self.reverse else ordered


def _is_own(row: Row) -> bool:
    """Whether it belongs to Circus itself, and so behind what it is there for."""
    return is_plugin(row.watcher) or (row.watcher == OWN and not row.state)


def _watchers(model: Model, now: float) -> Iterator[Row]:
    for name, detail in model.watchers.items():
        yield _watcher(model, name, detail, now)
    known = {topic_name(name) for name in model.watchers}
    for topic, usage in model.totals.items():
        if topic not in known and model.fresh(usage, now):
            state = "" if topic == OWN else "unknown"
            yield Row(topic, None, None, state, "", None, len(usage.pids), None, usage, usage.age, topic)


def _watcher(model: Model, name: str, detail: Json, now: float) -> Row:
    usage = model.totals.get(topic_name(name))
    processes = [process for process in detail.get("processes", ()) if process.get("pid")]
    if usage is None and is_plugin(name) and processes:
        usage = model.processes.get(processes[0]["pid"])  # it is one of circusd's helpers
    ages = [now - process["since"] for process in processes if process.get("since")]
    return Row(
        watcher=name,
        wid=None,
        pid=None,
        state=detail.get("detail") or str(detail.get("state", "")),
        reason=text.harmless(str(detail.get("reason") or "")),
        wanted=detail.get("wanted"),
        running=int(detail.get("running", 0)),
        restarts=detail.get("restarts"),
        usage=usage if model.fresh(usage, now) else None,
        age=max(ages) if ages else None,
        label=name,
    )


def _processes(model: Model, row: Row, now: float) -> Iterator[Row]:
    if row.watcher not in model.watchers:
        total = model.totals.get(row.watcher)
        for pid in total.pids if total else ():
            yield _process(model, row, {"wid": 0, "pid": pid, "state": ""}, now, model.names.get(pid, ""))
        return
    for process in model.watchers[row.watcher].get("processes", ()):
        yield _process(model, row, process, now, f"slot {process.get('wid')}")


def _process(model: Model, row: Row, process: Json, now: float, place: str) -> Row:
    pid = process.get("pid")
    usage = model.processes.get(pid) if pid else None
    since = process.get("since") if pid else None
    return Row(
        watcher=row.watcher,
        wid=int(process.get("wid") or 0),
        pid=pid,
        state=str(process.get("state", "")),
        reason=text.harmless(_why(process, now)),
        wanted=None,
        running=0,
        restarts=None,
        usage=usage if model.fresh(usage, now) else None,
        age=now - since if since else usage.age if usage else None,
        label=f"    {pid or text.UNKNOWN} {place}".rstrip(),
    )


def _why(process: Json, now: float) -> str:
    """What a slot waits for, or how its last process ended."""
    parts = []
    if process.get("next_try"):
        parts.append(f"next try in {text.age(process['next_try'] - now)}")
    if process.get("status_text"):
        parts.append(f"says: {process['status_text']}")
    if process.get("last_error"):
        parts.append(f"last error: {process['last_error']}")
    exits = process.get("last_exits") or ()
    if exits and isinstance(exits[-1].get("exit_code"), int):
        parts.append(f"the one before: {describe_exit(exits[-1]['exit_code'])}")
    return ", ".join(parts)
