"""The statistics as a program reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from circus.stats.client import StatsClient, split
from tests.support import DEADLINE


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def publisher(context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path) -> zmq.Socket[bytes]:
    publisher = context.socket(zmq.XPUB)
    publisher.setsockopt(zmq.RCVTIMEO, int(DEADLINE * 1000))
    publisher.bind(f"ipc://{tmp_path}/stats")
    return publisher


@pytest.fixture
def client(publisher: zmq.Socket[bytes]) -> Iterator[StatsClient]:
    with StatsClient(publisher.getsockopt_string(zmq.LAST_ENDPOINT)) as client:
        assert publisher.recv() == b"\x01stat."
        yield client


def publish(publisher: zmq.Socket[bytes], topic: str, data: dict[str, Any]) -> None:
    publisher.send_multipart([topic.encode(), json.dumps(data).encode()])


@pytest.mark.parametrize(
    ("topic", "data", "expected"),
    [
        ("stat.web", {"pid": [12]}, ("web", None)),
        ("stat.web.12", {"pid": 12, "subtopic": 12}, ("web", "12")),
        ("stat.web.v2", {"pid": []}, ("web.v2", None)),
        ("stat.web.v2.12", {"pid": 12, "subtopic": 12}, ("web.v2", "12")),
        ("stat.stat.web", {"pid": []}, ("stat.web", None)),
        ("stat.sockets.5", {"fd": 5, "subtopic": 5}, ("sockets", "5")),
        ("stat.sockets", {"addresses": []}, ("sockets", None)),
    ],
)
def test_topics(topic: str, data: dict[str, Any], expected: tuple[str, str | None]) -> None:
    assert split(topic, data) == (*expected, data)


def test_the_iteration_ends_when_it_is_stopped(publisher: zmq.Socket[bytes], client: StatsClient) -> None:
    for number in range(5):
        publish(publisher, f"stat.web.{number}", {"subtopic": number})
    seen = []
    for watcher, subtopic, data in client:
        seen.append((watcher, subtopic, data))
        if len(seen) == 3:
            client.stop()
    assert seen == [("web", str(number), {"subtopic": number}) for number in range(3)]
    client.stop()


def test_nothing_comes(publisher: zmq.Socket[bytes], client: StatsClient) -> None:
    assert client.receive(0.01) is None
    publish(publisher, "stat.web", {"pid": []})
    assert client.receive(DEADLINE) == ("web", None, {"pid": []})


def test_a_context_of_ones_own_stays_open(
    context: zmq.Context[zmq.Socket[bytes]], publisher: zmq.Socket[bytes]
) -> None:
    StatsClient(publisher.getsockopt_string(zmq.LAST_ENDPOINT), context=context).stop()
    assert not context.closed
