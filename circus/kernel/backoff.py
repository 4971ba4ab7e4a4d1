"""How long to wait before a slot is filled again. Pure: times are arguments, in seconds."""

from __future__ import annotations

from typing import Final

YOUNG: Final = 1.0
"""A process that ends by itself before this age has failed to come up (s6 uses the same second)."""

STABLE: Final = 10.0
"""A process that has lived this long resets the wait."""

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0
JITTER: Final = 0.1


def failures_after(failures: int, lived: float) -> int:
    """Return the number of failures in a row after a process has ended by itself at the age of ``lived``."""
    if lived < YOUNG:
        return failures + 1
    return 0 if lived >= STABLE else failures


def delay(failures: int, chance: float) -> float:
    """Return the wait before the next try: 0 after the first failure, then 0.1, 0.2, 0.4 … 5 s.

    ``chance`` is a random number from 0 to 1; it lengthens the wait by up to a tenth, so that many do not try at once.
    """
    if failures <= 1:
        return 0.0
    return min(FIRST_DELAY * 2.0 ** min(failures - 2, 16), LONGEST_DELAY) * (1.0 + JITTER * chance)


def delay_after_exit(failures: int, lived: float, chance: float) -> float:
    """Return the wait after a process has ended by itself: none unless it died young."""
    return delay(failures, chance) if lived < YOUNG else 0.0
