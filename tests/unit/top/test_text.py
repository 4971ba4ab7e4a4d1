from __future__ import annotations

import pytest

from circus.top.text import age, harmless, percent, size


def test_what_programs_print_does_not_steer_the_terminal() -> None:
    assert harmless("a\x1b[31mred\x1b[0m\tb\x1b]0;title\x07\udcff\x9b") == "ared b·]0;title···"


@pytest.mark.parametrize(
    "seconds,shown", [(None, "-"), (-1, "0s"), (59.9, "59s"), (185, "3m05s"), (7800, "2h10m"), (442800, "5d03h")]
)
def test_age(seconds: float | None, shown: str) -> None:
    assert age(seconds) == shown


def test_figures() -> None:
    assert (percent(None), percent(12.345), size(None), size(2048)) == ("-", "12.3", "-", "2.00K")
