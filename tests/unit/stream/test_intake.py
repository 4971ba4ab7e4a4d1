"""Cutting what is read after the last whole line."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from circus.stream import lines
from circus.stream.intake import Intake
from circus.stream.pipes import Captured, Pipe

PIECES = st.lists(st.sampled_from([b"\n", b"x", b"a\nb", b"\xff\x00", b"-" * 500, b"-" * 5000]), min_size=1)
INTAKE = Intake()


def pipe() -> Pipe:
    """A pipe of a process that keeps nothing of its output."""
    sink: Any = SimpleNamespace()
    return Captured("w", 1).add("stdout", sink)


@settings(deadline=None)
@given(st.lists(PIECES.map(b"".join), max_size=20), st.integers(1, 8000))
def test_whole_lines_are_handed_over_and_nothing_is_lost(writes: list[bytes], longest: int) -> None:
    whole = pipe()
    cut: list[bytes] = []
    for data in writes:
        os.write(whole.writer, data)
        size = INTAKE.read(whole)
        assert size == len(data)
        cut.append(bytes(INTAKE.cut(whole, size, longest)))
        assert cut[-1][-1:] in (b"", b"\n") or (len(cut[-1]) >= longest and b"\n" not in cut[-1])
        assert b"\n" not in whole.rest
        assert len(whole.rest) < longest or b"\n" in cut[-1]
    assert INTAKE.read(whole) is None
    assert b"".join([*cut, whole.rest]) == b"".join(writes)
    whole.close_writer()
    assert INTAKE.read(whole) == 0
    whole.close()


def test_what_was_read_ahead_comes_first() -> None:
    whole = pipe()
    os.write(whole.writer, b"one\ntw")
    assert whole.process.drain() == [whole]
    os.write(whole.writer, b"o\n")
    assert INTAKE.read(whole) == 6
    assert bytes(INTAKE.cut(whole, 6, lines.LONGEST)) == b"one\n"
    assert INTAKE.read(whole) == 2
    assert bytes(INTAKE.cut(whole, 2, lines.LONGEST)) == b"two\n"
    whole.close()
