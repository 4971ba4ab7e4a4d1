"""The last minutes of a figure, and how they are drawn."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT: Final = 180
"""Figures that are kept of each process and watcher: circusd-stats tells one a second."""

_BARS: Final = "▁▂▃▄▅▆▇█"


class History:
    """A figure, and what it was before; the oldest ones are forgotten."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: deque[float] = deque(maxlen=KEPT)

    def add(self, value: float) -> None:
        """Take a figure."""
        self.values.append(value)


def graph(values: Iterable[float], width: int, top: float = 0.0) -> str:
    """Draw figures as ``width`` bars, the latest on the right.

    Several figures share a bar, which has the height of the largest. The highest bar stands for ``top`` or for the
    largest figure, whichever is larger.
    """
    known = list(values)
    if not known or width < 1:
        return " " * max(0, width)
    share = max(1, -(-len(known) // width))
    # Counted from the right, so that a bar keeps its figures while others follow.
    groups = [known[max(0, end - share) : end] for end in range(len(known), 0, -share)][::-1][-width:]
    highs = [max(group) for group in groups]
    full = max(top, *highs, 0.0)
    return "".join(_bar(high, full) for high in highs).rjust(width)


def _bar(value: float, full: float) -> str:
    if full <= 0:
        return _BARS[0]
    return _BARS[min(len(_BARS) - 1, max(0, int(value / full * len(_BARS))))]
