from __future__ import annotations

import pytest

from circus.top.history import KEPT, History, graph


@pytest.mark.parametrize(
    "values,width,top,drawn",
    [
        ([], 3, 0, "   "),
        ([0, 0], 3, 0, " ▁▁"),
        ([0, 50, 100], 3, 100, "▁▅█"),
        ([1, 2, 4], 3, 0, "▃▅█"),
        ([100, 0, 0, 0], 2, 100, "█▁"),
        ([5], 0, 0, ""),
        ([10], 1, 100, "▁"),
    ],
)
def test_graph(values: list[float], width: int, top: float, drawn: str) -> None:
    assert graph(values, width, top) == drawn


def test_a_history_is_bounded() -> None:
    history = History()
    for value in range(KEPT * 3):
        history.add(value)
    assert len(history.values) == KEPT
    assert history.values[-1] == KEPT * 3 - 1
