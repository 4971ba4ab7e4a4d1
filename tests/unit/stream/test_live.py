"""Output as it comes: whole lines, in order, and what is too much is skipped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.stream import live as module
from circus.stream.live import LONG, MESSAGE, Live, choose
from tests.support import DEADLINE


class Process:
    """One that writes."""

    def __init__(self, pid: int) -> None:
        self.watcher, self.wid, self.pid, self.started = "My Web", 1, pid, 7.5
        self.offset = 0


class Stage:
    """What is published while somebody follows."""

    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.live = Live(asyncio.get_running_loop(), lambda topic, data: self.published.append((topic, data)))
        self.live.look([b"watcher.", b"log."], b"log.")
        self.web = Process(100)

    def write(self, data: bytes, process: Process | None = None, stream: str = "stdout") -> None:
        process = process or self.web
        self.live.feed(process, stream, process.offset, memoryview(data))
        process.offset += len(data)

    async def until(self, condition: Callable[[], Any]) -> None:
        end = asyncio.get_running_loop().time() + DEADLINE
        while not condition():
            assert asyncio.get_running_loop().time() < end
            await asyncio.sleep(0.002)

    async def end(self, process: Process | None = None) -> None:
        process = process or self.web
        self.live.end(process, "stdout", process.offset)
        await self.until(lambda: any(data.get("end") and data["pid"] == process.pid for _, data in self.published))

    def pieces(self) -> list[tuple[int, str]]:
        return [(data["offset"], data["data"]) for _, data in self.published if not data.get("end")]


def on_stage(scenario: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(scenario(Stage()), DEADLINE)

    asyncio.run(run())


def test_what_comes_in_a_round_is_one_message() -> None:
    async def scenario(stage: Stage) -> None:
        stage.write(b"one\nt")
        stage.write(b"wo\n\xc3")
        stage.write(b"oh\n", stream="stderr")
        await stage.end()
        whose = {"watcher": "My Web", "wid": 1, "pid": 100, "started": 7.5}
        assert stage.published == [
            ("log.my_web", {**whose, "stream": "stdout", "offset": 0, "data": "one\ntwo\n\udcc3"}),
            ("log.my_web", {**whose, "stream": "stderr", "offset": 9, "data": "oh\n"}),
            ("log.my_web", {**whose, "stream": "stdout", "offset": 12, "data": "", "end": True}),
        ]

    on_stage(scenario)


def test_nobody_follows() -> None:
    async def scenario(stage: Stage) -> None:
        stage.live.look([b"watcher.", b"log.web"], b"watcher.")
        assert stage.live.wanted
        stage.write(b"lost\n")
        stage.live.look([b"watcher."], b"log.web")
        assert not stage.live.wanted
        stage.write(b"nobody hears it\n")
        stage.live.look([b"log.my_web"], b"log.my_web")
        stage.write(b"this\n")
        await stage.end()
        assert stage.pieces() == [(21, "this\n")]

    on_stage(scenario)


def test_what_waits_at_the_end_is_published() -> None:
    async def scenario(stage: Stage) -> None:
        stage.write(b"last words\n")
        stage.live.close()
        stage.write(b"too late\n")
        assert stage.pieces() == [(0, "last words\n")]

    on_stage(scenario)


def test_too_much_is_skipped_in_whole_lines() -> None:
    async def scenario(stage: Stage) -> None:
        line = b"x" * 1023 + b"\n"
        stage.write(line * 100 + b"half")
        stage.write(b" of a line\nskipped\n")
        await stage.end()
        whole = stage.pieces()
        assert "".join(data for _, data in whole) == line.decode() * 64
        assert max(len(data) for _, data in whole) == MESSAGE
        stage.write(b"\nagain\n")
        await stage.until(lambda: len(stage.pieces()) > len(whole))
        assert stage.pieces()[-1] == (stage.web.offset - 7, "\nagain\n")

    on_stage(scenario)


def test_the_first_lines_of_a_round_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(stage: Stage) -> None:
        monkeypatch.setattr(module, "OF_ROUND", 10)
        processes = [Process(pid) for pid in (1, 2, 3)]
        for process in processes:
            stage.write(b"0123456789\n", process)
        stage.write(b"more\n", processes[0])
        for process in reversed(processes):
            await stage.end(process)
        assert [(data["pid"], data["data"]) for _, data in stage.published if data["data"]] == [
            (1, "0123456789\nmore\n"),
            (2, "0123456789\n"),
            (3, "0123456789\n"),
        ]

    on_stage(scenario)


@given(
    st.lists(st.text("ab\n", min_size=1, max_size=30).map(str.encode), max_size=30), st.integers(0, 60), st.booleans()
)
def test_what_is_chosen_begins_where_a_line_does(writes: list[bytes], room: int, torn: bool) -> None:
    written = (b"" if torn else b"\n") + b"".join(writes)
    offset, end = 0 if torn else 1, 1
    for data in writes:
        begin, taken, torn = choose(data, room, torn)
        assert len(taken) <= room
        assert data[begin : begin + len(taken)] == taken
        at = offset + begin
        assert not taken or at == end or written[at - 1 : at] == b"\n"
        end = at + len(taken) if taken else end
        offset += len(data)


def test_a_line_that_does_not_end_is_cut() -> None:
    assert choose(b"x" * LONG, LONG - 1, False) == (0, b"", True)
    assert choose(b"x" * (LONG + 5), LONG, False) == (0, b"x" * LONG, True)
    assert choose(b"x" * (LONG - 1), LONG, True) == (0, b"", True)
    assert choose(b"x" * LONG, LONG, True) == (0, b"x" * LONG, False)
