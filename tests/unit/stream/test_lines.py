"""Cutting bytes at the ends of lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from circus.stream import lines

TEXTS = st.lists(st.sampled_from([b"\n", b"x", b"yz", b"\xff\x00", b"-" * 5000])).map(b"".join)


@given(TEXTS, st.integers(-5, 20_000))
def test_the_last_end_is_after_the_last_newline_within_the_limit(data: bytes, limit: int) -> None:
    end = lines.last_end(memoryview(data), limit)
    assert end == data[: max(0, limit)].rfind(b"\n") + 1


@given(TEXTS)
def test_the_first_end_is_after_the_first_newline(data: bytes) -> None:
    assert lines.first_end(memoryview(data)) == data.find(b"\n") + 1


@given(TEXTS.filter(bool))
def test_each_line_gets_the_prefix(data: bytes) -> None:
    expected = b"".join(b"> %b\n" % line for line in data.removesuffix(b"\n").split(b"\n"))
    assert lines.prefixed(memoryview(data), b"> ") == expected
