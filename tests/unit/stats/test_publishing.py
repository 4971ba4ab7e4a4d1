"""The socket of the statistics, with real subscribers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from circus.exc import CircusError
from circus.stats.publishing import StatsSocket
from tests.support import DEADLINE


class Scene:
    """A bound socket, and whoever subscribes to it."""

    def __init__(self, address: str) -> None:
        self.changed = asyncio.Event()
        self.published = StatsSocket(asyncio.get_running_loop(), address, self.changed.set)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.subscribers: list[zmq.Socket[bytes]] = []

    def subscribe(self, *topics: bytes) -> zmq.Socket[bytes]:
        subscriber = self.context.socket(zmq.SUB)
        self.subscribers.append(subscriber)
        subscriber.setsockopt(zmq.RCVTIMEO, int(DEADLINE * 1000))
        for topic in topics:
            subscriber.subscribe(topic)
        subscriber.connect(self.published.address)
        return subscriber

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    yield f"ipc://{tmp_path}/stats"


@asynccontextmanager
async def scene(address: str) -> AsyncIterator[Scene]:
    made = Scene(address)
    yield made
    made.published.close()
    made.context.destroy(linger=0)


def run(address: str, test: Callable[[Scene], Any]) -> None:
    async def body() -> None:
        async with scene(address) as made:
            await test(made)

    asyncio.run(body())


def test_who_listens_to_what(address: str) -> None:
    async def test(made: Scene) -> None:
        published = made.published
        assert not published.wants(b"stat.")
        subscriber = made.subscribe(b"stat.web.12", b"stat.api", b"stat.cache.")
        await made.until(lambda: len(published.topics) == 3)
        assert published.covers(b"stat.api")
        assert published.covers(b"stat.api.7")
        assert published.covers(b"stat.api-two")
        assert not published.covers(b"stat.ap")
        assert not published.covers(b"stat.cache")
        assert published.covers(b"stat.cache.")
        assert published.wants(b"stat.cache")
        assert published.wants(b"stat.web")
        assert published.wants(b"stat.web.12")
        assert published.wants(b"stat.web.123")
        assert not published.wants(b"stat.web.2")
        assert not published.wants(b"stat.zoo")
        subscriber.unsubscribe(b"stat.api")
        await made.until(lambda: len(published.topics) == 2)
        assert not published.wants(b"stat.api")
        subscriber.close()
        await made.until(lambda: not published.topics)

    run(address, test)


def test_everything_is_wanted(address: str) -> None:
    async def test(made: Scene) -> None:
        made.subscribe(b"")
        await made.until(lambda: bool(made.published.topics))
        assert made.published.covers(b"stat.web")
        assert made.published.wants(b"stat.")

    run(address, test)


def test_messages_have_two_frames(address: str) -> None:
    async def test(made: Scene) -> None:
        subscriber = made.subscribe(b"stat.")
        await made.until(lambda: bool(made.published.topics))
        made.published.send("stat.web", {"pid": [1]})
        made.published.send_encoded(b"stat.web.1", b'{"pid": 1}')
        received = [await asyncio.to_thread(subscriber.recv_multipart) for _ in range(2)]
        assert [(topic, json.loads(data)) for topic, data in received] == [
            (b"stat.web", {"pid": [1]}),
            (b"stat.web.1", {"pid": 1}),
        ]

    run(address, test)


def test_a_subscriber_that_does_not_read_holds_up_nobody(address: str) -> None:
    async def test(made: Scene) -> None:
        made.subscribe(b"stat.")
        reading = made.subscribe(b"stat.", b"other")
        await made.until(lambda: len(made.published.topics) == 2)
        for number in range(40_000):
            made.published.send_encoded(b"stat.web.1", b"%d" % number)
        assert reading.recv_multipart()[1] == b"0"

    run(address, test)


def test_an_endpoint_in_use_is_an_error_that_says_what_to_do(address: str) -> None:
    async def test(made: Scene) -> None:
        with pytest.raises(CircusError, match="name another endpoint"):
            StatsSocket(asyncio.get_running_loop(), address, lambda: None)
        made.published.close()
        StatsSocket(asyncio.get_running_loop(), address, lambda: None).close()

    run(address, test)
