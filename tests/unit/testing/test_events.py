"""Events as tests see them, with a socket and answers in the place of a daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from circus.testing import Events, wait_until


class Daemon:
    """Publishes what it is told to, and knows what it was told."""

    def __init__(self) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.socket = self.context.socket(zmq.XPUB)
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.restart("one")

    def restart(self, boot: str) -> None:
        self.boot = boot
        self.kept: list[dict[str, Any]] = []

    def happen(self, action: str, *, published: bool = True) -> None:
        data = {"seq": len(self.kept) + 1, "boot": self.boot}
        self.kept.append({"topic": f"watcher.web.{action}", "data": data})
        if published:
            self.socket.send_multipart([b"watcher.web.%s" % action.encode(), json.dumps(data).encode()])

    def past(self, since: int) -> dict[str, Any]:
        kept = [event for event in self.kept if event["data"]["seq"] > since][:2]
        return {"events": kept, "last_seq": len(self.kept), "boot": self.boot}

    def wait_for_subscription(self) -> None:
        assert self.socket.poll(20_000)
        assert self.socket.recv() == b"\x01watcher."


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon()
    yield made
    made.context.destroy(linger=0)


@pytest.fixture
def events(daemon: Daemon) -> Iterator[Events]:
    made = Events(daemon.context, daemon.endpoint, daemon.past)
    daemon.wait_for_subscription()
    yield made
    made.close()


def test_what_was_before_is_asked_for(daemon: Daemon) -> None:
    for action in ("a", "b", "c", "d", "e"):
        daemon.happen(action, published=False)
    events = Events(daemon.context, daemon.endpoint, daemon.past, since=1)
    assert events.actions("web") == ["b", "c", "d", "e"]
    events.close()


def test_what_happens_before_the_subscription_is_live_is_asked_for(daemon: Daemon, events: Events) -> None:
    daemon.happen("early", published=False)
    assert events.wait_for("early").seq == 1


def test_a_gap_is_filled_in_order_and_without_repeating(daemon: Daemon, events: Events) -> None:
    daemon.happen("a")
    wait_until(lambda: events.of("a"), "the first has come")
    daemon.happen("lost", published=False)
    daemon.happen("lost", published=False)
    daemon.happen("b")
    daemon.happen("c")
    assert events.wait_for("c").seq == 5
    assert events.actions("web") == ["a", "lost", "lost", "b", "c"]


def test_another_daemon_counts_from_one(daemon: Daemon, events: Events) -> None:
    daemon.happen("a")
    daemon.happen("b")
    wait_until(lambda: events.of("b"), "both have come")
    daemon.restart("two")
    daemon.happen("lost", published=False)
    daemon.happen("c")
    assert events.wait_for("c").boot == "two"
    assert [event.seq for event in events] == [1, 2, 1, 2]


def test_without_a_daemon_there_is_what_came(daemon: Daemon) -> None:
    events = Events(daemon.context, daemon.endpoint, lambda since: None)
    daemon.wait_for_subscription()
    daemon.happen("a")
    daemon.happen("b")
    assert events.wait_for("b").seq == 2
    assert len(events) == 2
    events.close()
