"""What the processes of a watcher use together."""

from __future__ import annotations

import pytest

from circus.plugins.statsd import summary

GONE = "No such process (stopped?)"


def info(**values: object) -> dict[str, object]:
    """What the command ``stats`` tells of a process."""
    return {"cpu": 1.0, "mem": 0.5, "mem_info1": "1.50M", **values}


def test_the_most_and_the_sum_are_found() -> None:
    assert summary([info(cpu=2.5, mem=0.25, mem_info1="512B"), info(cpu=1.25, mem=0.5, mem_info1="2.00K")]) == {
        "watchers_num": 2,
        "cpu_max": 2.5,
        "cpu_sum": 3.75,
        "mem_pct_max": 0.5,
        "mem_pct_sum": 0.75,
        "mem_max": 2048,
        "mem_sum": 2560,
    }


def test_without_processes_all_is_zero() -> None:
    assert set(summary([]).values()) == {0}


def test_a_process_that_has_just_gone_counts_for_nothing() -> None:
    assert summary([GONE, info()]) == summary([info()])


@pytest.mark.parametrize("key", ["cpu", "mem", "mem_info1"])
def test_what_could_not_be_read_is_left_out(key: str) -> None:
    one, both = summary([info()]), summary([info(), info(**{key: "N/A"})])
    name = {"cpu": "cpu", "mem": "mem_pct", "mem_info1": "mem"}[key]
    assert both["watchers_num"] == 2
    assert both[f"{name}_sum"] == one[f"{name}_sum"]
    assert both["cpu_sum" if name != "cpu" else "mem_sum"] == 2 * one["cpu_sum" if name != "cpu" else "mem_sum"]


def test_sums_have_no_more_digits_than_what_is_summed() -> None:
    assert summary([info(mem=0.1), info(mem=0.2)])["mem_pct_sum"] == 0.3
