"""Clients get replies, and errors that say what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq

from circus.client import AsyncCircusClient, CircusClient, cast_message, make_json, make_message
from circus.exc import CallError
from circus.util import default_endpoint
from tests.unit.fakes import Responder


def ok(request: dict[str, Any]) -> dict[str, Any]:
    return {"status": "ok", "command": request["command"]}


def failure(endpoint: str, command: str = "list", timeout: float = 0.4, **properties: Any) -> CallError:
    with CircusClient(endpoint=endpoint, timeout=timeout) as client, pytest.raises(CallError) as caught:
        client.send_message(command, **properties)
    return caught.value


def async_failure(endpoint: str, timeout: float = 0.4) -> CallError:
    async def run() -> None:
        async with AsyncCircusClient(endpoint=endpoint, timeout=timeout) as client:
            await client.send_message("list")

    with pytest.raises(CallError) as caught:
        asyncio.run(run())
    return caught.value


def test_messages() -> None:
    assert make_message("incr", name="web") == {"command": "incr", "properties": {"name": "web"}}
    assert make_message("list") == {"command": "list", "properties": {}}
    assert cast_message("list")["msg_type"] == "cast"
    assert json.loads(make_json("get", name="web")) == make_message("get", name="web")


def test_a_reply() -> None:
    with Responder(ok) as server, CircusClient(endpoint=server.endpoint) as client:
        message = make_message("start", name="web", waiting=True)
        reply = client.call(message)
        assert reply["status"] == "ok"
        assert reply["id"] == message["id"] == server.requests[0]["id"]
        assert len(message["id"]) == 32
        assert client.call(message)["id"] != reply["id"]


def test_an_error_reply_is_returned() -> None:
    with (
        Responder(lambda _: {"status": "error", "errno": 3}) as server,
        CircusClient(endpoint=server.endpoint) as client,
    ):
        assert client.send_message("list")["errno"] == 3


def test_replies_to_others_are_ignored() -> None:
    ids: list[str] = []

    def late(request: dict[str, Any]) -> dict[str, Any] | None:
        """The first request is answered only after the second has come."""
        ids.append(request["id"])
        return {"status": "ok", "id": ids[0]} if len(ids) == 2 else ok(request) if len(ids) > 2 else None

    with Responder(late) as server, CircusClient(endpoint=server.endpoint, timeout=0.3) as client:
        first = client.send(make_message("list"))
        second = client.send(make_message("list"))
        assert client.receive(second, 0.3) is None
        assert client.call(make_message("list"))["status"] == "ok"
        assert first != second


def test_a_cast_waits_for_nothing() -> None:
    with Responder(lambda _: None) as server, CircusClient(endpoint=server.endpoint) as client:
        assert client.call(cast_message("list"))["status"] == "ok"


def test_a_text_is_no_request() -> None:
    with CircusClient(endpoint="tcp://127.0.0.1:1") as client, pytest.raises(DeprecationWarning):
        client.call("list")


def test_a_context_may_be_shared() -> None:
    with Responder(ok) as server, zmq.Context() as context:
        with CircusClient(context, server.endpoint) as client:
            client.send_message("list")
        assert not context.closed
        client.stop()


def test_a_daemon_that_comes_up_meanwhile_is_found(tmp_path: Path) -> None:
    with Responder(ok) as server:
        path, hidden = server.path, server.path.with_suffix(".later")
        path.rename(hidden)
        with CircusClient(endpoint=server.endpoint, timeout=10) as client:
            id = client.send(make_message("list"))
            assert client.receive(id, 0.1) is None
            hidden.rename(path)
            assert client.receive(id, 10) is not None


def test_the_default_endpoint_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUSCTL_ENDPOINT", "tcp://127.0.0.1:1")
    with CircusClient() as client:
        assert client.endpoint == default_endpoint() == "tcp://127.0.0.1:1"


# What is wrong.


@pytest.mark.parametrize("fail", [failure, async_failure])
def test_no_socket_file(tmp_path: Path, fail: Any) -> None:
    error = fail(f"ipc://{tmp_path}/no")
    assert error.kind == "no-daemon"
    assert "no such socket" in str(error)


@pytest.mark.parametrize("fail", [failure, async_failure])
def test_nobody_listens_on_the_socket_file(fail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind("s")
    error = fail("ipc://s")
    assert error.kind == "no-daemon"
    assert "nobody listens" in str(error)


def test_nobody_listens_on_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = failure(f"tcp://127.0.0.1:{port}")
    assert error.kind == "no-daemon"
    assert f"127.0.0.1:{port}: nobody listens" in str(error)


def test_patience_ends_before_the_timeout(tmp_path: Path) -> None:
    with (
        CircusClient(endpoint=f"ipc://{tmp_path}/no", timeout=3600, patience=0.1) as client,
        pytest.raises(CallError, match="no such socket"),
    ):
        client.send_message("list")


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://", "http://localhost:80", "tcp://127.0.0.1:x"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(CallError) as caught:
        CircusClient(endpoint=endpoint)
    assert caught.value.kind == "bad-endpoint"
    assert endpoint in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_no_permission() -> None:
    with Responder(ok) as server:
        server.path.parent.chmod(0o700)
        code = (
            "import os, sys; from circus.client import CircusClient; from circus.exc import CallError\n"
            # What a user who may not read the virtual environment could not import any more.
            "import socket, struct\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "try: CircusClient(endpoint=sys.argv[1], timeout=0.4).send_message('list')\n"
            "except CallError as error: print(error.kind, error)"
        )
        run = subprocess.run([sys.executable, "-c", code, server.endpoint], capture_output=True, text=True, timeout=30)
    assert run.stdout.startswith("no-permission no permission to use"), run


def test_what_answers_is_no_circusd() -> None:
    with Responder(lambda _: b"hello") as server:
        error = failure(server.endpoint, timeout=5)
    assert error.kind == "bad-endpoint"


@pytest.mark.parametrize("fail", [failure, async_failure])
def test_a_daemon_that_answers_nothing(fail: Any) -> None:
    with Responder(lambda _: None) as server:
        error = fail(server.endpoint)
    assert error.kind == "timeout"
    assert f"(pid {os.getpid()}, " in str(error)
    assert "does not answer 'list'" in str(error)


def test_a_daemon_that_was_stopped_by_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('s'); s.listen(); print(1, flush=True); s.accept()"
    server = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        server.send_signal(signal.SIGSTOP)
        os.waitpid(server.pid, os.WUNTRACED)
        monkeypatch.chdir(tmp_path)
        assert f"(pid {server.pid}, stopped by a signal)" in str(failure("ipc://s"))
    finally:
        server.kill()
        server.communicate()


def test_a_daemon_that_is_busy_says_with_what() -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["command"] == "stop":
            return None
        detail = {"processes": [{"pid": 12}, {"pid": 13}, {"pid": None}]}
        return {"status": "ok", "statuses": {"web": "stopping", "b": "active"}, "details": {"web": detail}}

    with Responder(answer) as server:
        error = failure(server.endpoint, "stop", name="web", waiting=True)
    assert error.kind == "busy"
    assert "is busy with 'stop', sent 0.4 s ago: web is stopping (pids 12, 13)" in str(error)


def test_ssh_that_leads_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = tmp_path / "ssh"
    # No connection is shared; the tunnel seems to be there and forwards nothing.
    ssh.write_text('#!/bin/sh\ncase "$*" in *"-O check"*) exit 255 ;; esac\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        CircusClient(endpoint="tcp://127.0.0.1:1", timeout=0.2, ssh_server="me@nowhere") as client,
        pytest.raises(CallError) as caught,
    ):
        client.send_message("list")
    assert caught.value.kind == "timeout"
    assert "through ssh to me@nowhere" in str(caught.value)


def test_ssh_needs_tcp() -> None:
    with pytest.raises(CallError, match="only tcp:// endpoints can be reached through ssh"):
        CircusClient(endpoint="ipc:///x", ssh_server="nobody@localhost")


# The one for event loops.


def test_several_calls_at_once() -> None:
    held: list[dict[str, Any]] = []

    def backwards(request: dict[str, Any]) -> dict[str, Any] | None:
        """Each request is answered with the reply to the one before it, the last one with its own at last."""
        held.append(request)
        return {"status": "ok", "id": held[-2]["id"], "command": held[-2]["command"]} if len(held) > 1 else None

    async def run(endpoint: str) -> list[str]:
        async with AsyncCircusClient(endpoint=endpoint, timeout=10) as client:
            calls = [asyncio.create_task(client.send_message(name)) for name in ("list", "status", "quit")]
            done = await asyncio.gather(*calls[:2])
            calls[2].cancel()
            return [reply["command"] for reply in done]

    with Responder(backwards) as server:
        assert asyncio.run(run(server.endpoint)) == ["list", "status"]


def test_an_asynchronous_client_that_is_stopped_ends_its_calls() -> None:
    async def run(endpoint: str) -> None:
        client = AsyncCircusClient(endpoint=endpoint, timeout=30)
        call = asyncio.create_task(client.send_message("list"))
        await asyncio.sleep(0)
        client.stop()
        client.stop()
        await call

    with Responder(lambda _: None) as server, pytest.raises(CallError, match="the client was stopped"):
        asyncio.run(run(server.endpoint))


def test_an_asynchronous_cast() -> None:
    async def run(endpoint: str) -> dict[str, Any]:
        async with AsyncCircusClient(endpoint=endpoint) as client:
            return await client.call(cast_message("list"))

    with Responder(lambda _: None) as server:
        assert asyncio.run(run(server.endpoint))["status"] == "ok"


def test_the_asynchronous_client_tries_again_where_it_could_not_connect() -> None:
    async def run() -> None:
        async with AsyncCircusClient(endpoint="nonsense", timeout=30) as client:
            for _ in range(2):
                with pytest.raises(CallError, match="no endpoint"):
                    await client.send_message("list")

    asyncio.run(run())
