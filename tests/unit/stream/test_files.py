"""Output in files."""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circus.stream import FileStream, Source

OUT = Source("web", 1, 42, "stdout")


def opened(path: Path, **options: object) -> FileStream:
    """A stream to a file, opened."""
    stream = FileStream(str(path), **options)  # type: ignore[arg-type]
    stream.open()
    return stream


def history(path: Path) -> list[bytes]:
    """What the files hold, from the oldest to the newest."""
    numbers = [int(old.suffix[1:]) for old in path.parent.glob(f"{path.name}.*")]
    olds = [Path(f"{path}.{number}") for number in sorted(numbers, reverse=True)]
    return [file.read_bytes() for file in [*olds, path]]


def pieces(data: bytes, seed: int) -> Iterator[bytes]:
    """The bytes in pieces of all sizes."""
    dice = random.Random(seed)
    while data:
        size = dice.choice([1, 10, 100, 10_000])
        yield data[:size]
        data = data[size:]


def test_lines_have_the_time_and_the_process_before_them_if_asked(tmp_path: Path) -> None:
    stream = opened(tmp_path / "log", time_format="%Y %%")
    assert not stream.takes_pieces
    stream.write(OUT, b"one\ntwo\n")
    stream.write(OUT, b"end")
    stream.write(OUT, b"\xff\xfe\n")
    text = (tmp_path / "log").read_bytes()
    assert re.fullmatch(rb"\d{4} % \[42\] \| one\n.* \| two\n.* \| end\n.* \| \xff\xfe\n", text)
    stream.close()


def test_no_line_makes_a_file_larger_than_max_bytes(tmp_path: Path) -> None:
    stream = opened(tmp_path / "log", max_bytes="1000", backup_count="20")
    written = b"".join(b"%060d\n" % number for number in range(100))
    stream.write(OUT, memoryview(written))
    files = history(tmp_path / "log")
    assert b"".join(files) == written
    # 16 lines of 61 bytes fit.
    assert [len(data) for data in files] == [976] * 6 + [244]
    stream.close()


def test_only_so_many_old_files_are_kept(tmp_path: Path) -> None:
    stream = opened(tmp_path / "log", max_bytes=10, backup_count=2)
    for number in range(5):
        stream.write(OUT, b"line %d..\n" % number)
    assert history(tmp_path / "log") == [b"line 2..\n", b"line 3..\n", b"line 4..\n"]
    stream.close()


def test_without_backups_nothing_is_thrown_away(tmp_path: Path) -> None:
    stream = opened(tmp_path / "log", max_bytes=10)
    stream.write(OUT, b"0123456789\n" * 5)
    assert history(tmp_path / "log") == [b"0123456789\n" * 5]
    stream.close()


def test_a_line_that_is_longer_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    stream = opened(tmp_path / "log", max_bytes=10, backup_count=9)
    stream.write(OUT, b"a\n" + b"b" * 30 + b"\nc\nd")
    stream.write(OUT, b"e" * 20)
    stream.write(OUT, b"\nf\n")
    # What came in pieces stays where it began.
    assert history(tmp_path / "log") == [b"a\n", b"b" * 30 + b"\n", b"c\nd" + b"e" * 20 + b"\n", b"f\n"]
    stream.close()


def test_a_line_without_end_fills_no_disk(tmp_path: Path) -> None:
    stream = opened(tmp_path / "log", max_bytes=1 << 20, backup_count=2)
    for _ in range(100):
        stream.write(OUT, bytes(100_000))
    assert sum(map(len, history(tmp_path / "log"))) < 3 * (2 << 20) + 100_000
    stream.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 500), st.integers(0, 10_000))
def test_turning_loses_and_doubles_nothing_and_cuts_no_line(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], max_bytes: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("turning") / "log"
    stream = opened(path, max_bytes=max_bytes, backup_count=100)
    written = b"".join(b"x" * length + b"\n" for length in lengths)
    for piece in pieces(written, seed):
        stream.write(OUT, memoryview(piece))
    stream.close()
    files = history(path)
    assert hashlib.sha256(b"".join(files)).digest() == hashlib.sha256(written).digest()
    assert all(data.endswith(b"\n") for data in files if data)
    assert all(data[:-1].rfind(b"\n") < max_bytes for data in files)


def test_a_file_that_somebody_else_has_cut_is_appended_to(tmp_path: Path) -> None:
    stream = opened(tmp_path / "log", max_bytes=100, backup_count=3)
    stream.write(OUT, b"x" * 89 + b"\n")
    os.truncate(tmp_path / "log", 0)
    stream.write(OUT, b"y" * 20 + b"\n")
    assert history(tmp_path / "log") == [b"y" * 20 + b"\n"]
    stream.close()


def test_reopening_begins_the_file_anew_when_it_was_moved(tmp_path: Path) -> None:
    stream = opened(tmp_path / "log")
    stream.write(OUT, b"one\n")
    (tmp_path / "log").rename(tmp_path / "moved")
    stream.write(OUT, b"two\n")
    stream.reopen()
    stream.write(OUT, b"three\n")
    assert ((tmp_path / "moved").read_text(), (tmp_path / "log").read_text()) == ("one\ntwo\n", "three\n")
    stream.close()


def test_what_a_link_leads_to_is_what_is_turned(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "log")
    stream = opened(tmp_path / "link", max_bytes=10, backup_count=1)
    stream.write(OUT, b"line one\nline two\n")
    assert history(tmp_path / "real" / "log") == [b"line one\n", b"line two\n"]
    assert (tmp_path / "link").is_symlink()
    stream.close()


def test_what_a_full_disk_does_not_take_is_counted(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    stream = opened(tmp_path / "log", max_bytes=4, backup_count=1)
    stream.write(OUT, b"one\ntwo\n")
    loss = stream.take_losses()[OUT]
    assert (loss.bytes, loss.lines) == (8, 2)
    assert loss.reason == f"{tmp_path}/log: No space left on device"
    assert (tmp_path / "log").is_symlink()
    stream.close()


def test_half_a_line_before_a_loss_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = opened(tmp_path / "log")
    stream.write(OUT, b"one\nhalf")
    full = os.open("/dev/full", os.O_WRONLY)
    with monkeypatch.context() as patch:
        patch.setattr(stream, "_descriptor", full)
        stream.write(OUT, b" a line\n")
    os.close(full)
    stream.write(OUT, b"two\n")
    assert (tmp_path / "log").read_text() == "one\nhalf\ntwo\n"
    stream.close()


def test_a_file_that_cannot_be_turned_is_used_on(tmp_path: Path) -> None:
    # Whoever runs this may be root: a folder in the way is what nobody can overwrite.
    (tmp_path / "log.1" / "x").mkdir(parents=True)
    stream = opened(tmp_path / "log", max_bytes=10, backup_count=1)
    stream.write(OUT, b"line 1\nline 2\nline 3\n")
    assert (tmp_path / "log").read_text() == "line 1\nline 2\nline 3\n"
    failure = stream.take_failures()[OUT]
    assert "is full, and no new file can be begun" in failure.error
    stream.close()


def test_options_that_are_wrong_are_refused() -> None:
    with pytest.raises(ValueError, match="filename is empty"):
        FileStream("")
    with pytest.raises(ValueError, match="no user"):
        FileStream("x", owner="no-such-user")
