"""The way out of events, with real subscribers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import zmq

from circus.kernel import publisher as module
from circus.kernel.journal import Journal
from circus.kernel.publisher import Publisher
from tests.support import DEADLINE


class Stage:
    """A publisher on a loop, and subscribers to it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.journal = Journal(100)
        self.context: zmq.Context[Any] = zmq.Context()
        self.publisher = Publisher(self.context, self.loop, self.journal)
        self.endpoint = self.publisher.bind("tcp://127.0.0.1:*")
        self.journal.subscribe(self.publisher.publish)
        self.sockets: list[zmq.Socket[Any]] = []
        self.lost: list[str] = []
        self.publisher.on_sync_lost = self.lost.append

    def subscriber(self, *topics: str) -> zmq.Socket[Any]:
        socket = self.context.socket(zmq.SUB)
        self.sockets.append(socket)
        socket.linger = 0
        for topic in topics:
            socket.subscribe(topic)
        socket.connect(self.endpoint)
        return socket

    async def receive(self, socket: zmq.Socket[Any]) -> tuple[str, dict[str, Any]]:
        await self.until(lambda: socket.poll(0))
        topic, data = socket.recv_multipart()
        return topic.decode(), json.loads(data)

    async def until(self, condition: Callable[[], Any]) -> None:
        end = self.loop.time() + DEADLINE
        while not condition():
            assert self.loop.time() < end
            await asyncio.sleep(0.002)


def on_stage(scenario: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        stage = Stage()
        try:
            await asyncio.wait_for(scenario(stage), DEADLINE)
        finally:
            stage.publisher.close()
            for socket in stage.sockets:
                socket.close()
            stage.context.destroy(linger=0)

    asyncio.run(run())


def test_a_topic_of_ones_own_is_answered_at_once_and_what_follows_arrives() -> None:
    async def scenario(stage: Stage) -> None:
        socket = stage.subscriber("watcher.", "@sync.abc")
        assert await stage.receive(socket) == ("@sync.abc", {})
        stage.journal.publish("w", "kill")
        assert (await stage.receive(socket))[0] == "watcher.w.kill"

    on_stage(scenario)


def test_it_is_answered_while_events_are_on_their_way_out() -> None:
    """A send takes note of subscriptions in libzmq, whose descriptor then says nothing of them any more."""

    async def scenario(stage: Stage) -> None:
        everything = stage.subscriber("")
        await stage.until(lambda: stage.publisher.topics)
        for number in range(50):
            socket = stage.subscriber(f"@sync.{number}")
            for _ in range(20):
                stage.journal.publish("w", "kill")
            assert await stage.receive(socket) == (f"@sync.{number}", {})
            socket.close()
        everything.close()

    on_stage(scenario)


def test_the_end_of_such_a_subscription_is_told_and_never_in_the_midst_of_an_event() -> None:
    async def scenario(stage: Stage) -> None:
        order: list[str] = []

        def lost(token: str) -> None:
            order.append(token)
            stage.journal.publish("w", "after")

        stage.publisher.on_sync_lost = lost
        listener = stage.subscriber("watcher.", "@sync.listener")
        await stage.receive(listener)
        gone = stage.subscriber("@sync.gone")
        await stage.receive(gone)
        gone.close()
        while not order:
            stage.journal.publish("w", "before")
            await asyncio.sleep(0.001)
        await stage.until(lambda: order)
        numbers: list[int] = []
        while len(numbers) < stage.journal.seq:
            numbers.append((await stage.receive(listener))[1]["seq"])
        assert order == ["gone"]
        assert numbers == list(range(1, stage.journal.seq + 1)), "in order"

    on_stage(scenario)


def test_ticks_tell_the_last_number_while_somebody_listens(monkeypatch) -> None:
    monkeypatch.setattr(module, "TICK_INTERVAL", 0.01)

    async def scenario(stage: Stage) -> None:
        for topic in ("circus.tick", "circus.", ""):
            assert stage.publisher._ticking is None, "an idle daemon sleeps"
            socket = stage.subscriber(topic)
            name, data = await stage.receive(socket)
            assert name == "circus.tick"
            assert (data["seq"], data["boot"]) == (stage.journal.seq, stage.journal.boot)
            assert {"time", "mono"} <= set(data)
            stage.journal.seq += 5
            while (await stage.receive(socket))[1]["seq"] != stage.journal.seq:
                pass
            socket.close()
            await stage.until(lambda: stage.publisher._ticking is None)

    on_stage(scenario)


def test_who_did_not_ask_for_ticks_gets_none(monkeypatch) -> None:
    monkeypatch.setattr(module, "TICK_INTERVAL", 0.001)

    async def scenario(stage: Stage) -> None:
        plain, ticked = stage.subscriber("watcher."), stage.subscriber("circus.tick")
        for _ in range(3):
            await stage.receive(ticked)
        stage.journal.publish("w", "kill")
        assert (await stage.receive(plain))[0] == "watcher.w.kill"
        assert not plain.poll(0)

    on_stage(scenario)


def test_each_topic_that_comes_or_goes_is_told_once() -> None:
    async def scenario(stage: Stage) -> None:
        told: list[tuple[bytes, bool]] = []
        stage.publisher.on_topic = lambda topic: told.append((topic, topic in stage.publisher.topics))
        first, second = stage.subscriber("log."), stage.subscriber("log.")
        second.subscribe("log.web")
        await stage.until(lambda: len(told) == 2)
        first.close()
        second.unsubscribe("log.web")
        await stage.until(lambda: len(told) == 3)
        second.close()
        await stage.until(lambda: len(told) == 4)
        assert told == [(b"log.", True), (b"log.web", True), (b"log.web", False), (b"log.", False)]

    on_stage(scenario)
