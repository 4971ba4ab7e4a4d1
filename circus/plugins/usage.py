"""What processes use, and whether that is within limits. Pure: it is given the replies of ``stats``, and the times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from circus import kinds
from circus.kinds import Memory
from circus.util import human_size


class Usage(NamedTuple):
    """What one process uses: percent of a core, percent of the machine's memory, bytes; None for what is not known."""

    cpu: float | None
    mem: float | None
    size: float | None

    def memory(self, limit: Memory) -> float | None:
        """The memory in the unit of a limit."""
        return self.size if limit.absolute else self.mem


class Limits(NamedTuple):
    """What a process may use at most and should use at least; None: no limit."""

    max_cpu: float | None = None
    min_cpu: float | None = None
    max_mem: Memory | None = None
    min_mem: Memory | None = None
    health: float | None = None


class Meter:
    """Measures the use of CPU from one look to the next.

    The percentage in ``stats`` is that since anybody's last look. Here it is computed from the time that a process has
    had since the look before, so that others do not disturb it.
    """

    def __init__(self) -> None:
        self._before: dict[int, tuple[float, float, float]] = {}
        self._now: dict[int, tuple[float, float, float]] = {}

    def measure(self, info: Mapping[str, Any], mono: float) -> Usage:
        """Return what a process uses; its CPU is not known at the first look."""
        cpu, pid = None, info["pid"]
        spent, born = _seconds(info["ctime"]), _number(info["create_time"])
        if spent is not None and born is not None:
            self._now[pid] = (born, spent, mono)
            before = self._before.get(pid)
            if before is not None and before[0] == born and mono > before[2]:
                cpu = (spent - before[1]) / (mono - before[2]) * 100
        return Usage(cpu, _number(info["mem"]), _bytes(info["mem_info1"]))

    def end_look(self) -> None:
        """Forget the processes that were not met in this look."""
        self._before, self._now = self._now, {}


class Tally:
    """Counts how often in a row something was found outside of each limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._counts: dict[Hashable, Counter[str]] = {}

    def count(self, found: Mapping[Hashable, Iterable[str]]) -> dict[Hashable, list[str]]:
        """Take the result of a look; return for whom which limits were exceeded more than ``most`` times in a row.

        For these it begins anew. Whoever is not in the result is forgotten.
        """
        self._counts = {
            who: Counter({limit: self._counts.get(who, Counter())[limit] + 1 for limit in limits})
            for who, limits in found.items()
        }
        beyond: dict[Hashable, list[str]] = {}
        for who, counts in self._counts.items():
            if any(number > self.most for number in counts.values()):
                beyond[who] = [limit for limit, number in counts.items() if number > self.most]
                counts.clear()
        return beyond


def outside(usages: Iterable[Usage], limits: Limits) -> dict[str, str]:
    """Return the limits outside of which one of the processes is, each with a text that tells by how much."""
    found: dict[str, str] = {}
    for usage in usages:
        found |= _outside_cpu(usage.cpu, limits) | _outside_memory(usage, limits)
        if limits.health is not None and usage.cpu is not None and usage.mem is not None:
            health = (usage.cpu + usage.mem) / 2
            if health > limits.health:
                found["over_health"] = f"{health:.1f} % on average of CPU and memory, the limit is {limits.health:g} %"
    return found


def _outside_cpu(cpu: float | None, limits: Limits) -> dict[str, str]:
    found = {}
    if cpu is not None and limits.max_cpu is not None and cpu > limits.max_cpu:
        found["over_cpu"] = f"{cpu:.1f} % of CPU, the limit is {limits.max_cpu:g} %"
    # At a minimum of 0, who does nothing at all is outside.
    if cpu is not None and limits.min_cpu is not None and cpu <= limits.min_cpu:
        found["under_cpu"] = f"{cpu:.1f} % of CPU, more than {limits.min_cpu:g} % is expected"
    return found


def _outside_memory(usage: Usage, limits: Limits) -> dict[str, str]:
    found = {}
    if limits.max_mem is not None:
        amount = usage.memory(limits.max_mem)
        if amount is not None and amount > limits.max_mem.amount:
            found["over_memory"] = f"{_amount(amount, limits.max_mem)}, the limit is {_limit(limits.max_mem)}"
    if limits.min_mem is not None:
        amount = usage.memory(limits.min_mem)
        if amount is not None and amount <= limits.min_mem.amount:
            found["under_memory"] = f"{_amount(amount, limits.min_mem)}, more than {_limit(limits.min_mem)} is expected"
    return found


def _limit(limit: Memory) -> str:
    return _amount(limit.amount, limit)


def _amount(amount: float, limit: Memory) -> str:
    return f"{human_size(amount)} of memory" if limit.absolute else f"{amount:g} % of memory"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _seconds(text: object) -> float | None:
    """Read time on the CPU such as ``1:02.50``; None for what could not be read."""
    minutes, colon, seconds = text.partition(":") if isinstance(text, str) else ("", "", "")
    return int(minutes) * 60 + float(seconds) if colon else None


def _bytes(text: object) -> float | None:
    try:
        return kinds.memory(text).amount if isinstance(text, str) else None
    except ValueError:
        return None
