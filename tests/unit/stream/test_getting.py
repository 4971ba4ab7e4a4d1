"""From options to a stream, as ini files and programs have them."""

from __future__ import annotations

import queue
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import circus.stream
from circus.exc import CircusError
from circus.stream import Empty, FileStream, QueueStream, Source, StdoutStream, Stream, get_stream
from circus.stream.getting import make
from circus.stream.registration import STREAMS

OUT = Source("web", 1, 42, "stdout")


class Mine:
    """What a program may have for a stream."""

    def __init__(self, **options: object) -> None:
        self.options = options


def test_all_names_are_there_and_each_is_loaded_when_it_is_asked_for() -> None:
    names = "FileStream WatchedFileStream TimedRotatingFileStream StdoutStream FancyStdoutStream JSONStream"
    for name in [*names.split(), "SyslogStream", "JournaldStream", "QueueStream"]:
        assert issubclass(getattr(circus.stream, name), Stream)
        assert getattr(circus.stream, name).__doc__
    assert Empty is queue.Empty
    code = "import sys, circus.stream; print(*[m for m in sys.modules if m.startswith('circus.stream')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert set(run.stdout.split()) == {"circus.stream", "circus.stream.registration"}


@pytest.mark.parametrize("spec", STREAMS, ids=lambda spec: spec.name)
def test_constructors_know_the_options_and_their_defaults(spec: Any, tmp_path: Path) -> None:
    texts = {"class": spec.name, "filename": str(tmp_path / "log")}
    stream = make(texts)
    values = {option.name: option.default for option in spec.options if option.default is not None}
    typed = make({**texts, **values, "unknown": "ignored"})
    as_texts = make({**texts, **{name: str(value) for name, value in values.items()}})
    assert type(stream) is type(typed) is type(as_texts)
    for name, value in values.items():
        known = getattr(typed, name, value)
        assert known == value == getattr(stream, name, value) == getattr(as_texts, name, value)


def test_texts_are_typed(tmp_path: Path) -> None:
    stream = make({"class": "FileStream", "filename": str(tmp_path / "log"), "max_bytes": "9", "mode": "640"})
    assert isinstance(stream, FileStream)
    assert stream.max_bytes == 9
    stream.open()
    stream.close()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class": "FileStrem"}, "there is no stream 'FileStrem'.*did you mean 'FileStream'"),
        ({"class": "FileStream"}, "FileStream needs filename"),
        ({"class": "FileStream", "filename": ""}, "FileStream needs filename"),
        ({"class": "FileStream", "filename": "x", "max_bytes": "many"}, "max_bytes: 'many' is not a whole number"),
        ({"class": "FileStream", "filename": "x", "owner": "nobody-here"}, "owner: there is no user 'nobody-here'"),
        ({"class": "FileStream", "filename": "x", "owner": "root:none-here"}, "there is no group 'none-here'"),
        ({"class": "FileStream", "filename": "x", "mode": "rw"}, "mode: 'rw' is not a file's mode"),
        ({"class": "TimedRotatingFileStream", "filename": "x", "rotate_when": "W7"}, "rotate_when: 'W7' is unknown"),
    ],
)
def test_wrong_options(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(options)


def test_get_stream_knows_what_programs_have(tmp_path: Path) -> None:
    assert get_stream({}) is None
    assert get_stream(None) is None
    assert get_stream({"stream": print, "filename": "x"}) is print
    assert isinstance(get_stream({"class": "StdoutStream", "other": 1}), StdoutStream)
    assert isinstance(get_stream({"class": "circus.stream.QueueStream"}, reload=True), QueueStream)
    found = get_stream({"class": f"{__name__}.Mine", "x": 1})
    assert type(found).__name__ == "Mine"
    assert found.options == {"x": 1}
    conf = {"filename": str(tmp_path / "log"), "time_format": "%%"}
    stream = get_stream(conf)
    stream({"pid": 7, "name": "stdout", "data": b"text\n"})
    stream.close()
    assert (tmp_path / "log").read_bytes() == b"% [7] | text\n"
    assert len(conf) == 2


@pytest.mark.parametrize(
    ("conf", "error", "words"),
    [
        ({"other": 1}, ValueError, "stream configuration invalid"),
        ({"class": "QueueStrem"}, CircusError, "did you mean 'QueueStream'"),
        ({"class": "no.such.Class"}, CircusError, "cannot be imported: ModuleNotFoundError"),
        ({"class": "circus.stream.FileStrem"}, CircusError, "AttributeError"),
    ],
)
def test_get_stream_says_what_is_wrong(conf: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        get_stream(conf)


def test_a_queue_gets_what_a_process_wrote() -> None:
    stream = QueueStream()
    assert stream.takes_pieces
    stream.open()
    stream.write(OUT, memoryview(b"prompt"))
    stream({"pid": 7, "name": "stderr", "data": b"text\n", "timestamp": 3})
    assert stream.get() == {"pid": 42, "name": "stdout", "data": b"prompt"}
    assert stream.get_nowait() == {"pid": 7, "name": "stderr", "data": b"text\n", "timestamp": 3}
    with pytest.raises(Empty):
        stream.get_nowait()
    stream.close()
