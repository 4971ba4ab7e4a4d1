"""What is kept of all processes, and how it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from circus.stream import kept as module
from circus.stream.kept import Kept
from circus.stream.live import Live


@pytest.fixture
def kept() -> Any:
    loop = asyncio.new_event_loop()
    yield Kept(Live(loop, lambda topic, data: None))
    loop.close()


def told(kept: Kept, *watchers: str, lines: int = 10, only: str = "") -> list[tuple[int, bool, list[str]]]:
    reply = kept.tell(watchers, lines, only, pieces=False)
    return [(entry["pid"], entry["alive"], [line["text"] for line in entry["lines"]]) for entry in reply]


def test_lines_and_pieces(kept: Kept) -> None:
    output = kept.begin("Web", 1, 100)
    for stream, data in [("stdout", b"a\nb"), ("stderr", b"\xff\n"), ("stdout", b"c\nd")]:
        output.take(stream, data)
    whose = {"watcher": "Web", "wid": 1, "pid": 100, "started": output.started, "alive": True, "offset": 8}
    assert kept.tell(["web"], 3, "", pieces=False) == [
        {
            **whose,
            "lines": [
                {"stream": "stderr", "text": "\udcff"},
                {"stream": "stdout", "text": "bc"},
                {"stream": "stdout", "text": "d", "partial": True},
            ],
        }
    ]
    assert kept.tell(["web"], 3, "", pieces=True) == [
        {
            **whose,
            "pieces": [
                {"stream": "stdout", "offset": 2, "data": "b"},
                {"stream": "stderr", "offset": 3, "data": "\udcff\n"},
                {"stream": "stdout", "offset": 5, "data": "c\nd"},
            ],
        }
    ]
    assert told(kept, "web", only="stderr") == [(100, True, ["\udcff"])]


def test_the_last_dead_process_of_each_slot_stays_and_is_told_first(kept: Kept) -> None:
    for watcher, wid, pid in [("web", 2, 20), ("web", 1, 10), ("web", 1, 11), ("db", 1, 30), ("web", 1, 12)]:
        kept.begin(watcher, wid, pid).take("stdout", f"{pid}\n".encode())
        if pid in (10, 11):
            assert kept.died(pid) is not None
    assert kept.died(99) is None
    assert told(kept, "web") == [(11, False, ["11"]), (12, True, ["12"]), (20, True, ["20"])]
    assert [entry[0] for entry in told(kept, "db", "web")] == [30, 11, 12, 20]
    kept.forget("Web")
    assert [entry[0] for entry in told(kept, "web")] == [12, 20]


def test_a_watcher_is_forgotten_by_its_name_in_topics_too(kept: Kept) -> None:
    kept.begin("My Web", 1, 10).take("stdout", b"10\n")
    kept.died(10)
    kept.forget("my_web")
    assert told(kept, "My Web") == []


def test_a_reply_has_an_end(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPLY_SIZE", 100)
    monkeypatch.setattr(module, "REPLY_LINES", 8)
    monkeypatch.setattr(module, "LEAST_SIZE", 10)
    monkeypatch.setattr(module, "LEAST_LINES", 1)
    kept.begin("web", 1, 1).take("stdout", b"0123456789\n" * 100)
    assert len(told(kept, "web", lines=1000)[0][2]) == 8
    for pid in range(2, 5):
        kept.begin("web", pid, pid).take("stdout", b"0123456789\n" * 100)
    assert [len(lines) for _, _, lines in told(kept, "web", lines=1000)] == [2] * 4
    monkeypatch.setattr(module, "REPLY_SIZE", 40)
    assert [lines for _, _, lines in told(kept, "web", lines=1000)] == [["0123456789"]] * 4


def test_all_dead_processes_share_a_limit(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEAD_SIZE", 25)
    monkeypatch.setattr(module, "WEIGHED_EACH", 1)
    for pid in (1, 2, 3):
        kept.begin("web", pid, pid).take("stdout", b"123456789\n")
        kept.died(pid)
    assert [entry[0] for entry in told(kept, "web")] == [2, 3]


def test_last_words(kept: Kept) -> None:
    output = kept.begin("web", 1, 1)
    output.take("stdout", b"".join(b"%d\n" % number for number in range(30)) + b"end")
    assert output.last_words() == [*map(str, range(11, 30)), "end"]
    output.take("stderr", b"x" * 9999)
    assert output.last_words() == ["x" * 4096]
