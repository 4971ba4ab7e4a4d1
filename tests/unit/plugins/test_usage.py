"""What processes use, what is outside of a limit, and how often in a row."""

from __future__ import annotations

from typing import Any

import pytest

from circus.kinds import Memory
from circus.plugins.usage import Limits, Meter, Tally, Usage, outside

PERCENT_50 = Memory(50.0, absolute=False)
MEGABYTES_10 = Memory(10 * 1024**2, absolute=True)


def info(ctime: Any, pid: int = 7, born: Any = 1.5, **more: Any) -> dict[str, Any]:
    return {"pid": pid, "ctime": ctime, "create_time": born, "mem": 2.5, "mem_info1": "1.50M", "cpu": 0.0, **more}


def looks(meter: Meter, *infos: tuple[float, dict[str, Any]]) -> list[Usage]:
    usages = []
    for mono, entry in infos:
        usages.append(meter.measure(entry, mono))
        meter.end_look()
    return usages


def test_cpu_is_measured_from_look_to_look() -> None:
    first, second, third = looks(Meter(), (10.0, info("0:58.00")), (14.0, info("1:01.00")), (16.0, info("1:01.00")))
    assert first.cpu is None, "nobody knows since when"
    assert (second.cpu, third.cpu) == (75.0, 0.0)
    assert (first.mem, first.size) == (2.5, 1.5 * 1024**2)


def test_a_pid_that_another_process_has_got_begins_anew() -> None:
    _, second = looks(Meter(), (10.0, info("9:00.00")), (11.0, info("0:00.10", born=9.0)))
    assert second.cpu is None


def test_a_process_that_was_not_met_in_between_begins_anew() -> None:
    meter = Meter()
    looks(meter, (10.0, info("0:01.00")))
    meter.end_look()
    assert looks(meter, (12.0, info("0:02.00")))[0].cpu is None


def test_what_cannot_be_read_is_not_known() -> None:
    meter = Meter()
    entry = info("N/A", born="N/A", mem="N/A", mem_info1="N/A")
    assert looks(meter, (10.0, entry), (11.0, entry))[1] == Usage(None, None, None)


@pytest.mark.parametrize(
    ("usage", "limits", "expected"),
    [
        (Usage(90.1, 1.0, 1.0), Limits(max_cpu=90.0), {"over_cpu"}),
        (Usage(90.0, 1.0, 1.0), Limits(max_cpu=90.0), set()),
        (Usage(5.1, 1.0, 1.0), Limits(min_cpu=5.0), set()),
        (Usage(5.0, 1.0, 1.0), Limits(min_cpu=5.0), {"under_cpu"}),
        (Usage(0.0, 1.0, 1.0), Limits(min_cpu=0.0), {"under_cpu"}),
        (Usage(0.1, 1.0, 1.0), Limits(min_cpu=0.0), set()),
        (Usage(0.0, 1.0, 1.0), Limits(), set()),
        (Usage(0.0, 50.1, 1.0), Limits(max_mem=PERCENT_50), {"over_memory"}),
        (Usage(0.0, 50.0, 1e12), Limits(max_mem=PERCENT_50), set()),
        (Usage(0.0, 1.0, 11e6), Limits(max_mem=MEGABYTES_10), {"over_memory"}),
        (Usage(0.0, 99.0, 10e6), Limits(max_mem=MEGABYTES_10), set()),
        (Usage(0.0, 99.0, 10e6), Limits(min_mem=MEGABYTES_10), {"under_memory"}),
        (Usage(0.0, 0.1, 11e6), Limits(min_mem=MEGABYTES_10), set()),
        (Usage(0.0, 50.0, 1e12), Limits(min_mem=PERCENT_50), {"under_memory"}),
        (Usage(80.0, 71.0, 1.0), Limits(health=75.0), {"over_health"}),
        (Usage(80.0, 70.0, 1.0), Limits(health=75.0), set()),
        (Usage(None, None, None), Limits(0.0, 100.0, PERCENT_50, PERCENT_50, 0.0), set()),
    ],
)
def test_what_is_outside(usage: Usage, limits: Limits, expected: set[str]) -> None:
    assert set(outside([usage], limits)) == expected


def test_one_process_outside_is_enough() -> None:
    busy, idle = Usage(95.0, 1.0, 1.0), Usage(1.0, 1.0, 1.0)
    for usages in ([busy, idle], [idle, busy]):
        assert set(outside(usages, Limits(max_cpu=90.0, min_cpu=2.0))) == {"over_cpu", "under_cpu"}
        assert "95.0 %" in outside(usages, Limits(max_cpu=90.0))["over_cpu"]


def test_a_size_is_told_as_one() -> None:
    found = outside([Usage(None, None, 261 * 1024**2)], Limits(max_mem=Memory(250 * 1024**2, absolute=True)))
    assert found == {"over_memory": "261.00M of memory, the limit is 250.00M of memory"}


def counted(tally: Tally, *looks: str) -> list[list[str]]:
    """What each look leads to, for limits that are written as words."""
    return [tally.count({"w": words.split()}).get("w", []) for words in looks]


def test_more_than_so_many_times_in_a_row_are_too_many() -> None:
    assert counted(Tally(2), "a", "a", "a", "a", "a", "a") == [[], [], ["a"], [], [], ["a"]]


def test_a_look_inside_begins_anew() -> None:
    assert counted(Tally(2), "a", "a", "", "a", "a", "a") == [[], [], [], [], [], ["a"]]


def test_each_limit_is_counted_by_itself() -> None:
    assert counted(Tally(2), "a", "b", "a", "b", "a b", "b") == [[], [], [], [], [], ["b"]]


def test_with_zero_the_first_time_is_too_often() -> None:
    assert counted(Tally(0), "", "a") == [[], ["a"]]


def test_each_child_is_counted_by_itself_and_forgotten_when_it_is_gone() -> None:
    tally = Tally(1)
    assert tally.count({"x": ["a"], "y": []}) == {}
    assert tally.count({"y": ["a"]}) == {}
    assert tally.count({"x": ["a"], "y": ["a"]}) == {"y": ["a"]}
