"""What reaches a terminal of what programs write."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.cli.escapes import Harmless


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain caf\xc3\xa9\ttab\n", b"plain caf\xc3\xa9\ttab\n"),
        (b"\x1b[1;31mred\x1b[0m\n", b"\x1b[1;31mred\x1b[0m\n"),
        (b"\x1b[38:2::1:2:3mtrue\x1b[m\n", b"\x1b[38:2::1:2:3mtrue\x1b[m\n"),
        (b"\x1b]0;title\x07\n", b"^[]0;title^G\n"),
        (b"\x1b[2J\x1b[1;1H\x1b[?1049h\x1bc\n", b"^[[2J^[[1;1H^[[?1049h^[c\n"),
        (b"\x9b2J \xc2\x9b2J \xff\n", b"\\x9b2J \\x9b2J \\xff\n"),
        (b"dos\r\nback\rspace\x08\x7f\x00\n", b"dos\nback^Mspace^H^?^@\n"),
        (b"\x1bP1$r\x1b\\\n", b"^[P1$r^[\\\n"),
    ],
)
def test_colours_pass_and_nothing_else(data: bytes, shown: bytes) -> None:
    harmless = Harmless(returns=False)
    assert harmless.feed(data) + harmless.end() == shown


def test_what_is_cut_waits_for_its_rest() -> None:
    harmless = Harmless(returns=True)
    pieces = [b"a\x1b", b"[3", b"1mred", b"\xe2\x82", b"\xac \r", b"\n\x1b", b"]x", b"50%\r"]
    assert [harmless.feed(piece) for piece in pieces] == [
        *(b"a", b"", b"\x1b[31mred", b"", b"\xe2\x82\xac ", b"\n", b"^[]x", b"50%")
    ]
    assert harmless.end() == b"\r"


@given(st.lists(st.binary(max_size=12) | st.sampled_from([b"\x1b[31m", b"\x1b[", b"\x1b", b"\xc2", b"\r\n"])))
def test_no_cut_makes_a_difference(pieces: list[bytes]) -> None:
    one, other = Harmless(returns=False), Harmless(returns=False)
    shown = b"".join(map(one.feed, pieces)) + one.end()
    assert shown == other.feed(b"".join(pieces)) + other.end()
    left = re.sub(rb"\x1b\[[0-9;:]*m", b"", shown).decode()
    assert all(char in "\t\n" or not re.match(r"[\x00-\x1f\x7f-\x9f]", char) for char in left)
