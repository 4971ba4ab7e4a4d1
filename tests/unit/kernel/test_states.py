"""The transition tables are total, and a watcher's state follows from what is."""

from __future__ import annotations

import itertools

import pytest

from circus.kernel import states

ACTIONS = {
    states.NOTHING,
    states.SEND_STOP_SIGNAL,
    states.SEND_SIGKILL,
    states.REPORT_UNKILLABLE,
    states.IGNORED,
    states.DEFECT,
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(states.STATES, states.EVENTS)))
def test_every_state_answers_every_event(state: str, event: str) -> None:
    following, action = states.step(state, event)
    assert following in states.STATES
    assert action in ACTIONS
    if action in (states.IGNORED, states.DEFECT):
        assert following == state


@pytest.mark.parametrize("state", [states.STARTING, states.RUNNING, states.STOPPING, states.KILLING])
def test_whatever_lives_can_end(state: str) -> None:
    assert states.step(state, states.EXITED) == (states.GONE, states.NOTHING)


@pytest.mark.parametrize("state", [states.GONE, states.FAILED])
def test_what_is_over_stays_over(state: str) -> None:
    assert {states.step(state, event)[0] for event in states.EVENTS} == {state}


def test_a_stop_signal_is_followed_by_sigkill_and_then_by_a_report() -> None:
    assert states.step(states.RUNNING, states.STOP) == (states.STOPPING, states.SEND_STOP_SIGNAL)
    assert states.step(states.STOPPING, states.STOP) == (states.STOPPING, states.IGNORED)
    assert states.step(states.STOPPING, states.DEADLINE) == (states.KILLING, states.SEND_SIGKILL)
    assert states.step(states.KILLING, states.DEADLINE) == (states.KILLING, states.REPORT_UNKILLABLE)


@pytest.mark.parametrize(
    ("up", "left", "down", "pending", "expected"),
    [
        (False, False, False, False, "stopped"),
        (False, True, False, True, "stopping"),
        (True, True, True, True, "stopping"),
        (True, False, True, True, "starting"),
        (True, True, False, True, "starting"),
        (True, True, False, False, "active"),
        (True, False, False, False, "active"),
    ],
)
def test_state_of_a_watcher(up: bool, left: bool, down: bool, pending: bool, expected: str) -> None:
    state = states.watcher_state(up=up, anything_left=left, bringing_down=down, start_pending=pending)
    assert state == expected
