"""How figures and what programs have printed are shown."""

from __future__ import annotations

import re
from typing import Final

from circus.util import human_size

UNKNOWN: Final = "-"
"""Stands where nothing is known."""

# Colours are dropped, and all else that could steer a terminal is shown as a sign of its own.
_COLOUR = re.compile("\x1b\\[[0-9;:]{0,32}m")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\udc80-\udcff]")


def harmless(text: str) -> str:
    """Return a text that does nothing to a terminal: ``\\x1b`` becomes ``·``, and a tabulator a blank."""
    return _CONTROL.sub("·", _COLOUR.sub("", text).replace("\t", " "))


def percent(value: float | None) -> str:
    """Return a share as ``12.3``."""
    return UNKNOWN if value is None else f"{value:.1f}"


def size(value: float | None) -> str:
    """Return bytes as ``13.2M``."""
    return UNKNOWN if value is None else human_size(value)


def age(seconds: float | None) -> str:
    """Return a length of time in at most six signs: ``12s``, ``3m05s``, ``2h10m``, ``5d03h``."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, int(seconds))
    for length, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= length:
            return f"{whole // length}{unit}{whole % length // part:02d}{smaller}"
    return f"{whole}s"
