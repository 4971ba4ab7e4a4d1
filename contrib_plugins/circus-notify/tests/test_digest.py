"""When people are told, and of what."""

from __future__ import annotations

from circus_notify.digest import Digest, Notice, as_json, line, subject


def notice(watcher: str = "web", event: str = "crash", time: float = 0.0, detail: str = "exit code 3") -> Notice:
    return Notice(watcher, event, detail, time, time)


def counts(notices: list[Notice]) -> dict[tuple[str, str], int]:
    return {(notice.watcher, notice.event): notice.count for notice in notices}


def test_the_first_waits_for_others() -> None:
    digest = Digest(interval=60, delay=1)
    assert digest.due() is None
    digest.add(notice("a"), 100)
    digest.add(notice("b"), 100.9)
    assert digest.due() == 101
    assert digest.take(100.9) == []
    assert counts(digest.take(101)) == {("a", "crash"): 1, ("b", "crash"): 1}
    assert digest.due() is None
    assert digest.take(500) == []


def test_what_follows_waits_for_the_interval_and_is_counted() -> None:
    digest = Digest(interval=60, delay=1)
    digest.add(notice(), 100)
    digest.take(101)
    for moment in range(102, 112):
        digest.add(notice(time=moment, detail=f"at {moment}"), moment)
    assert digest.due() == 161
    [told] = digest.take(161)
    assert (told.count, told.first, told.last, told.detail) == (10, 102, 111, "at 111")


def test_another_watcher_does_not_wait_for_that() -> None:
    digest = Digest(interval=60, delay=1)
    digest.add(notice("a"), 100)
    digest.take(101)
    digest.add(notice("a"), 102)
    digest.add(notice("b"), 102)
    assert digest.due() == 103
    assert counts(digest.take(103)) == {("b", "crash"): 1}
    assert digest.due() == 161


def test_what_cannot_be_told_waits_again_with_what_came_since() -> None:
    digest = Digest(interval=60, delay=1)
    digest.add(notice(time=1, detail="first"), 100)
    taken = digest.take(101)
    digest.add(notice(time=2, detail="second"), 102)
    digest.add(notice(event="gave_up"), 102)
    digest.put_back(taken, 103)
    due = digest.due()
    assert due is not None
    assert due <= 104
    told = digest.take(104)
    assert counts(told) == {("web", "crash"): 2, ("web", "gave_up"): 1}
    crash = next(notice for notice in told if notice.event == "crash")
    assert (crash.first, crash.last, crash.detail) == (1, 2, "second")


def test_in_the_end_nothing_waits() -> None:
    digest = Digest(interval=60, delay=1)
    digest.add(notice(), 100)
    digest.take(101)
    digest.add(notice(), 102)
    assert counts(digest.take_all(102)) == {("web", "crash"): 1}
    assert digest.take_all(102) == []


def test_messages() -> None:
    told = [notice(), notice("db", "gave_up", detail=""), Notice("web", "crash", "killed by SIGKILL", 1, 3.2, 4)]
    assert subject(told, "host") == "circus on host: crash, gave_up: web, db"
    assert subject([notice(f"w{number}") for number in range(12)], "host") == "circus on host: crash: 12 watchers"
    assert list(map(line, told)) == [
        "web: crash: exit code 3",
        "db: gave_up",
        "web: crash (4 times in 2 s): killed by SIGKILL",
    ]
    message = as_json(told[:1], "host")
    assert message["text"] == "circus on host: crash: web\nweb: crash: exit code 3"
    assert message["notices"] == [
        {"watcher": "web", "event": "crash", "detail": "exit code 3", "count": 1, "first": 0.0, "last": 0.0}
    ]


def test_a_subject_is_no_novel() -> None:
    assert len(subject([notice("w" * 5000)], "host")) == 200
