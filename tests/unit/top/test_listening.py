from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import zmq

from circus.exc import CallError
from circus.top.listening import Listening
from tests.support import DEADLINE


def bound(context: zmq.Context[Any], endpoint: str) -> zmq.Socket[Any]:
    socket = context.socket(zmq.XPUB)
    socket.bind(endpoint)
    assert socket.poll(int(DEADLINE * 1000))
    assert socket.recv() == b"\x01stat."
    return socket


def test_it_tells_of_a_loss_at_once_and_hears_who_comes_back(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/s"
    heard: list[tuple[str, Any]] = []
    lost: list[float] = []

    async def until(condition: Any) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    async def run() -> None:
        listening = Listening(endpoint, None, ["stat."], lambda *item: heard.append(item), lambda: lost.append(1))
        with zmq.Context() as context:
            server = await asyncio.to_thread(bound, context, endpoint)
            for frames in (
                [b"stat.a", b"no json"],
                [b"stat.\xff", b"{}"],
                [b"stat.b", b"[]"],
                [b"stat.c", b'{"x": 1}'],
            ):
                server.send_multipart(frames)
            await until(lambda: heard)
            assert heard == [("stat.c", {"x": 1})]
            server.close(linger=0)
            await until(lambda: lost)
            server = await asyncio.to_thread(bound, context, endpoint)
            for _ in range(500):
                server.send_multipart([b"stat.d", b"{}"])
            await until(lambda: len(heard) == 501)
            server.close(linger=0)
        listening.close()
        listening.close()

    asyncio.run(run())


def test_an_endpoint_that_cannot_be() -> None:
    async def run() -> None:
        with pytest.raises(CallError, match="no endpoint"):
            Listening("nonsense", None, ["stat."], lambda *item: None, lambda: None)

    asyncio.run(run())
