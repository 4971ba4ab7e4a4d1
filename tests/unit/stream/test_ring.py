"""What is kept of output: the last lines, whole, of both streams in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from circus.stream.ring import Ring

_WRITES = st.lists(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.text("ab\n", min_size=1, max_size=12).map(str.encode)),
    max_size=20,
)


def filled(*writes: tuple[str, bytes], size: int = 1000) -> Ring:
    ring = Ring(size)
    for stream, data in writes:
        ring.append(stream, data)
    return ring


def texts(ring: Ring, lines: int = 100, size: int = 1000, only: str = "") -> list[bytes]:
    return [line.data for line in ring.last(lines, size, only)]


def test_the_last_lines() -> None:
    ring = filled(("stdout", b"one\ntwo\nth"), ("stdout", b"ree\nfo"))
    assert texts(ring, 2) == [b"three\n", b"fo"]
    assert texts(ring, 0) == []
    assert texts(ring) == [b"one\n", b"two\n", b"three\n", b"fo"]
    assert ring.offset == 16


def test_lines_of_two_streams_are_not_mixed() -> None:
    ring = filled(("stdout", b"ab"), ("stderr", b"X\nY"), ("stdout", b"c\nd\n"), ("stderr", b"Z\n"))
    assert texts(ring) == [b"X\n", b"abc\n", b"d\n", b"YZ\n"]
    assert texts(ring, only="stderr") == [b"X\n", b"YZ\n"]
    assert [(piece.offset, piece.data) for piece in ring.last(3)[0].pieces] == [(0, b"ab"), (5, b"c\n")]


def test_a_line_without_its_beginning_is_left_out() -> None:
    assert texts(filled(("stdout", b"first\n"), ("stdout", b"second\nlast"), size=14)) == [b"second\n", b"last"]
    assert texts(filled(("stdout", b"first\nsecond\nlast"), size=8)) == [b"last"]
    assert texts(filled(("stdout", b"first\nsecond\nlast"), size=11)) == [b"second\n", b"last"]
    assert texts(filled(("stdout", b"x" * 50), size=8)) == [b"x" * 8]


def test_the_other_stream_is_not_torn() -> None:
    ring = filled(("stdout", b"noise" * 20), ("stderr", b"fatal\n"), size=20)
    assert texts(ring, only="stderr") == [b"fatal\n"]
    assert texts(ring) == [b"oise" + b"noise" * 2, b"fatal\n"]


def test_the_oldest_line_is_cut_to_the_size() -> None:
    ring = filled(("stdout", b"a long line\nend\n"))
    assert texts(ring, size=10) == [b"a long", b"end\n"]
    assert texts(ring, size=4) == [b"end\n"]
    assert texts(ring, size=2) == [b"en"]


@given(_WRITES, st.integers(1, 40))
def test_the_lines_are_an_end_of_what_was_written(writes: list[tuple[str, bytes]], size: int) -> None:
    ring = filled(*writes, size=size)
    every = b"".join(data for _, data in writes)
    assert ring.offset == len(every)
    for stream in ("stdout", "stderr"):
        written = b"".join(data for name, data in writes if name == stream)
        whole = written.splitlines(keepends=True)
        found = texts(ring, only=stream)
        assert b"".join(found) == written[len(written) - len(b"".join(found)) :]
        if len(found) > 1:
            assert found == whole[-len(found) :]
    for line in ring.last(100):
        for piece in line.pieces:
            assert every[piece.offset : piece.offset + len(piece.data)] == piece.data
            assert piece.offset >= len(every) - size
