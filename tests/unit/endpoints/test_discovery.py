from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket

import pytest

from circus.endpoints.discovery import Discovery, answer, parse

GROUP = "237.219.251.97"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


def asker() -> socket.socket:
    """A socket to ask with; what goes to a multicast group stays on this machine."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    return sock


def joined(loop: asyncio.AbstractEventLoop, port: int, endpoint: str = "ipc:///a") -> Discovery:
    try:
        return Discovery(loop, f"udp://{GROUP}:{port}", endpoint)
    except OSError as exc:
        if exc.errno == errno.ENODEV:
            pytest.skip("no interface here takes part in multicast")
        raise


@pytest.mark.parametrize("target", [GROUP, "127.0.0.1"])
def test_any_datagram_is_answered(target: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        port = free_port()
        discovery = joined(loop, port, "tcp://127.0.0.1:5555")
        with asker() as sock:
            for question in (b"", b"\xff\0", b"x" * 2000):
                await loop.sock_sendto(sock, question, (target, port))
                async with asyncio.timeout(20):
                    reply = await loop.sock_recv(sock, 2000)
                assert json.loads(reply) == {"endpoint": "tcp://127.0.0.1:5555"}
        discovery.close()
        discovery.close()

    asyncio.run(main())


def test_two_daemons_answer_side_by_side() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        port = free_port()
        both = [joined(loop, port, endpoint) for endpoint in ("ipc:///a", "ipc:///b")]
        with asker() as sock:
            await loop.sock_sendto(sock, b"?", (GROUP, port))
            async with asyncio.timeout(20):
                replies = {json.loads(await loop.sock_recv(sock, 2000))["endpoint"] for _ in both}
        assert replies == {"ipc:///a", "ipc:///b"}
        for discovery in both:
            discovery.close()

    asyncio.run(main())


def test_a_port_in_use_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", 0))
            port = other.getsockname()[1]
            assert answer(asyncio.get_running_loop(), f"udp://{GROUP}:{port}", "ipc:///a") is None

    with caplog.at_level(logging.WARNING, "circus"):
        asyncio.run(main())
    assert "Address already in use; discovery is off" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "udp://",
        "237.219.251.97:12027",
        "udp://10.0.0.1:12027",
        "udp://237.219.251.97",
        "udp://x:1",
        "udp://237.219.251.97:0",
    ],
)
def test_what_is_no_multicast_endpoint_is_a_warning(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="write udp://GROUP:PORT"):
        parse(text)
    loop = asyncio.new_event_loop()
    assert answer(loop, text, "ipc:///a") is None
    loop.close()
    assert "udp://GROUP:PORT" in caplog.text
