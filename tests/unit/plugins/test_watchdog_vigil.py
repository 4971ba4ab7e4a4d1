"""Who has been silent for too long, with times that the test hands in."""

from __future__ import annotations

import pytest

from circus.plugins.watchdog import Vigil


@pytest.fixture
def vigil() -> Vigil:
    """Three seconds of silence are too long; looks are a second apart."""
    vigil = Vigil(limit=3.0, longest_gap=2.0)
    vigil.begin_again(0.0)
    return vigil


def look(vigil: Vigil, now: float) -> set[int]:
    return set(vigil.silent(now))


def test_a_process_has_the_whole_limit_from_its_start(vigil: Vigil) -> None:
    vigil.begin(1, "web", 0.5)
    assert [look(vigil, now) for now in (1.0, 2.0, 3.0, 3.5)] == [set()] * 4
    assert look(vigil, 3.6) == {1}


def test_a_heartbeat_gives_the_whole_limit_again(vigil: Vigil) -> None:
    vigil.begin(1, "web", 0.0)
    assert not look(vigil, 2.0)
    assert vigil.beat(1, 2.5)
    assert [look(vigil, now) for now in (4.0, 5.5)] == [set()] * 2
    assert look(vigil, 5.6) == {1}


def test_all_who_are_silent_are_found_at_once_and_once(vigil: Vigil) -> None:
    for pid in (1, 2, 3, 4):
        vigil.begin(pid, "web", 0.0)
    look(vigil, 2.0)
    vigil.beat(4, 2.0)
    found = vigil.silent(4.0)
    assert {pid: process.watcher for pid, process in found.items()} == {1: "web", 2: "web", 3: "web"}
    assert not look(vigil, 4.5)


def test_who_is_forgotten_is_not_found(vigil: Vigil) -> None:
    vigil.begin(1, "web", 0.0)
    vigil.begin(2, "web", 0.0)
    vigil.forget(1)
    vigil.forget(7)
    look(vigil, 2.0)
    assert look(vigil, 4.0) == {2}


def test_the_heartbeat_of_a_stranger_changes_nothing(vigil: Vigil) -> None:
    assert not vigil.beat(9, 1.0)
    assert not vigil.watched


def test_after_a_pause_of_its_own_nobody_is_blamed(vigil: Vigil) -> None:
    vigil.begin(1, "web", 0.0)
    assert not look(vigil, 100.0)
    assert [look(vigil, now) for now in (102.0, 103.0)] == [set()] * 2
    assert look(vigil, 103.1) == {1}
