"""Following events: whatever a subscription loses or repeats, each is delivered once and in order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circus.consumer import HELD_LIMIT, TICK, Delivery, Lost, Snapshot, Stream
from circus.events import Event
from circus.exc import CallError
from circus.kernel.journal import Journal


class History:
    """A daemon's record, and what it answers."""

    def __init__(self, size: int = 100) -> None:
        self.size = size
        self.journal = Journal(size)

    def happen(self, count: int = 1) -> list[tuple[str, dict[str, Any]]]:
        published: list[tuple[str, dict[str, Any]]] = []
        self.journal._sinks = [lambda topic, data: published.append((topic, data))]
        for _ in range(count):
            self.journal.publish("w", "kill")
        return published

    def tick(self) -> tuple[str, dict[str, Any]]:
        return TICK, {"seq": self.journal.seq, "boot": self.journal.boot}

    def restart(self) -> None:
        self.journal = Journal(self.size)

    def answer(self, command: str, properties: dict[str, Any], page: int = 7) -> dict[str, Any]:
        if command == "snapshot":
            return {"boot": self.journal.boot, "seq": self.journal.seq, "watchers": {}}
        since = properties.get("since")
        if since is None:
            return self.journal.since(self.journal.seq, 0)
        return self.journal.since(since, page)


def ask(stream: Stream, history: History) -> list[Delivery]:
    """Ask until nothing is left to ask."""
    deliveries: list[Delivery] = []
    while stream.question is not None:
        deliveries += stream.answer(history.answer(*stream.question))
    return deliveries


def told(deliveries: list[Delivery]) -> list[Any]:
    """Numbers of events; ("snapshot", seq) and ("lost", first, last) for the others."""
    result: list[Any] = []
    for delivery in deliveries:
        if isinstance(delivery, Event):
            result.append(delivery.seq)
        elif isinstance(delivery, Snapshot):
            result.append(("snapshot", delivery.seq))
        else:
            result.append(("lost", delivery.first, delivery.last))
    return result


def feed(stream: Stream, messages: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    return told([delivery for message in messages for delivery in stream.take(*message)])


def test_nothing_is_asked_until_the_subscription_is_live() -> None:
    history = History()
    stream = Stream(snapshots=True)
    assert stream.question is None
    assert feed(stream, history.happen(3)) == []
    stream.live()
    assert stream.question == ("snapshot", {})


def test_what_comes_before_the_answer_is_delivered_after_it() -> None:
    history = History()
    stream = Stream(snapshots=True)
    stream.live()
    before = history.happen(3)
    reply = history.answer("snapshot", {})
    after = history.happen(2)
    assert feed(stream, before + after) == []
    assert told(stream.answer(reply)) == [("snapshot", 3), 4, 5]
    assert stream.question is None
    assert feed(stream, [*after, *history.happen()]) == [6], "each once"


def test_a_gap_is_asked_for_page_by_page_and_what_comes_meanwhile_waits() -> None:
    history = History()
    stream = Stream(snapshots=True)
    stream.live()
    ask(stream, history)
    lost, seen = history.happen(20), history.happen(1)
    assert len(lost) == 20
    assert feed(stream, seen) == []
    assert stream.question == ("events", {"since": 0})
    first = stream.answer(history.answer("events", {"since": 0}))
    assert told(first) == list(range(1, 8))
    assert feed(stream, history.happen(2)) == []
    assert told(ask(stream, history)) == list(range(8, 24))
    assert feed(stream, history.happen()) == [24]


def test_a_tick_shows_a_lost_tail() -> None:
    history = History()
    stream = Stream(snapshots=True)
    stream.live()
    ask(stream, history)
    history.happen(3)
    assert stream.question is None
    assert feed(stream, [history.tick()]) == []
    assert told(ask(stream, history)) == [1, 2, 3]
    feed(stream, [history.tick()])
    assert stream.question is None, "nothing is asked while nothing is missing"


def test_a_successor_goes_on_from_the_last_number() -> None:
    history = History()
    history.happen(5)
    stream = Stream(3, history.journal.boot, snapshots=True)
    stream.live()
    assert told(ask(stream, history)) == [4, 5, ("snapshot", 5)]
    assert feed(stream, history.happen()) == [6]


def test_a_successor_hears_what_it_has_missed_before_and_after_its_snapshot() -> None:
    history = History()
    history.happen(20)
    stream = Stream(3, history.journal.boot, snapshots=True)
    stream.live()
    assert stream.question == ("snapshot", {})
    reply = history.answer("snapshot", {})
    history.happen(4)
    assert stream.answer(reply) == []
    assert told(ask(stream, history)) == [*range(4, 21), ("snapshot", 20), *range(21, 25)]


def test_a_successor_that_has_missed_nothing_gets_its_snapshot_too() -> None:
    history = History()
    history.happen(5)
    stream = Stream(5, history.journal.boot, snapshots=True)
    stream.live()
    assert told(ask(stream, history)) == [("snapshot", 5)]


def test_a_successor_of_another_life_begins_with_a_snapshot() -> None:
    history = History()
    stream = Stream(5, history.journal.boot, snapshots=True)
    history.restart()
    history.happen(2)
    stream.live()
    assert told(ask(stream, history)) == [("snapshot", 2)]


@pytest.mark.parametrize("snapshots", [True, False])
def test_what_the_ring_has_forgotten(snapshots: bool) -> None:
    history = History(size=10)
    stream = Stream(0, history.journal.boot, snapshots=snapshots)
    stream.live()
    history.happen(25)
    expected = [("snapshot", 25)] if snapshots else [("lost", 1, 15), *range(16, 26)]
    assert told(ask(stream, history)) == expected
    assert feed(stream, history.happen()) == [26]


@pytest.mark.parametrize("sign", ["event", "tick", "connection"])
@pytest.mark.parametrize("snapshots", [True, False])
def test_another_life_of_the_daemon(snapshots: bool, sign: str) -> None:
    history = History()
    stream = Stream(snapshots=snapshots)
    stream.live()
    ask(stream, history)
    old = history.happen(4)
    assert feed(stream, old[:3]) == [1, 2, 3]
    history.restart()
    events = history.happen(2)
    if sign == "connection":
        stream.live()
    else:
        feed(stream, events[:1] if sign == "event" else [history.tick()])
    assert told(ask(stream, history)) == ([("snapshot", 2)] if snapshots else [1, 2])
    assert feed(stream, old[3:]) == [], "what the old one had published is no longer of interest"
    assert stream.question is None
    assert feed(stream, history.happen()) == [3]


def test_without_a_number_it_begins_with_what_comes_next() -> None:
    history = History()
    history.happen(9)
    stream = Stream()
    stream.live()
    assert told(ask(stream, history)) == []
    assert feed(stream, history.happen()) == [10]


def test_messages_without_a_number_are_none_of_its() -> None:
    history = History()
    stream = Stream(snapshots=True)
    stream.live()
    ask(stream, history)
    assert feed(stream, [("watcher.w.kill", {}), ("@sync.x", {}), ("watcher.w.kill", {"seq": "1"})]) == []
    assert stream.question is None


def test_a_daemon_that_keeps_no_events() -> None:
    stream = Stream(0)
    stream.live()
    with pytest.raises(CallError, match="unknown command"):
        stream.answer({"status": "error", "reason": "unknown command: 'events'"})


def test_memory_is_bounded_while_an_answer_is_awaited() -> None:
    history = History(size=HELD_LIMIT * 2)
    stream = Stream(snapshots=True)
    stream.live()
    reply = history.answer("snapshot", {})
    assert feed(stream, history.happen(HELD_LIMIT + 500)) == []
    assert len(stream._held) == HELD_LIMIT
    deliveries = stream.answer(reply)
    feed(stream, [history.tick()])
    assert told(deliveries + ask(stream, history)) == [("snapshot", 0), *range(1, HELD_LIMIT + 501)]


_ACTS = st.lists(
    st.tuples(
        st.sampled_from(("deliver", "lose", "repeat", "tick", "ask", "ask late", "reconnect", "restart")),
        st.integers(1, 12),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(acts=_ACTS, snapshots=st.booleans(), known=st.booleans(), size=st.integers(1, 40))
def test_whatever_is_lost_nothing_is_missing_and_nothing_comes_twice(
    acts, snapshots: bool, known: bool, size: int
) -> None:
    """The deliveries account for each number of each life: as an event, by a snapshot, or as lost; in order."""
    history = History(size)
    boot = history.journal.boot if snapshots else None
    stream = Stream(0, boot, snapshots=snapshots) if known or not snapshots else Stream(snapshots=True)
    stream.live()
    delivered: list[tuple[str, Delivery]] = []
    sent: list[tuple[str, dict[str, Any]]] = []
    late: list[dict[str, Any]] = []

    def deliver(deliveries: list[Delivery]) -> None:
        delivered.extend((str(stream.boot), delivery) for delivery in deliveries)

    def answer_late() -> None:
        while late:
            deliver(stream.answer(late.pop()))

    for act, count in acts:
        if act == "deliver":
            sent = history.happen(count)
            for message in sent:
                deliver(stream.take(*message))
        elif act == "lose":
            history.happen(count)
        elif act == "repeat":
            for message in sent:
                deliver(stream.take(*message))
        elif act == "tick":
            deliver(stream.take(*history.tick()))
        elif act == "ask" or late:
            answer_late()
            deliver(ask(stream, history))
        elif act == "ask late" and stream.question is not None:
            late.append(history.answer(*stream.question))
        elif act == "reconnect":
            stream.live()
        elif act == "restart":
            history.restart()
    answer_late()
    stream.live()
    deliver(ask(stream, history))
    _check_account(delivered, history.journal, snapshots)
    assert not snapshots or any(isinstance(delivery, Snapshot) for _, delivery in delivered)


def _check_account(delivered: list[tuple[str, Delivery]], last: Journal, snapshots: bool) -> None:
    reached: dict[str, int] = {}
    for boot, delivery in delivered:
        if isinstance(delivery, Snapshot):
            assert snapshots
            assert delivery.seq >= reached.get(delivery.boot, 0)
            reached[delivery.boot] = delivery.seq
        elif isinstance(delivery, Event):
            assert delivery.seq == reached.get(delivery.boot, 0) + 1, "in order, without a gap, each once"
            reached[delivery.boot] = delivery.seq
        else:
            assert isinstance(delivery, Lost)
            assert not snapshots
            assert delivery.first == reached.get(boot, 0) + 1
            reached[boot] = delivery.last
    assert reached.get(last.boot, 0) == last.seq
