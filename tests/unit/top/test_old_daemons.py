"""A circusd of version 0.19 does not know half of what is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from circus.top import once
from circus.top.feed import Feed
from circus.top.model import Model
from circus.top.places import Places
from tests.support import DEADLINE
from tests.unit.fakes import Responder


@pytest.fixture
def old() -> Iterator[Responder]:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["command"] == "globaloptions":
            return {"status": "ok", "options": {"stats_endpoint": "ipc:///nowhere/stats"}}
        if request["command"] == "status":
            return {"status": "ok", "statuses": {"web": "active"}}
        return {"status": "error", "reason": f"unknown command: {request['command']!r}"}

    with Responder(answer) as responder:
        yield responder


def test_the_banner_says_so_and_the_statistics_are_listened_to(old: Responder) -> None:
    model = Model()

    async def run() -> None:
        feed = Feed(model, Places(old.endpoint))
        feed.start()
        end = time.monotonic() + DEADLINE
        while not model.daemon.trouble:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        assert feed.stats_endpoint == "ipc:///nowhere/stats"
        await feed.close()

    asyncio.run(run())
    assert "before 1.0" in model.daemon.trouble


def test_the_plain_table_says_so(old: Responder) -> None:
    _, remarks = once.gather(Places(old.endpoint), 0.05)
    assert "before 1.0" in remarks[0]
    assert "ipc:///nowhere/stats" in remarks[1]
