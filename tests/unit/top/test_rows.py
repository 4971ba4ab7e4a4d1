from __future__ import annotations

from typing import Any

import pytest

from circus.top.model import Model
from circus.top.rows import ORDERS, View

NOW = 1000.0


def detail(state: str = "active", since: float = NOW - 5, pid: int = 1, **more: Any) -> dict[str, Any]:
    process = {"wid": 1, "pid": pid, "state": "running", "since": since, "last_exits": []}
    return {
        "state": state,
        "detail": "",
        "reason": "",
        "wanted": 1,
        "running": 1,
        "restarts": 0,
        "processes": [process],
    } | more


@pytest.fixture
def model() -> Model:
    found = Model()
    found.take_status(
        {
            "details": {
                "web": detail(pid=1, since=NOW - 60),
                "Big": detail(pid=2, restarts=4),
                "bad": detail(detail="backoff", reason="its processes end\x1b[2J", pid=3, since=NOW - 1),
                "plugin:flapping": detail(pid=4),
            }
        }
    )
    for name, pid, cpu, mem in (("web", 1, 10.0, 3.0), ("big", 2, 80.0, 2.0), ("bad", 3, 0.0, 1.0)):
        data = {"cpu": cpu, "cpu_sum": cpu, "mem": mem, "rss": 1024, "age": 5.0}
        found.take_stats(name, None, {**data, "pid": [pid]}, NOW)
        found.take_stats(name, str(pid), {**data, "pid": pid, "name": None}, NOW)
    return found


def names(view: View, model: Model) -> list[str]:
    return [row.watcher for row in view.rows(model, NOW)]


@pytest.mark.parametrize(
    "order,expected",
    [
        ("name", ["bad", "Big", "web", "plugin:flapping"]),
        ("cpu", ["Big", "web", "bad", "plugin:flapping"]),
        ("mem", ["web", "Big", "bad", "plugin:flapping"]),
        ("age", ["web", "Big", "plugin:flapping", "bad"]),
        ("restarts", ["Big", "bad", "web", "plugin:flapping"]),
        ("state", ["bad", "Big", "web", "plugin:flapping"]),
    ],
)
def test_orders(model: Model, order: str, expected: list[str]) -> None:
    view = View()
    view.order = order
    assert names(view, model) == expected
    view.reverse = True
    assert names(view, model) == expected[::-1]


def test_all_orders_in_turn() -> None:
    view = View()
    seen = []
    for _ in ORDERS:
        seen.append(view.order)
        view.next_order()
    assert tuple(seen) == ORDERS
    assert view.order == ORDERS[0]


def test_filter_by_name_and_state(model: Model) -> None:
    view = View()
    view.filter = "B"
    assert names(view, model) == ["bad", "Big", "web"]
    view.filter = "backoff"
    assert names(view, model) == ["bad"]


def test_cells(model: Model) -> None:
    rows = {row.watcher: row for row in View().rows(model, NOW)}
    assert rows["web"].cells() == ("▸ web", "active", "1/1", "0", "10.0", "3.0", "1.00K", "1m00s")
    assert rows["bad"].is_bad
    assert rows["bad"].reason == "its processes end·[2J"
    assert rows["plugin:flapping"].cells()[4:7] == ("-", "-", "-")


def test_what_is_told_no_longer_is_unknown(model: Model) -> None:
    [row] = [row for row in View().rows(model, NOW + 10) if row.watcher == "web"]
    assert row.usage is None


def test_an_open_watcher_shows_its_slots(model: Model) -> None:
    slot = {"wid": 2, "pid": None, "state": "backoff", "since": None, "next_try": NOW + 3, "last_error": "no such file"}
    slot["last_exits"] = [{"exit_code": -9, "time": NOW}]
    model.watchers["web"]["processes"].append(slot)
    view = View()
    view.fold("web")
    rows = [row for row in view.rows(model, NOW) if row.watcher == "web"]
    assert [row.cells()[0] for row in rows] == ["▾ web", "    1 slot 1", "    - slot 2"]
    assert len({row.key for row in rows}) == 3
    assert rows[1].cells()[4] == "10.0"
    assert rows[2].reason == "next try in 3s, last error: no such file, the one before: killed by SIGKILL"
    view.fold("web")
    assert len(view.rows(model, NOW)) == 4


def test_without_circusd_there_is_what_the_statistics_tell(model: Model) -> None:
    model.forget_daemon()
    model.take_stats("circus", None, {"pid": [9], "cpu_sum": 1.0, "mem": 1.0}, NOW)
    model.take_stats("circus", "9", {"pid": 9, "cpu": 1.0, "name": "circusd"}, NOW)
    view = View()
    view.open = {"circus"}
    rows = view.rows(model, NOW)
    assert [(row.watcher, row.state) for row in rows if row.wid is None] == [
        ("bad", "unknown"),
        ("big", "unknown"),
        ("web", "unknown"),
        ("circus", ""),
    ]
    assert [row.label.strip() for row in rows if row.wid is not None] == ["9 circusd"]
