"""From circusd's replies to metrics."""

from __future__ import annotations

from typing import Any

import pytest
from circus_prometheus.counts import Counts
from circus_prometheus.families import cpu_seconds, of_processes, of_watchers, size

from circus.events import Event


def event(watcher: str, action: str, **data: Any) -> Event:
    return Event(f"watcher.{watcher}.{action}", data)


def samples(families: list[Any]) -> dict[tuple[str, ...], float]:
    found = {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}
    assert len(found) == sum(len(family.samples) for family in families), "nothing is there twice"
    return found


@pytest.mark.parametrize(
    ("text", "seconds"), [("0:00.12", 0.12), ("1:02.50", 62.5), ("120:00.00", 7200), ("N/A", None), (None, None)]
)
def test_cpu_seconds(text: str | None, seconds: float | None) -> None:
    assert cpu_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "amount"), [("512B", 512), ("1.50K", 1536), ("2.00G", 2 << 30), ("N/A", None), ("", None), (None, None)]
)
def test_size(text: str | None, amount: float | None) -> None:
    assert size(text) == amount


def test_of_two_processes_of_one_slot_the_younger_counts() -> None:
    old = {"wid": 1, "started": 100.0, "ctime": "9:00.00", "mem_info1": "9.00M"}
    new = {"wid": 1, "started": 200.0, "ctime": "0:01.00", "mem_info1": "1.00M"}
    for processes in ({"7": old, "8": new}, {"8": new, "7": old}):
        found = samples(of_processes({"web": processes}))
        assert found["circus_process_cpu_seconds_total", "web", "1"] == 1
        assert found["circus_process_start_time_seconds", "web", "1"] == 200


def test_what_circusd_could_not_find_out_is_left_out() -> None:
    gone = "No such process (stopped?)"
    unread = {"wid": 2, "started": 5.0, "ctime": "N/A", "mem_info1": "N/A"}
    assert samples(of_processes({"web": {"7": gone, "8": unread}})) == {
        ("circus_process_start_time_seconds", "web", "2"): 5.0
    }


def test_a_watcher_is_in_one_state() -> None:
    processes = [{"pid": 7, "wid": 1}, {"pid": None, "wid": 2}]
    found = samples(of_watchers({"web": {"state": "active", "numprocesses": 2, "processes": processes}}))
    assert found["circus_watcher_processes_wanted", "web"] == 2
    assert found["circus_watcher_processes", "web"] == 1
    states = {key[2]: value for key, value in found.items() if key[0] == "circus_watcher_state"}
    assert states == {"active": 1, "starting": 0, "stopped": 0, "stopping": 0}


def test_counters_have_the_names_of_the_configuration_and_begin_with_zero() -> None:
    counts = Counts()
    counts.know({"watchers": {"My Web": {}}})
    assert samples(counts.families()) == {("circus_unexpected_exits_total", "My Web"): 0}
    counts.add(event("my_web", "reap", reason="exited"))
    counts.add(event("my_web", "reap", reason="stop"))
    assert samples(counts.families()) == {
        ("circus_unexpected_exits_total", "My Web"): 1,
        ("circus_events_total", "My Web", "reap"): 2,
    }


def test_a_removed_watcher_is_shown_once_more() -> None:
    counts = Counts()
    counts.know({"watchers": {"web": {}, "db": {}}})
    for action in ("remove", "reap", "stop"):
        counts.add(event("web", action))
    counts.know({"watchers": {"db": {}}})
    assert ("circus_events_total", "web", "stop") in samples(counts.families())
    assert samples(counts.families()) == {("circus_unexpected_exits_total", "db"): 0}


def test_a_watcher_that_comes_back_is_kept() -> None:
    counts = Counts()
    counts.add(event("web", "remove"))
    counts.add(event("web", "add"))
    counts.families()
    assert ("circus_events_total", "web", "add") in samples(counts.families())
