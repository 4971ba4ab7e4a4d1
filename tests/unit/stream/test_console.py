"""circusd's standard output, whose reader may be slow, gone or a terminal."""

from __future__ import annotations

import os
import pty
import re
import socket
import sys
import tty
from collections.abc import Iterator

import pytest

from circus.stream import FancyStdoutStream, Source, StdoutStream
from circus.stream import console as module
from circus.stream.base import HELD_BACK
from circus.stream.console import Console
from tests.support import wait_until

OUT = Source("web", 1, 42, "stdout")
OTHER = Source("web", 2, 43, "stdout")
LINE = b"x" * 99 + b"\n"


class Ends:
    """Both ends of a channel; what is written to one comes out of the other."""

    def __init__(self, kind: str) -> None:
        if kind == "pipe":
            self.reader, self.writer = os.pipe()
        elif kind == "terminal":
            self.reader, self.writer = pty.openpty()
            tty.setraw(self.writer)
        else:
            self.reader, self.writer = (end.detach() for end in socket.socketpair())
        self.console = Console(self.writer)

    def read(self) -> bytes:
        """All that is there now."""
        os.set_blocking(self.reader, False)
        chunks = []
        try:
            while chunk := os.read(self.reader, 1 << 16):
                chunks.append(chunk)
        except OSError:
            pass
        return b"".join(chunks)

    def close(self) -> None:
        self.console.close()
        for end in (self.reader, self.writer):
            try:
                os.close(end)
            except OSError:
                pass


@pytest.fixture(params=["pipe", "terminal", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    ends = Ends(request.param)
    yield ends
    ends.close()


@pytest.fixture
def pipe() -> Iterator[Ends]:
    ends = Ends("pipe")
    yield ends
    ends.close()


def opened(ends: Ends) -> StdoutStream:
    stream = StdoutStream(console=ends.console)
    stream.open()
    return stream


def test_output_comes_as_it_is(ends: Ends) -> None:
    stream = opened(ends)
    stream.write(OUT, b"one\n\xff two\n")
    stream.write(OUT, memoryview(b"three\n"))
    assert ends.read() == b"one\n\xff two\nthree\n"
    assert not stream.flush()
    assert stream.take_losses() == {}


def test_nothing_waits_for_a_slow_reader_and_what_is_held_back_comes_in_order(ends: Ends) -> None:
    stream = opened(ends)
    written = [b"%08d %s" % (number, LINE) for number in range(5_000)]
    for line in written:
        stream.write(OUT, line)
    assert stream.flush(), "the reader has read nothing yet"
    assert os.get_blocking(ends.writer), "others have this descriptor too"
    received = bytearray()

    def all_there() -> bool:
        received.extend(ends.read())
        return not stream.flush()

    wait_until(all_there)
    assert bytes(received) + ends.read() == b"".join(written)
    assert stream.take_losses() == {}


def test_what_is_held_back_is_tried_again_with_the_next_line(ends: Ends) -> None:
    stream = opened(ends)
    stream.write(OUT, LINE * 5_000)
    received = bytearray()

    def read_all() -> bool:
        received.extend(ends.read())
        stream.write(OUT, b"next\n")
        return b"next" in received

    wait_until(read_all)


def test_what_is_too_much_is_dropped_in_whole_lines_and_counted(ends: Ends) -> None:
    stream = opened(ends)
    chunk = LINE * 1000
    for _ in range(30):
        stream.write(OUT, chunk)
    received = bytearray()

    def all_there() -> bool:
        received.extend(ends.read())
        return not stream.flush()

    wait_until(all_there)
    received += ends.read()
    (loss,) = stream.take_losses().values()
    assert set(bytes(received).splitlines(keepends=True)) == {LINE}
    assert len(received) + loss.bytes == 30 * len(chunk)
    assert loss.lines == loss.bytes // len(LINE) > 0
    assert len(received) + len(LINE) >= HELD_BACK
    assert "slow" in loss.reason


def test_a_line_that_is_written_in_part_is_held_back_to_its_end(pipe: Ends) -> None:
    stream = opened(pipe)
    long = b"y" * (HELD_BACK + 200_000) + b"\n"
    stream.write(OUT, long + LINE)
    stream.write(OUT, LINE)
    received = bytearray()

    def all_there() -> bool:
        received.extend(pipe.read())
        return not stream.flush()

    wait_until(all_there)
    received += pipe.read()
    assert bytes(received) == long
    assert stream.take_losses()[OUT].lines == 2


def test_a_line_without_end_is_not_joined_with_that_of_another_process(pipe: Ends) -> None:
    stream = opened(pipe)
    stream.write(OUT, b"be")
    stream.write(OUT, b"gun")
    stream.write(OTHER, b"whole\n")
    assert pipe.read() == b"begun\nwhole\n"


def test_a_reader_that_is_gone_is_no_end_of_the_world(ends: Ends) -> None:
    stream = opened(ends)
    os.close(ends.reader)
    with pytest.raises(OSError):
        stream.write(OUT, LINE)
    assert not stream.flush()
    stream.close()


def test_a_reader_that_goes_leaves_nothing_to_pass_on(pipe: Ends) -> None:
    stream = opened(pipe)
    stream.write(OUT, LINE * 5_000)
    assert stream.flush()
    os.close(pipe.reader)
    assert not stream.flush()


def test_standard_output_that_is_closed_is_no_error_at_start() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    stream = StdoutStream(console=Console(writer))
    stream.open()
    with pytest.raises(OSError):
        stream.write(OUT, LINE)


def test_a_pipe_that_cannot_be_opened_once_more_is_asked_before_each_piece(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(13, "it is that of another user")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "open", refused)
        stream = opened(pipe)
    stream.write(OUT, LINE * 5_000)
    assert stream.flush()
    received = bytearray()

    def all_there() -> bool:
        received.extend(pipe.read())
        return not stream.flush()

    wait_until(all_there)
    assert bytes(received) + pipe.read() == LINE * 5_000


def test_a_file_gets_all(tmp_path) -> None:
    with (tmp_path / "out").open("wb") as file:
        stream = StdoutStream(console=Console(file.fileno()))
        stream.open()
        stream.write(OUT, LINE * 50_000)
        assert not stream.flush()
    assert (tmp_path / "out").read_bytes() == LINE * 50_000


def test_standard_output_may_become_another_one(pipe: Ends) -> None:
    other = Ends("pipe")
    stream = opened(pipe)
    os.dup2(other.writer, pipe.writer)
    stream.open()
    stream.write(OUT, LINE)
    assert other.read() == LINE
    other.close()


def test_all_streams_share_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    for stream in (StdoutStream(), FancyStdoutStream("red", "%Y")):
        stream.open()
        stream.write(OUT, b"text\n")
        stream.close()
    assert re.fullmatch(r"text\n\x1b\[0;31;40m\d{4} \[42\] \| text\x1b\[0m\n", capfd.readouterr().out)


@pytest.mark.parametrize(
    ("color", "number"),
    [("red", 1), ("green", 2), ("yellow", 3), ("blue", 4), ("magenta", 5), ("cyan", 6), ("white", 7)],
)
def test_bytes_of_a_colour(pipe: Ends, color: str, number: int) -> None:
    stream = FancyStdoutStream(color, "%%d", console=pipe.console)
    stream.open()
    stream.write(OUT, b"one\n\ntw\xffo\n")
    stream.write(OUT, b"end")
    before = b"\x1b[0;3%d;40m%%d [42] | " % number
    lines = [b"one", b"", b"tw\xffo", b"end"]
    assert pipe.read() == b"".join(before + line + b"\x1b[0m\n" for line in lines)


def test_a_colour_that_is_not_known_is_a_random_one(pipe: Ends) -> None:
    stream = FancyStdoutStream("purple", console=pipe.console)
    stream.open()
    stream.write(OUT, b"text\n")
    pattern = rb"\x1b\[0;3[1-7];40m\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[42\] \| text\x1b\[0m\n"
    assert re.fullmatch(pattern, pipe.read())


def test_other_programs_may_call_it(capfd: pytest.CaptureFixture[str]) -> None:
    sys.stdout.flush()
    StdoutStream()({"pid": 1, "name": "stdout", "data": b"called\n"})
    assert capfd.readouterr().out == "called\n"
