"""What circusd and the process that runs custom streams say to each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from circus.stream import wire


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.binary())
def test_a_message_is_read_as_it_was_written(header: dict[str, object], data: bytes) -> None:
    assert wire.decode(wire.encode(header, data)) == (header, data)


@given(st.lists(st.tuples(st.binary(max_size=3), st.integers(0, 3 * wire.PIECE)), max_size=4))
def test_output_is_cut_at_the_ends_of_lines_only(lines: list[tuple[bytes, int]]) -> None:
    data = b"".join(start.replace(b"\n", b"") + b"x" * length + b"\n" for start, length in lines)
    pieces = list(wire.pieces(data))
    assert b"".join(piece.data for piece in pieces) == data
    assert all(0 < len(piece.data) <= wire.PIECE for piece in pieces)
    begun = 0
    for piece in pieces:
        assert piece.number == begun
        assert piece.more or piece.data.endswith(b"\n")
        assert not (piece.more and b"\n" in piece.data)
        begun = begun + 1 if piece.more else 0
    assert begun == 0


def test_what_has_no_end_of_line_is_passed_on_as_it_is() -> None:
    assert list(wire.pieces(b"a\nb")) == [(b"a\nb", 0, False)]
    assert list(wire.pieces(b"")) == []
    long = b"x" * (wire.PIECE + 1)
    assert [(len(data), number, more) for data, number, more in wire.pieces(long)] == [
        (wire.PIECE, 0, True),
        (1, 1, False),
    ]


def test_the_system_takes_the_largest_message() -> None:
    ours, theirs = wire.pair()
    with ours, theirs:
        message = bytes(wire.MESSAGE)
        assert ours.send(message) == len(message)
        assert theirs.recv(wire.MESSAGE + 1) == message
