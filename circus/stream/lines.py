"""Where lines end: cutting and prefixing bytes, without a look at what they mean."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 1 << 20
"""Bytes of a line that are kept together; a longer line comes in pieces."""
_WINDOW: Final = 4096


def last_end(data: bytes | memoryview, limit: int) -> int:
    """Return the position after the last newline among the first ``limit`` bytes; 0 if there is none."""
    end = min(limit, len(data))
    # A memoryview cannot be searched, and most lines are short: copy a little at a time.
    while end > 0:
        start = max(0, end - _WINDOW)
        found = bytes(data[start:end]).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def first_end(data: bytes | memoryview) -> int:
    """Return the position after the first newline; 0 if there is none."""
    for start in range(0, len(data), _WINDOW):
        found = bytes(data[start : start + _WINDOW]).find(b"\n")
        if found >= 0:
            return start + found + 1
    return 0


def prefixed(data: bytes | memoryview, prefix: bytes) -> bytes:
    """Return the lines with ``prefix`` before each; one at the end that lacks its newline gets it."""
    text = bytes(data)
    body = text[:-1] if text.endswith(b"\n") else text
    return prefix + body.replace(b"\n", b"\n" + prefix) + b"\n"
