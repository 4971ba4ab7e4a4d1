"""When a file that is rotated by time ends, and what it is called: by the names that Circus 0.19 was seen to give."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.stream.periods import Period
from circus.stream.registration import UNITS


@pytest.fixture(scope="module", autouse=True)
def berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def at(*parts: int) -> float:
    """A time of Berlin."""
    return datetime(*parts).timestamp()  # type: ignore[arg-type]  # noqa: DTZ001


FRIDAY = (2026, 11, 20, 10, 20, 30)


@pytest.mark.parametrize(
    ("unit", "interval", "end", "suffix"),
    [
        ("S", 1, (2026, 11, 20, 10, 20, 31), "20261120102030"),
        ("S", 45, (2026, 11, 20, 10, 21, 15), "20261120102030"),
        ("M", 3, (2026, 11, 20, 10, 23, 30), "202611201020"),
        ("H", 1, (2026, 11, 20, 11, 20, 30), "2026112010"),
        ("H", 3, (2026, 11, 20, 13, 20, 30), "2026112010"),
        ("D", 1, (2026, 11, 21, 10, 20, 30), "20261120"),
        ("D", 3, (2026, 11, 23, 10, 20, 30), "20261120"),
        ("midnight", 1, (2026, 11, 21), "20261120"),
        ("midnight", 2, (2026, 11, 22), "20261120"),
        ("W4", 1, (2026, 11, 21), "20261114"),
        ("W5", 1, (2026, 11, 22), "20261115"),
        ("W6", 1, (2026, 11, 23), "20261116"),
        ("W0", 1, (2026, 11, 24), "20261117"),
        ("W3", 1, (2026, 11, 27), "20261120"),
        ("W6", 2, (2026, 11, 30), "20261116"),
    ],
)
def test_end_and_name(unit: str, interval: int, end: tuple[int, ...], suffix: str) -> None:
    period = Period(unit, interval)
    assert period.end(at(*FRIDAY)) == at(*end)
    assert period.suffix(at(*end)) == suffix
    assert len(suffix) == period.digits


def test_utc() -> None:
    late = datetime(2026, 11, 20, 23, 30, tzinfo=UTC).timestamp()
    assert Period("midnight", 1, True).end(late) == datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    assert Period("midnight", 1, False).end(late) == at(2026, 11, 22)
    assert Period("H", 1, True).suffix(late + 3600) == "2026112023"
    assert Period("H", 1, False).suffix(late + 3600) == "2026112100"


def test_days_on_which_the_clocks_change() -> None:
    assert Period("D").end(at(2026, 10, 24, 12)) == at(2026, 10, 24, 12) + 25 * 3600
    assert Period("D").end(at(2026, 10, 25, 0, 30)) == at(2026, 10, 25, 0, 30) + 25 * 3600
    assert Period("midnight").end(at(2026, 10, 25)) == at(2026, 10, 25) + 25 * 3600
    assert Period("midnight").end(at(2026, 3, 29)) == at(2026, 3, 29) + 23 * 3600
    assert Period("W6").end(at(2026, 10, 23, 10)) == at(2026, 10, 26)
    assert Period("W6").suffix(at(2026, 10, 26)) == "20261019"


@given(
    st.sampled_from(UNITS),
    st.integers(1, 40),
    st.booleans(),
    st.floats(0, 4e9, allow_nan=False),
)
def test_each_file_ends_after_it_began_and_the_next_one_is_called_otherwise(
    unit: str, interval: int, utc: bool, begun: float
) -> None:
    period = Period(unit, interval, utc)
    end = period.end(begun)
    assert end > begun
    assert len(period.suffix(end)) == period.digits
    if unit not in "SMH":
        assert period.suffix(end) < period.suffix(period.end(end))
