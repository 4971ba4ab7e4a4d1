from __future__ import annotations

from typing import Any

from circus.events import Event
from circus.top.history import KEPT
from circus.top.model import EVENTS, Model

SUM = {"pid": [7, 8], "cpu": 10.0, "cpu_sum": 20.0, "mem": 1.5, "rss": 4096, "age": 12.0}
ONE = {"pid": 7, "cpu": 15.0, "mem": 1.0, "rss": 2048, "age": 12.0, "subtopic": 7, "name": None}


def status(**details: Any) -> dict[str, Any]:
    return {"status": "ok", "details": details}


def test_sums_and_processes() -> None:
    model = Model()
    model.take_stats("web", None, SUM, 100.0)
    model.take_stats("web", "7", ONE, 100.0)
    assert (model.totals["web"].cpu, model.totals["web"].rss, model.totals["web"].pids) == (20.0, 4096, [7, 8])
    assert (model.processes[7].cpu, model.processes[7].rss) == (15.0, 2048)
    assert model.stats.up


def test_what_is_not_available_is_unknown() -> None:
    model = Model()
    model.take_stats("web", None, {"pid": [], "cpu": "N/A", "cpu_sum": "N/A", "mem": "N/A", "age": "N/A"}, 100.0)
    assert (model.totals["web"].cpu, model.totals["web"].mem, model.totals["web"].rss) == (None, None, None)


def test_processes_are_forgotten_after_the_timeout() -> None:
    model = Model(process_timeout=3)
    model.take_stats("circus", "9", {**ONE, "name": "circusd"}, 100.0)
    model.forget(102.9)
    assert model.names == {9: "circusd"}
    model.forget(103.1)
    assert not model.processes
    assert not model.names


def test_a_watcher_keeps_its_past_as_long_as_it_is_there() -> None:
    model = Model(process_timeout=3)
    model.take_status(status(**{"My Web": {}}))
    model.take_stats("my_web", None, SUM, 100.0)
    model.forget(200.0)
    assert list(model.totals) == ["my_web"]
    assert not model.fresh(model.totals["my_web"], 200.0)
    model.take_status(status())
    model.forget(200.0)
    assert not model.totals


def test_hits_are_counted_and_named() -> None:
    model = Model()
    for reads in (2, 3):
        model.take_stats("sockets", "5", {"fd": 5, "subtopic": 5, "address": "127.0.0.1:80", "reads": reads}, 100.0)
    model.take_stats("sockets", None, {"addresses": ["127.0.0.1:80"], "reads": 3}, 100.0)
    assert not model.totals
    hits = model.sockets["5"]
    assert (hits.reads, hits.last, hits.name) == (5, 3, "")
    model.take_sockets({"sockets": [{"fd": 5, "name": "http", "host": "127.0.0.1", "port": 80}, {"fd": -1}]})
    assert (model.sockets["5"].name, model.sockets["5"].reads) == ("http", 5)
    model.take_sockets({"sockets": [{"fd": 6, "name": "unix", "path": "/run/x"}]})
    assert [(number, hits.address) for number, hits in model.sockets.items()] == [("6", "/run/x")]


def test_a_watcher_named_sockets_is_a_watcher() -> None:
    model = Model()
    model.take_stats("sockets", None, SUM, 100.0)
    model.take_stats("sockets", "7", ONE, 100.0)
    assert list(model.totals) == ["sockets"]
    assert list(model.processes) == [7]
    assert not model.sockets


def test_memory_is_bounded() -> None:
    model = Model(process_timeout=3)
    for second in range(1000):
        for name in ("web", "other"):
            model.take_stats(name, None, SUM, second)
        model.take_stats("web", str(10_000 + second), ONE, second)  # another process each second
        model.take_event(Event("watcher.web.spawn", {"seq": second}))
        model.forget(second)
    assert len(model.processes) <= 4
    assert len(model.totals["web"].cpus.values) == KEPT
    assert len(model.events) == EVENTS


def test_a_link_says_what_is_wrong_until_it_is_right() -> None:
    link = Model().daemon
    link.lose("gone")
    assert (link.up, link.trouble) == (False, "gone")
    link.hear(1.0)
    assert (link.up, link.trouble, link.heard) == (True, "", 1.0)
