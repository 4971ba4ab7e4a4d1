"""The waits before a slot is filled again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.kernel import backoff


def test_the_first_replacement_is_immediate_and_each_later_one_waits_longer() -> None:
    waits = [backoff.delay(failures, 0.0) for failures in range(10)]
    assert waits == [0.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_no_wait_is_longer_than_the_longest_and_its_jitter(failures: int, chance: float) -> None:
    assert 0 <= backoff.delay(failures, chance) <= backoff.LONGEST_DELAY * 1.1
    assert backoff.delay(failures, chance) >= backoff.delay(failures, 0.0)


@pytest.mark.parametrize(
    ("failures", "lived", "expected"), [(0, 0.1, 1), (3, 0.99, 4), (3, 1.0, 3), (3, 9.9, 3), (3, 10.0, 0), (0, 99.0, 0)]
)
def test_early_deaths_count_and_a_long_life_resets(failures: int, lived: float, expected: int) -> None:
    assert backoff.failures_after(failures, lived) == expected


def test_who_did_not_die_young_is_replaced_at_once() -> None:
    assert backoff.delay_after_exit(5, 1.5, 1.0) == 0.0
    assert backoff.delay_after_exit(5, 0.5, 0.0) == 0.8
