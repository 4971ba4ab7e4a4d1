from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from circus.kernel.notify import NotifySocket, parse

Message = tuple[int, dict[str, str]]

SEND = """
import os, socket, sys
address = os.environ["NOTIFY_SOCKET"]
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect("\\0" + address[1:] if address[0] == "@" else address)
for text in sys.argv[1:]:
    sender.send(text.encode())
"""


@contextlib.asynccontextmanager
async def listening(folder: Path | None = None) -> AsyncIterator[tuple[str, asyncio.Queue[Message]]]:
    """A socket in the running loop: its address, and the messages that arrive."""
    messages: asyncio.Queue[Message] = asyncio.Queue()
    place = None if folder is None else str(folder)
    listener = NotifySocket(asyncio.get_running_loop(), place, lambda pid, fields: messages.put_nowait((pid, fields)))
    try:
        yield listener.address, messages
    finally:
        listener.close()
        listener.close()


async def next_of(messages: asyncio.Queue[Message]) -> Message:
    async with asyncio.timeout(20):
        return await messages.get()


def connected(address: str) -> socket.socket:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.connect("\0" + address[1:] if address[0] == "@" else address)
    return sender


async def child(address: str, *command: str, **options: Any) -> asyncio.subprocess.Process:
    environ = {**os.environ, "NOTIFY_SOCKET": address}
    return await asyncio.create_subprocess_exec(*command, env=environ, start_new_session=True, **options)


@pytest.mark.parametrize("where", ["abstract", "folder"])
def test_a_process_tells_and_is_recognised(where: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path if where == "folder" else None) as (address, messages):
            assert address.startswith("@" if where == "abstract" else str(tmp_path))
            process = await child(
                address, sys.executable, "-c", SEND, "READY=1\nSTATUS=serving ü\nX_OWN=1", "STOPPING=1\n"
            )
            assert await next_of(messages) == (process.pid, {"READY": "1", "STATUS": "serving ü"})
            assert await next_of(messages) == (process.pid, {"STOPPING": "1"})
            await process.wait()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_a_helper_speaks_for_the_process_that_started_it() -> None:
    async def main() -> None:
        async with listening() as (address, messages):
            script = f'"{sys.executable}" -c "$0" READY=1; exit 0'
            # The helper stays until it has been heard: whose it was cannot be told of one that is gone.
            stay = SEND + "sys.stdin.read()"
            process = await child(address, "/bin/sh", "-c", script, stay, stdin=asyncio.subprocess.PIPE)
            assert await next_of(messages) == (process.pid, {"READY": "1"})
            await process.communicate(b"")

    asyncio.run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_a_process_of_another_user_reaches_it() -> None:
    async def main() -> None:
        async with listening() as (address, messages):
            process = await child(address, "/usr/bin/env", "python3", "-c", SEND, "READY=1", user=65534)
            assert await next_of(messages) == (process.pid, {"READY": "1"})
            await process.wait()

    asyncio.run(main())


def test_systemds_own_client_is_understood() -> None:
    if not os.path.exists("/usr/bin/systemd-notify"):
        pytest.skip("systemd-notify is not installed")

    async def main() -> None:
        async with listening() as (address, messages):
            # It waits for its barrier, the descriptor that it sends along, to be closed.
            process = await child(address, "systemd-notify", "--ready", "--status=up")
            fields = (await next_of(messages))[1]
            assert fields["READY"] == "1"
            assert fields["STATUS"] == "up"
            async with asyncio.timeout(20):
                assert await process.wait() == 0

    asyncio.run(main())


def test_descriptors_are_closed_also_those_of_a_barrier() -> None:
    async def main() -> None:
        async with listening() as (address, messages):
            before = len(os.listdir("/proc/self/fd"))
            reader, writer = os.pipe()
            with connected(address) as sender:
                socket.send_fds(sender, [b"BARRIER=1"], [writer])
                socket.send_fds(sender, [b"garbage"], [writer] * 200)
                socket.send_fds(sender, [b"READY=1"], [writer])
                os.close(writer)
                await next_of(messages)
                # The other end is closed once nobody holds the writing one.
                closed = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().add_reader(reader, closed.set_result, None)
                async with asyncio.timeout(20):
                    await closed
                asyncio.get_running_loop().remove_reader(reader)
                assert os.read(reader, 1) == b""
            os.close(reader)
            assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())


def test_garbage_is_passed_over() -> None:
    async def main() -> None:
        async with listening() as (address, messages):
            with connected(address) as sender:
                for data in (b"", b"\n\n", b"\xff\xfe\0", b"READY", b"=1", b"NOSUCH=1", b"READY=1\n" + b"x" * 5000):
                    sender.send(data)
                forged = array.array("i", (1, 0, 0)).tobytes()
                with contextlib.suppress(PermissionError):  # root may claim to be anybody that lives
                    sender.sendmsg([b"STATUS=forged"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, forged)])
                sender.send(b"STATUS=\xff=1")
            received = [await next_of(messages)]
            if received[0][1] == {"STATUS": "forged"}:
                received = [await next_of(messages)]
            assert received == [(os.getsid(0), {"STATUS": "\ufffd=1"})]
            assert messages.empty()

    asyncio.run(main())


def test_a_flood_lets_others_have_their_turn() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        heard = 0

        def receive(pid: int, fields: dict[str, str]) -> None:
            nonlocal heard
            heard += 1
            if heard == 1:
                loop.call_soon(lambda: turn.set_result(heard))
            if heard < 5000:
                sender.send(b"STATUS=and another")

        listener = NotifySocket(loop, None, receive)
        with connected(listener.address) as sender:
            sender.send(b"STATUS=first")
            async with asyncio.timeout(20):
                assert await turn < 5000
            listener.close()

    asyncio.run(main())


def test_a_receiver_that_fails_does_not_end_the_listening() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        failures: list[Any] = []
        loop.set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
        heard = loop.create_future()

        def receive(pid: int, fields: dict[str, str]) -> None:
            if fields.get("STATUS") == "bad":
                raise ValueError("bad")
            heard.set_result(fields)

        listener = NotifySocket(loop, None, receive)
        with connected(listener.address) as sender:
            sender.send(b"STATUS=bad")
            sender.send(b"READY=1")
            async with asyncio.timeout(20):
                assert await heard == {"READY": "1"}
        listener.close()
        assert [str(failure) for failure in failures] == ["bad"]

    asyncio.run(main())


def test_parse_takes_the_last_of_two() -> None:
    assert parse(b"STATUS=a\nSTATUS=b\nMAINPID=7\nWATCHDOG=trigger") == {
        "STATUS": "b",
        "MAINPID": "7",
        "WATCHDOG": "trigger",
    }
