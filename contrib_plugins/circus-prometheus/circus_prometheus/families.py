"""From circusd's replies to families of metrics, without any input or output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Families = list[Metric]

STATES = ("stopped", "starting", "active", "stopping")
"""What the state of a watcher may be."""

_UNITS: dict[str, int] = {unit: 1024**power for power, unit in enumerate("BKMGTPEZY")}


def up(answers: bool) -> Metric:
    """Return whether circusd answers."""
    return GaugeMetricFamily("circus_up", "Whether circusd has answered.", value=float(answers))


def of_watchers(watchers: Mapping[str, Mapping[str, Any]]) -> Families:
    """Return what is known of watchers as such, from the reply of the command ``snapshot``."""
    wanted = GaugeMetricFamily(
        "circus_watcher_processes_wanted", "How many processes it should have.", labels=["watcher"]
    )
    present = GaugeMetricFamily("circus_watcher_processes", "How many processes it has.", labels=["watcher"])
    state = GaugeMetricFamily("circus_watcher_state", "1 for the state it is in.", labels=["watcher", "state"])
    for name, watcher in watchers.items():
        wanted.add_metric([name], watcher["numprocesses"])
        present.add_metric([name], sum(1 for process in watcher["processes"] if process["pid"]))
        for known in STATES:
            state.add_metric([name, known], float(watcher["state"] == known))
    return [wanted, present, state]


def of_processes(infos: Mapping[str, Mapping[str, Any]]) -> Families:
    """Return what processes use, from the reply of the command ``stats``.

    A process is named by its slot, which it leaves to its successor. While a reload replaces it, there are two of one
    slot for a moment: the younger one counts, as no metric may be there twice.
    """
    labels = ["watcher", "wid"]
    cpu = CounterMetricFamily("circus_process_cpu_seconds", "CPU time of the process, user and system.", labels=labels)
    memory = GaugeMetricFamily("circus_process_resident_memory_bytes", "Its resident memory.", labels=labels)
    started = GaugeMetricFamily("circus_process_start_time_seconds", "When it was started.", labels=labels)
    for name, processes in infos.items():
        for wid, info in _youngest(processes).items():
            for family, value in (
                (cpu, cpu_seconds(info.get("ctime"))),
                (memory, size(info.get("mem_info1"))),
                (started, info.get("started")),
            ):
                if value is not None:
                    family.add_metric([name, str(wid)], value)
    return [cpu, memory, started]


def cpu_seconds(text: Any) -> float | None:
    """Read ``M:SS.cc``; None for what circusd could not find out."""
    minutes, colon, seconds = str(text).rpartition(":")
    try:
        return round(int(minutes) * 60 + float(seconds), 2) if colon else None
    except ValueError:
        return None


def size(text: Any) -> float | None:
    """Read bytes written as ``1.47M`` or ``512B``; None for what circusd could not find out."""
    text = str(text)
    try:
        return round(float(text[:-1]) * _UNITS[text[-1]])
    except (ValueError, KeyError, IndexError):
        return None


def _youngest(processes: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return the info of each slot; a process that has just gone stands there as a text."""
    infos = [info for info in processes.values() if isinstance(info, Mapping)]
    return {info["wid"]: info for info in sorted(infos, key=lambda info: info["started"])}
