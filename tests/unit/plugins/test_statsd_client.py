"""The client for statsd, with a real server on a UDP socket."""

from __future__ import annotations

import logging
import random
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.plugins.statsd_client import StatsdClient
from tests.statsd_server import Metric, StatsdServer, parse
from tests.support import DEADLINE, wait_until


@pytest.fixture
def server() -> Iterator[StatsdServer]:
    with StatsdServer() as server:
        yield server


@pytest.fixture
def client(server: StatsdServer) -> Iterator[StatsdClient]:
    client = StatsdClient("127.0.0.1", server.port, "circus.app")
    yield client
    client.stop()


class Resolver:
    """Stands in for the system's look-ups, which no test can make slow or wrong; it answers when it is told to."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.address = "127.0.0.1"
        self.asked = 0

    def __call__(self, host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        self.asked += 1
        assert self.answer.wait(DEADLINE)
        if not self.address:
            raise socket.gaierror(-2, "Name or service not known")
        return [
            (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", (self.address, port)),
        ]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    resolver = Resolver()
    monkeypatch.setattr("circus.plugins.statsd_client.socket.getaddrinfo", resolver)
    return resolver


def test_each_kind_of_value_is_sent(server: StatsdServer, client: StatsdClient) -> None:
    client.increment("a")
    client.increment("a", 5)
    client.decrement("a", 2)
    client.timed("b", 12.5)
    client.gauge("c", 3)
    client.send("d", "7|g")
    wait_until(lambda: len(server.metrics) == 6)
    assert server.metrics == [
        Metric("circus.app.a", 1, "c", None),
        Metric("circus.app.a", 5, "c", None),
        Metric("circus.app.a", -2, "c", None),
        Metric("circus.app.b", 12.5, "ms", None),
        Metric("circus.app.c", 3, "g", None),
        Metric("circus.app.d", 7, "g", None),
    ]


def test_a_gauge_below_zero_is_set_and_not_lowered(server: StatsdServer, client: StatsdClient) -> None:
    client.gauge("cold", -4)
    server.wait_for("circus.app.cold", 2)
    assert [metric.value for metric in server.of("circus.app.cold")] == [0, -4]


@pytest.mark.parametrize(
    ("bucket", "sent"),
    [
        ("plugin:a.reap", "plugin_a.reap"),
        ("a b|c@d#e/f", "a_b_c_d_e_f"),
        ("new\nline:1|c", "new_line_1_c"),
        ("café", "caf_"),
        ("web.1.spawn-x_y", "web.1.spawn-x_y"),
    ],
)
def test_what_statsd_cannot_take_in_a_name_is_replaced(
    server: StatsdServer, client: StatsdClient, bucket: str, sent: str
) -> None:
    client.increment(bucket)
    assert server.wait_for(f"circus.app.{sent}").value == 1
    assert len(server.metrics) == 1


@given(st.text(min_size=1).filter(lambda name: "." not in name))
def test_any_name_can_be_read(bucket: str) -> None:
    sent: list[bytes] = []
    client = StatsdClient("127.0.0.1", prefix="circus")
    client._put = sent.append  # type: ignore[method-assign]
    client.increment(bucket)
    (metric,) = parse(sent[0])
    assert metric.name.startswith("circus.")


def test_without_a_prefix_names_are_as_given(server: StatsdServer) -> None:
    client = StatsdClient("127.0.0.1", server.port)
    client.increment("a.b")
    assert server.wait_for("a.b").value == 1
    client.stop()


def test_a_share_is_sent_and_marked(server: StatsdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.1, 0.6, 0.2, 0.9])
    monkeypatch.setattr(random, "random", lambda: next(draws))
    client = StatsdClient("127.0.0.1", server.port, sample_rate=0.5)
    for bucket in "abcd":
        client.increment(bucket)
    client.gauge("last", 1)
    server.wait_for("last")
    assert server.metrics == [
        Metric("a", 1, "c", 0.5),
        Metric("c", 1, "c", 0.5),
        Metric("last", 1, "g", None),  # half a gauge has no meaning
    ]
    client.stop()


def test_nothing_is_sent_after_stop(server: StatsdServer, client: StatsdClient) -> None:
    client.increment("before")
    client.stop()
    client.stop()
    client.increment("after")
    other = StatsdClient("127.0.0.1", server.port)
    other.increment("last")
    server.wait_for("last")
    assert [metric.name for metric in server.metrics] == ["circus.app.before", "last"]
    other.stop()


def test_a_server_that_is_not_there_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with StatsdServer() as gone:
        port = gone.port
    client = StatsdClient("127.0.0.1", port)
    for _ in range(100):
        client.increment("a")
    client.stop()
    assert not caplog.records


def test_what_cannot_be_sent_is_logged_once(server: StatsdServer, caplog: pytest.LogCaptureFixture) -> None:
    client = StatsdClient("127.0.0.1", server.port)
    caplog.set_level(logging.INFO)
    too_much = "1" * 70_000
    client.increment(too_much)
    client.increment(too_much)
    (fault,) = caplog.messages
    assert fault.startswith(f"nothing can be sent to statsd at 127.0.0.1:{server.port}: ")
    client.increment("short")
    assert caplog.messages[1:] == [f"statsd at 127.0.0.1:{server.port} can be reached again"]
    assert server.wait_for("short").value == 1
    client.stop()


def test_localhost_is_reached_where_servers_listen(server: StatsdServer) -> None:
    client = StatsdClient("localhost", server.port)
    client.increment("a")
    assert server.wait_for("a").value == 1
    client.stop()


def test_a_server_on_ipv6_is_reached() -> None:
    with StatsdServer("::1") as server:
        client = StatsdClient("::1", server.port)
        client.increment("a")
        assert server.wait_for("a").value == 1
        client.stop()


def test_a_look_up_that_takes_long_blocks_nobody_and_loses_nothing(server: StatsdServer, resolver: Resolver) -> None:
    client = StatsdClient("statsd.example.com", server.port)
    for number in range(50):
        client.increment(f"a{number}")  # would hang here
    assert not server.metrics
    resolver.answer.set()
    server.wait_for("a49")
    assert [metric.name for metric in server.metrics] == [f"a{number}" for number in range(50)]
    client.increment("later")
    server.wait_for("later")
    assert resolver.asked == 1
    client.stop()


def test_the_host_is_looked_up_again_later(server: StatsdServer, resolver: Resolver) -> None:
    resolver.answer.set()
    client = StatsdClient("statsd.example.com", server.port)
    client.increment("a")
    server.wait_for("a")
    client._resolve_at = 0.0
    client.increment("b")
    wait_until(lambda: resolver.asked == 2)
    server.wait_for("b")
    client.stop()


def test_a_host_without_an_address_is_logged_and_tried_again(
    server: StatsdServer, resolver: Resolver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    resolver.address = ""
    resolver.answer.set()
    client = StatsdClient("nowhere.example.com", server.port)
    client.increment("a")
    wait_until(lambda: caplog.messages, "the fault is logged")
    assert "'nowhere.example.com' cannot be resolved" in caplog.messages[0]
    client.increment("b")
    assert resolver.asked == 1
    resolver.address = "127.0.0.1"
    client._resolve_at = 0.0
    client.increment("c")
    server.wait_for("c")
    assert [metric.name for metric in server.metrics] == ["a", "b", "c"]
    client.stop()
