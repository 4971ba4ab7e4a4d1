"""What the system tells of connections that somebody else has accepted, with real ones."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from circus.daemon.connections import silence
from tests.support import wait_until

MINUTE = 60.0

KINDS = {
    "loopback": (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
    "anywhere": (socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0"),
    "ipv6": (socket.AF_INET6, socket.SOCK_STREAM, "::1"),
    "ipv6 anywhere": (socket.AF_INET6, socket.SOCK_STREAM, "::"),
    "both": (socket.AF_INET6, socket.SOCK_STREAM, "::"),
    "stream": (socket.AF_UNIX, socket.SOCK_STREAM, ""),
    "seqpacket": (socket.AF_UNIX, socket.SOCK_SEQPACKET, ""),
    "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, ""),
}
INTERNET = [kind for kind, (family, _, _) in KINDS.items() if family != socket.AF_UNIX]
UNIX = [kind for kind in KINDS if kind not in INTERNET]


@contextlib.contextmanager
def listening(kind: str, folder: Path) -> Iterator[socket.socket]:
    family, type, host = KINDS[kind]
    address = {"abstract": f"\0{folder}", "stream": f"{folder}/socket", "seqpacket": f"{folder}/socket"}.get(kind)
    with socket.socket(family, type) as made:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, kind != "both")
        made.bind(address or (host, 0))
        made.listen()
        yield made


def connect(to: socket.socket) -> socket.socket:
    address = to.getsockname()
    if to.family == socket.AF_INET6 and not to.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        made = socket.socket(socket.AF_INET, to.type)
        made.connect(("127.0.0.1", address[1]))
        return made
    made = socket.socket(to.family, to.type)
    if to.family != socket.AF_UNIX:
        address = ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0]), address[1])
    made.connect(address)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_waits_or_is_open(kind: str, tmp_path: Path) -> None:
    with listening(kind, tmp_path) as one:
        assert silence([one]) == math.inf, "nobody has come yet"
        client = connect(one)
        assert silence([one]) == 0, "it waits to be accepted"
        accepted, _ = one.accept()
        assert silence([one]) == 0, "it is open"
        client.close()
        assert silence([one]) == 0, "the one that accepted it has not noticed yet"
        accepted.close()
        wait_until(lambda: silence([one]) > 0, "it is over")


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("kind", INTERNET)
def test_a_connection_that_has_ended_is_remembered(kind: str, first: str, tmp_path: Path) -> None:
    with listening(kind, tmp_path) as one:
        client = connect(one)
        accepted, _ = one.accept()
        for end in (client, accepted) if first == "client" else (accepted, client):
            end.close()
        wait_until(lambda: 0 < silence([one]) < MINUTE, "it was there a moment ago")
        seen = silence([one])
        wait_until(lambda: silence([one]) > seen, "and longer and longer ago")


@pytest.mark.parametrize("kind", UNIX)
def test_of_a_unix_socket_nothing_is_remembered(kind: str, tmp_path: Path) -> None:
    with listening(kind, tmp_path) as one:
        client = connect(one)
        accepted, _ = one.accept()
        client.close()
        accepted.close()
        assert silence([one]) == math.inf


def test_one_of_several_is_enough_and_others_do_not_count(tmp_path: Path) -> None:
    with listening("loopback", tmp_path) as one, listening("stream", tmp_path) as other, connect(other):
        assert silence([one]) == math.inf
        assert silence([one, other]) == 0


def test_datagrams_have_no_connections() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        with connect(one) as client:
            client.send(b"x")
            assert silence([one]) == math.inf


def test_what_cannot_be_asked_may_be_busy(tmp_path: Path) -> None:
    with listening("loopback", tmp_path) as one:
        pass
    assert silence([one]) == 0
