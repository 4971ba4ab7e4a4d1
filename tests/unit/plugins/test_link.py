"""A plugin's line to circusd."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import zmq

from circus.exc import CallError
from circus.plugins import link as module
from circus.plugins.link import Link
from tests.unit.fakes import Responder


def echo(request: dict[str, Any]) -> dict[str, Any] | None:
    if request["command"] == "silence":
        return None
    if request["command"] == "fail":
        return {"status": "error", "reason": "it fails"}
    return {"status": "ok", "sent": request["properties"]}


def test_call_gets_its_own_reply_and_leaves_the_others_to_whom_they_are_for(caplog) -> None:
    with Responder(echo) as server:
        link = Link(server.endpoint)
        link.cast("fail", {"name": "w"})
        link.cast("fine", {})
        assert link.call("ask", {"a": 1})["sent"] == {"a": 1}
        assert link.call("fail", {})["reason"] == "it fails"
        link.close()
    assert [request["command"] for request in server.requests] == ["fail", "fine", "ask", "fail"], "in order"
    assert {request["sync"] for request in server.requests} == {link.token}
    assert [record.getMessage() for record in caplog.records] == ["the command fail w failed: it fails"]


def test_several_calls_are_under_way_at_once_and_a_blocking_one_among_them() -> None:
    async def scenario(endpoint: str) -> None:
        link = Link(endpoint)
        link.attach(asyncio.get_running_loop())
        first = [asyncio.create_task(link.acall("ask", {"n": number})) for number in range(20)]
        await asyncio.sleep(0)
        assert link.call("ask", {"n": "blocking"})["sent"] == {"n": "blocking"}
        assert [(await task)["sent"]["n"] for task in first] == list(range(20))
        assert not link._waiting
        link.close()

    with Responder(echo) as server:
        asyncio.run(scenario(server.endpoint))


def test_other_threads_may_call_and_cast() -> None:
    async def scenario(endpoint: str) -> None:
        link = Link(endpoint)
        loop = asyncio.get_running_loop()
        reply = await loop.run_in_executor(None, link.call, "ask", {"from": "thread"})
        assert reply["sent"] == {"from": "thread"}
        with pytest.raises(CallError, match="does not run yet"):
            await loop.run_in_executor(None, link.cast, "ask", {})
        link.attach(loop)
        await loop.run_in_executor(None, link.cast, "ask", {"cast": True})
        assert (await link.acall("ask", {}))["status"] == "ok"
        link.close()

    with Responder(echo) as server:
        asyncio.run(scenario(server.endpoint))
        assert {"cast": True} in [request["properties"] for request in server.requests]
        assert len({request["sync"] for request in server.requests}) == 1


@pytest.mark.parametrize("blocking", [True, False])
def test_no_reply_is_an_error_unless_it_was_asked_to_wait(monkeypatch, blocking: bool) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)

    async def ask(link: Link, props: dict[str, Any]) -> None:
        if blocking:
            link.call("silence", props)
        else:
            await link.acall("silence", props)

    async def scenario(endpoint: str) -> None:
        link = Link(endpoint)
        with pytest.raises(CallError) as caught:
            await ask(link, {})
        assert caught.value.kind in ("busy", "timeout")
        task = asyncio.create_task(link.acall("silence", {"waiting": True}))
        done, _ = await asyncio.wait([task], timeout=0.4)
        assert not done, "it waits as long as it takes"
        link.forget("gone")
        assert (await task)["reason"] == "gone"
        link.close()

    with Responder(echo) as server:
        asyncio.run(scenario(server.endpoint))


def test_nobody_there(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    link = Link(f"ipc://{tmp_path}/nobody")
    with pytest.raises(CallError) as caught:
        link.call("ask", {"waiting": True})
    assert caught.value.kind == "no-daemon"
    link.close()


def test_a_daemon_that_takes_nothing_any_more(monkeypatch, caplog) -> None:
    """What it does not take is not kept without an end, and the plugin is told."""
    monkeypatch.setattr(module, "TIMEOUT", 0.01)
    link = Link("tcp://127.0.0.1:9")  # nobody listens
    link._socket.set_hwm(0)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger, socket.sndhwm = 0, 3
    socket.connect("tcp://127.0.0.1:9")
    link._socket.close(linger=0)
    link._socket = socket
    for _ in range(3):
        link.cast("ask", {})
    with caplog.at_level(logging.ERROR):
        link.cast("ask", {})
    assert "does not take any more commands" in caplog.text
    with pytest.raises(CallError, match="does not take any more commands"):
        link.call("ask", {})
    link.close()
    context.term()


def test_a_flood_of_casts_keeps_no_memory_of_what_was_answered() -> None:
    with Responder(echo) as server:
        link = Link(server.endpoint)
        for _ in range(3000):
            link.cast("ask", {})
        link.call("ask", {})
        assert len(link._waiting) < 3000
        link.close()


def test_what_cannot_be_sent(caplog) -> None:
    link = Link("tcp://127.0.0.1:9")
    circle: dict[str, Any] = {}
    circle["circle"] = circle
    with pytest.raises(CallError, match="cannot be sent"):
        link.call("ask", circle)
    link.close()
