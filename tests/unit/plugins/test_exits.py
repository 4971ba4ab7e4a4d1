"""Counting exits: the window, the retries, what counts and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from circus.plugins.exits import Detector, Exit, Flap, Limits, attempt_of, span

DEFAULT = Limits(attempts=2, window=1.0, retry_in=7.0, max_retry=5, active=True)
RETRY_1 = "flapping: retry in 7s (attempt number 1)"


class Story:
    """Events of one watcher, told one after the other."""

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self.detector = Detector()
        self.limits = limits
        self.pid = 100

    def event(self, action: str, **data: Any) -> bool:
        return self.detector.take("w", action, data)

    def spawn(self, mono: float, wid: int = 1) -> int:
        self.pid += 1
        self.event("spawn", process_pid=self.pid, wid=wid, mono=mono)
        return self.pid

    def reap(self, mono: float, pid: int, wid: int = 1, reason: str = "exited") -> Flap | None:
        counts = self.event("reap", process_pid=pid, wid=wid, mono=mono, reason=reason, exit_code=1)
        return self.detector.judge("w", self.limits) if counts else None

    def dies(self, mono: float, wid: int = 1) -> Flap | None:
        """A process of a slot ends, and another takes its place at once."""
        living = self.detector.records["w"].slots.get(wid) if "w" in self.detector.records else None
        flap = self.reap(mono, min(living) if living else self.spawn(mono, wid), wid)
        if flap is None:
            self.spawn(mono, wid)
        return flap

    def is_retried(self, mono: float, attempt: int) -> None:
        """It is stopped, and the plugin starts it again."""
        self.event("stop", reason=f"flapping: retry in 7s (attempt number {attempt})")
        self.spawn(mono)
        self.event("start", reason=f"flapping: retry (attempt number {attempt})")


def test_so_many_exits_within_the_window_are_too_many() -> None:
    story = Story(DEFAULT._replace(attempts=3))
    assert story.dies(10.0) is None
    assert story.dies(10.5) is None
    assert story.dies(11.0) == Flap(1, give_up=False), "the bound is inclusive"


def test_exits_further_apart_are_not() -> None:
    story = Story(DEFAULT._replace(attempts=3))
    for mono in (10.0, 10.9, 11.1, 12.1, 13.5):
        assert story.dies(mono) is None
    assert story.dies(13.6) is None
    assert story.dies(14.5) is not None


def test_a_single_attempt_makes_each_exit_one_too_many() -> None:
    assert Story(DEFAULT._replace(attempts=1)).dies(10.0) == Flap(1, give_up=False)


def test_exits_of_all_processes_count_together() -> None:
    story = Story()
    assert story.dies(10.0, wid=1) is None
    assert story.dies(10.5, wid=7) == Flap(1, give_up=False)


@pytest.mark.parametrize("reason", ["stop", "restart", "reload", "resize", "kill", "max_age", "hook"])
def test_a_commanded_end_does_not_count(reason: str) -> None:
    story = Story()
    for wid in range(1, 5):
        assert story.reap(10.0, story.spawn(9.0, wid), wid, reason) is None
    assert story.dies(10.1) is None, "the first that counts"


def test_a_new_process_of_a_reload_that_does_not_come_up_does_not_count() -> None:
    story = Story()
    for wid in (1, 2, 3):
        story.spawn(5.0, wid)
    new = [story.spawn(10.0, wid) for wid in (1, 2, 3)]
    for wid, pid in enumerate(new, 1):
        assert story.reap(10.1, pid, wid) is None, "the old process of that slot is still there"
    assert story.dies(10.2) is None
    assert story.dies(10.3) is not None, "the old ones count as ever"


def test_the_time_that_circusd_waits_is_not_part_of_the_window() -> None:
    story = Story(DEFAULT._replace(attempts=6))
    mono, flap = 10.0, None
    for wait in (0.0, 0.1, 0.2, 0.4, 0.8, 1.6):
        assert flap is None
        flap = story.reap(mono, story.spawn(mono))
        mono += wait
    assert flap == Flap(1, give_up=False)


def test_waits_side_by_side_count_once() -> None:
    # Ten seconds, of which each of the slots was empty for five.
    exits = [Exit(10.0, 1, 0.0), Exit(15.0, 2, 5.0), Exit(20.0, 1, 5.0)]
    assert span(exits) == 5.0


def test_it_is_retried_so_often_and_then_given_up() -> None:
    story = Story(DEFAULT._replace(max_retry=2))
    story.dies(10.0)
    assert story.dies(10.1) == Flap(1, give_up=False)
    story.is_retried(17.0, 1)
    story.dies(17.1)
    assert story.dies(17.2) == Flap(2, give_up=False)
    story.is_retried(24.0, 2)
    story.dies(24.1)
    assert story.dies(24.2) == Flap(2, give_up=True)


def test_it_is_retried_for_ever() -> None:
    story = Story(DEFAULT._replace(max_retry=-1))
    for attempt in range(1, 20):
        story.dies(attempt * 10.0)
        assert story.dies(attempt * 10.0) == Flap(attempt, give_up=False)
        story.is_retried(attempt * 10.0 + 7.0, attempt)


def test_without_retries_it_is_given_up_at_once() -> None:
    story = Story(DEFAULT._replace(max_retry=0))
    story.dies(10.0)
    assert story.dies(10.0) == Flap(0, give_up=True)


@pytest.mark.parametrize(("lived", "attempt"), [(7.9, 2), (8.1, 1)])
def test_a_long_life_without_an_exit_forgives(lived: float, attempt: int) -> None:
    story = Story()
    story.dies(10.0)
    assert story.dies(10.0) == Flap(1, give_up=False)
    story.is_retried(17.0, 1)
    story.dies(17.0 + lived)
    assert story.dies(17.0 + lived) == Flap(attempt, give_up=False)


def test_the_wait_for_the_retry_is_no_long_life() -> None:
    story = Story()
    story.dies(10.0)
    story.dies(10.0)
    story.is_retried(1000.0, 1)
    story.dies(1000.1)
    assert story.dies(1000.2) == Flap(2, give_up=False)


@pytest.mark.parametrize("action", ["start", "stop", "reload", "remove"])
def test_what_somebody_else_decides_counts_anew(action: str) -> None:
    story = Story()
    story.dies(10.0)
    assert story.dies(10.1) == Flap(1, give_up=False)
    story.is_retried(17.0, 1)
    story.dies(17.1)
    story.event(action)
    assert story.dies(17.2) is None, "the exit before does not count any more"
    assert story.dies(17.3) == Flap(1, give_up=False), "and neither does the retry"


def test_exits_while_it_is_being_stopped_do_not_count() -> None:
    story = Story()
    story.spawn(9.0, wid=3)
    story.dies(10.0)
    assert story.dies(10.1) == Flap(1, give_up=False)
    assert story.detector.is_held("w")
    assert story.dies(10.2, wid=3) is None
    assert story.detector.held() == {}
    story.event("stop", reason=RETRY_1)
    assert story.detector.held() == {"w": RETRY_1}


def test_whoever_starts_it_ends_the_wait() -> None:
    story = Story()
    story.event("stop", reason=RETRY_1)
    assert story.detector.is_held("w")
    story.spawn(12.0)
    assert not story.detector.is_held("w")


def test_it_goes_on_counting_when_the_stop_was_refused() -> None:
    story = Story()
    story.dies(10.0)
    assert story.dies(10.1) is not None
    story.detector.release("w")
    story.dies(10.2)
    assert story.dies(10.3) is not None


def test_an_inactive_one_is_left_alone() -> None:
    story = Story(DEFAULT._replace(active=False))
    for _ in range(5):
        assert story.dies(10.0) is None


def picture(state: str, reason: str = "", pids: dict[int, int] | None = None) -> dict[str, Any]:
    return {
        "state": state,
        "detail": "",
        "reason": reason,
        "processes": [{"pid": p, "wid": w} for p, w in (pids or {}).items()],
    }


def test_a_snapshot_tells_who_waits_for_a_retry() -> None:
    detector = Detector()
    detector.adjust({"My Web": picture("stopped", RETRY_1), "other": picture("stopped", "it was stopped")})
    assert detector.held() == {"my_web": RETRY_1}
    assert not detector.is_held("other")


def test_a_snapshot_corrects_what_the_events_do_not_tell() -> None:
    story = Story()
    story.event("stop", reason=RETRY_1)
    story.detector.adjust({"w": picture("active", pids={7: 1, 8: 1})})
    assert not story.detector.is_held("w")
    assert story.reap(10.0, 7) is None, "another process is in that slot"
    assert story.dies(10.1) is None
    assert story.dies(10.2) == Flap(2, give_up=False)


def test_one_that_is_given_up_and_still_ending_is_forgotten() -> None:
    story = Story()
    assert story.dies(10.0) is None
    story.detector.adjust({"w": picture("stopping", "gave up: flapping") | {"detail": "failed"}})
    assert story.dies(10.1) is None


@pytest.mark.parametrize("reason", [None, "", "it was stopped", "flapping: gave up", 3, f"x{RETRY_1}", f"{RETRY_1}\n"])
def test_the_reasons_of_others_are_not_mistaken(reason: object) -> None:
    assert attempt_of(reason) is None
