"""Arrivals at real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from circus.stats.hits import FIRST, Hits
from tests.support import wait_until

ENTRY = {"fd": 17, "name": "a:web", "backlog": 5, "host": "localhost", "port": 80}


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "web"))
        listening.listen()
        yield listening


def inherited(names: str, pid: int | None = None) -> dict[str, str]:
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDNAMES": names}


def counting(listening: socket.socket) -> Hits:
    hits = Hits()
    hits.known = {listening.fileno(): (17, "there")}
    hits.begin()
    return hits


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait while the loop goes on."""
    await asyncio.to_thread(wait_until, condition, what)


def reads(hits: Hits) -> int:
    return sum(hits._reads.values())


def test_which_descriptor_is_which_socket() -> None:
    hits = Hits()
    second = {"fd": 18, "name": "local", "backlog": 5, "path": "/run/local"}
    hits.follow([ENTRY, second, {**ENTRY, "name": "not inherited"}], inherited("local:a_web"))
    assert hits.known == {FIRST: (18, "/run/local"), FIRST + 1: (17, "localhost:80")}


@pytest.mark.parametrize("environment", [{}, inherited("a_web", pid=1)])
def test_sockets_that_are_for_another_process_are_not_touched(environment: dict[str, str]) -> None:
    hits = Hits()
    hits.follow([ENTRY], environment)
    assert hits.known == {}
    hits.begin()
    hits.rest()


def test_arrivals_are_counted_once_whether_anybody_accepts_them_or_not(listening: socket.socket) -> None:
    async def test() -> None:
        hits = counting(listening)
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            first.connect(listening.getsockname())
            await until(lambda: reads(hits) == 1, "it is counted")
            one = {"fd": 17, "subtopic": 17, "address": "there", "reads": 1}
            total: dict[str, Any] = {"addresses": ["there"], "reads": 1}
            assert hits.messages() == [("stat.sockets.17", one), ("stat.sockets", total)]
            assert hits.messages()[1] == ("stat.sockets", {**total, "reads": 0})
            second.connect(listening.getsockname())
            await until(lambda: reads(hits) == 1, "it is counted")
        hits.rest()

    asyncio.run(test())


def test_nothing_stays_open_however_often_somebody_comes_and_goes(listening: socket.socket) -> None:
    async def test() -> None:
        before = open_files()
        for _ in range(100):
            hits = counting(listening)
            hits.begin()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(listening.getsockname())
                await until(partial(reads, hits), "it is counted")
            hits.rest()
            hits.rest()
            listening.accept()[0].close()
        assert open_files() == before

    asyncio.run(test())
