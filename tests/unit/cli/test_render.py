"""The tables of ``circusctl status`` and ``circusctl plugins`` in terminals of any width."""

from __future__ import annotations

from typing import Any

import pytest

from circus.cli.render import plugins_table, status_table


def detail(pids: list[int], reason: str = "") -> dict[str, Any]:
    return {
        "state": "active" if pids else "stopped",
        "detail": "",
        "reason": reason,
        "wanted": len(pids),
        "running": len(pids),
        "restarts": 0,
        "processes": [{"pid": pid, "since": 40.0} for pid in pids],
    }


def table(width: int, **details: dict[str, Any]) -> list[str]:
    return status_table({"time": 100.0, "details": details}, colour=False, width=width).splitlines()


def test_a_wide_terminal_has_the_reason_beside() -> None:
    lines = table(120, web=detail([10001, 10002, 10003, 10004, 10005]), x=detail([], "nobody has started it"))
    assert lines == [
        "NAME  STATE    PROCESSES  RESTARTS  AGE    PIDS                        REASON",
        "web   active   5/5        0         1m00s  10001 10002 10003 10004 +1",
        "x     stopped  0/0        0         -      -                           nobody has started it",
    ]


@pytest.mark.parametrize(("width", "pids"), [(80, "10001 10002 10003 10004 +1"), (60, "10001 10002 +3")])
def test_a_narrow_terminal_has_it_below(width: int, pids: str) -> None:
    lines = table(width, web=detail([10001, 10002, 10003, 10004, 10005]), x=detail([], "nobody has started it"))
    assert lines == [
        "NAME  STATE    PROCESSES  RESTARTS  AGE    PIDS",
        f"web   active   5/5        0         1m00s  {pids}",
        "x     stopped  0/0        0         -      -",
        "  nobody has started it",
    ]


def test_without_a_reason_there_is_no_column_for_it() -> None:
    assert table(120, web=detail([7]))[0] == "NAME  STATE   PROCESSES  RESTARTS  AGE    PIDS"


def test_a_reason_that_is_too_long_is_folded() -> None:
    lines = table(50, x=detail([], "nobody has started it, and nobody will before the disk is there"))
    assert lines[2:] == ["  nobody has started it, and nobody will before", "  the disk is there"]


RUNNING = {"name": "flapping", "kind": "plugin", "distribution": "circus", "version": "1.0.0", "doc": "Stop it."}
INSTALLED = {"name": "wait", "kind": "hook", "distribution": None, "version": None, "doc": "Wait until it is there."}


@pytest.mark.parametrize("width", [120, 80])
def test_what_a_plugin_does_is_beside_it_or_below(width: int) -> None:
    rows = [RUNNING | {"state": "active", "seq": 123456, "lag": 0, "restarts": 0}, INSTALLED]
    reply = {"plugins": rows, "problems": ["circus-odd 1.0: it is odd"]}
    lines = plugins_table(reply, colour=False, width=width).splitlines()
    head = "NAME      KIND    STATE   SEQ     LAG  RESTARTS  DISTRIBUTION"
    one = "flapping  plugin  active  123456  0    0         circus 1.0.0"
    two = "wait      hook    -       -       -    -         -"
    if width == 120:
        assert lines[:3] == [f"{head}  WHAT IT DOES", f"{one}  Stop it.", f"{two:<63}Wait until it is there."]
    else:
        assert lines[:5] == [head, one, "  Stop it.", two, "  Wait until it is there."]
    assert lines[-1] == "problem: circus-odd 1.0: it is odd"
