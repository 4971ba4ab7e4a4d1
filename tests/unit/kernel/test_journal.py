"""Events are numbered, kept in a ring, and handed on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from circus.kernel.journal import Journal


def test_events_are_numbered_and_carry_the_boot() -> None:
    journal = Journal()
    heard: list[tuple[str, int]] = []
    journal.subscribe(lambda topic, data: heard.append((topic, data["seq"])))
    journal.publish("My Proc", "spawn", process_pid=7)
    journal.publish("other", "stop", time=12.5)
    assert heard == [("watcher.my_proc.spawn", 1), ("watcher.other.stop", 2)]
    reply = journal.since(0)
    assert [entry["data"]["seq"] for entry in reply["events"]] == [1, 2]
    assert reply["events"][1]["data"]["time"] == 12.5
    assert {entry["data"]["boot"] for entry in reply["events"]} == {journal.boot} == {reply["boot"]}
    assert Journal().boot != journal.boot


@given(st.integers(1, 20), st.integers(0, 60), st.integers(0, 70), st.integers(1, 30))
def test_since_gives_what_is_kept_and_says_what_is_lost(size: int, count: int, since: int, limit: int) -> None:
    journal = Journal(size)
    for number in range(count):
        journal.publish("w", "spawn", process_pid=number)
    reply = journal.since(since, limit)
    numbers = [entry["data"]["seq"] for entry in reply["events"]]
    kept = range(max(1, count - size + 1), count + 1)
    assert numbers == [number for number in kept if number > since][:limit]
    assert reply["last_seq"] == count
    assert reply.get("truncated", False) == (since + 1 < kept.start)
