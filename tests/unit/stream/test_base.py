"""What all streams share."""

from __future__ import annotations

from circus.stream import Failure, Loss, Source, Stream

OUT = Source("web", 1, 42, "stdout")
ERR = Source("web", 1, 42, "stderr")


def test_losses_add_up_until_they_are_taken_away() -> None:
    stream = Stream()
    stream.lose(OUT, b"one\ntwo\n", "the disk is full")
    stream.lose(OUT, memoryview(b"three"), "the reader is slow")
    stream.lose(ERR, b"x\n", "the disk is full")
    assert stream.take_losses() == {OUT: Loss(13, 2, "the reader is slow"), ERR: Loss(2, 1, "the disk is full")}
    assert stream.take_losses() == {}
    assert Stream().take_losses() == {}


def test_failures_are_counted_until_they_are_taken_away() -> None:
    stream = Stream()
    stream.fail(OUT, "KeyError: 'x'")
    stream.fail(OUT, "KeyError: 'y'")
    assert stream.take_failures() == {OUT: Failure(2, "KeyError: 'y'")}
    assert stream.take_failures() == {}


def test_a_stream_is_called_as_that_of_older_programs_was() -> None:
    written: list[tuple[Source, bytes | memoryview]] = []

    class Kept(Stream):
        def write(self, source: Source, data: bytes | memoryview) -> None:
            written.append((source, data))

    Kept()({"pid": 42, "name": "stderr", "data": b"text\n", "timestamp": None})
    assert written == [(Source("", 0, 42, "stderr"), b"text\n")]
