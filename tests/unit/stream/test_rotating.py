"""Output in files that are left for new ones: as time goes by, or because something has moved them away."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from circus.stream import Source, TimedRotatingFileStream, WatchedFileStream, rotating

OUT = Source("web", 1, 42, "stdout")
START = datetime(2026, 11, 20, 10, 20, 30, tzinfo=UTC).timestamp()
HOUR = 3600


class Clock:
    """The time that the stream is told; the files' own times are those of this machine."""

    now = START

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rotating, "time", clock)
    return clock


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def opened(log: Path, **options: object) -> TimedRotatingFileStream:
    stream = TimedRotatingFileStream(str(log), utc="yes", **options)  # type: ignore[arg-type]
    stream.open()
    return stream


def contents(log: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(log.parent.iterdir())}


def test_each_hour_has_its_file(log: Path, clock: Clock) -> None:
    stream = opened(log, rotate_when="h", backup_count=5)
    for late in (0, HOUR - 1, HOUR, 2 * HOUR - 1, 5 * HOUR, 6 * HOUR):
        clock.now = START + late
        stream.write(OUT, b"%d\n" % late)
    stream.close()
    assert contents(log) == {
        "log": b"21600\n",
        "log.2026112010": b"0\n3599\n",
        "log.2026112011": b"3600\n7199\n",
        "log.2026112015": b"18000\n",
    }


def test_a_restart_counts_from_the_last_change_of_the_file(log: Path, clock: Clock) -> None:
    log.write_bytes(b"old\n")
    os.utime(log, (START, START))
    clock.now = START + 2 * HOUR
    stream = opened(log, rotate_when="H")
    stream.write(OUT, b"new\n")
    stream.close()
    assert contents(log) == {"log": b"new\n", "log.2026112010": b"old\n"}
    log.unlink()
    log.write_bytes(b"young\n")
    os.utime(log, (clock.now - 60, clock.now - 60))
    stream = opened(log, rotate_when="H")
    stream.write(OUT, b"new\n")
    clock.now += HOUR - 61
    stream.write(OUT, b"newer\n")
    assert log.read_bytes() == b"young\nnew\nnewer\n"
    stream.reopen()
    clock.now += 2
    stream.write(OUT, b"newest\n")
    stream.close()
    assert contents(log)["log.2026112012"] == b"young\nnew\nnewer\n", "opening it anew does not count"


def test_an_empty_file_is_not_kept(log: Path, clock: Clock) -> None:
    log.touch()
    stream = opened(log, rotate_when="H")
    clock.now = START + 3 * HOUR
    stream.write(OUT, b"new\n")
    stream.close()
    assert contents(log) == {"log": b"new\n"}


def test_only_as_many_old_files_are_kept_and_no_other_is_touched(log: Path, clock: Clock) -> None:
    strange = ["log.1", "log.20010101", "log.2001010101x", "log.2001010101.gz", "log2.2001010101", "log.20010101010"]
    for name in [*strange, "log.2001010101", "log.2001010101.1"]:
        (log.parent / name).touch()
    stream = opened(log, rotate_when="H", backup_count="2")
    for hours in range(4):
        clock.now = START + hours * HOUR
        stream.write(OUT, b"%d\n" % hours)
    stream.close()
    assert set(contents(log)) == {"log", "log.2026112011", "log.2026112012", *strange}


def test_an_old_file_that_cannot_be_removed_is_told_and_keeps_no_other(log: Path, clock: Clock) -> None:
    (log.parent / "log.2001010100").mkdir()
    stream = opened(log, rotate_when="H", backup_count="1")
    for hours in range(4):
        clock.now = START + hours * HOUR
        stream.write(OUT, b"%d\n" % hours)
        clock.now += 100
        stream.write(OUT, b"later\n")
    stream.close()
    assert stream.take_failures()[OUT].error.startswith("an old file cannot be removed: ")
    assert {path.name for path in log.parent.iterdir()} == {"log", "log.2026112012", "log.2001010100"}


def test_a_name_that_is_taken_is_not_overwritten(log: Path, clock: Clock) -> None:
    """As in the hour that comes twice when the clocks are set back."""
    (log.parent / "log.2026112010").write_bytes(b"first\n")
    stream = opened(log, rotate_when="H", backup_count=2)
    for hours in range(3):
        stream.write(OUT, b"%d\n" % hours)
        clock.now += HOUR
    stream.close()
    assert contents(log) == {"log": b"2\n", "log.2026112010.1": b"0\n", "log.2026112011": b"1\n"}


def test_a_clock_that_is_set_back_does_not_end_the_rotation(log: Path, clock: Clock) -> None:
    stream = opened(log, rotate_when="H")
    stream.write(OUT, b"one\n")
    clock.now = START - 24 * HOUR
    stream.write(OUT, b"two\n")
    clock.now += HOUR
    stream.write(OUT, b"three\n")
    stream.close()
    assert contents(log) == {"log": b"three\n", "log.2026111910": b"one\ntwo\n"}


def test_a_line_that_has_begun_ends_in_the_same_file(log: Path, clock: Clock) -> None:
    stream = opened(log, rotate_when="S")
    stream.write(OUT, b"be")
    clock.now += 1
    stream.write(OUT, b"gun")
    stream.write(OUT, b" and ended\nnew\n")
    stream.close()
    assert contents(log) == {"log": b"new\n", "log.20261120102030": b"begun and ended\n"}


def test_a_new_file_that_cannot_be_begun_is_a_failure_and_loses_nothing(
    log: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = opened(log, rotate_when="S")
    stream.write(OUT, b"one\n")
    clock.now += 1

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", refused)
        stream.write(OUT, b"two\n")
    assert "no new file can be begun" in stream.take_failures()[OUT].error
    assert contents(log) == {"log": b"one\ntwo\n"}
    stream.write(OUT, b"three\n")
    assert contents(log) == {"log": b"one\ntwo\nthree\n"}, "not tried again at once"
    clock.now += 60
    stream.write(OUT, b"four\n")
    stream.close()
    assert log.read_bytes() == b"four\n"


def test_a_file_that_was_moved_away_by_then_is_no_failure(log: Path, clock: Clock) -> None:
    stream = opened(log, rotate_when="S")
    stream.write(OUT, b"one\n")
    log.rename(log.parent / "elsewhere")
    clock.now += 1
    stream.write(OUT, b"two\n")
    stream.close()
    assert contents(log) == {"log": b"two\n", "elsewhere": b"one\n"}
    assert stream.take_failures() == {}


def test_a_new_file_has_the_mode_and_prefix_that_are_asked_for(log: Path, clock: Clock) -> None:
    stream = opened(log, rotate_when="S", mode="600", time_format="%%")
    stream.write(OUT, b"one\n")
    clock.now += 1
    stream.write(OUT, b"two\n")
    stream.close()
    assert contents(log) == {"log": b"% [42] | two\n", "log.20261120102030": b"% [42] | one\n"}
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rotate_when": "X"}, "'X' is unknown; accepted: S, M, H"),
        ({"rotate_interval": "0"}, "at least 1"),
        ({"backup_count": "few"}, "few"),
    ],
)
def test_wrong_options(log: Path, options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        opened(log, **options)


def test_a_file_that_was_moved_or_deleted_is_begun_anew(log: Path) -> None:
    stream = WatchedFileStream(str(log))
    stream.open()
    stream.write(OUT, b"one\n")
    log.rename(log.parent / "moved")
    stream.write(OUT, b"two\n")
    assert contents(log) == {"log": b"two\n", "moved": b"one\n"}
    log.unlink()
    stream.write(OUT, b"three\n")
    stream.write(OUT, b"four\n")
    stream.close()
    assert contents(log) == {"log": b"three\nfour\n", "moved": b"one\n"}


def test_a_moved_file_gets_the_end_of_its_line(log: Path) -> None:
    stream = WatchedFileStream(str(log))
    stream.open()
    stream.write(OUT, b"be")
    log.rename(log.parent / "moved")
    stream.write(OUT, b"gun")
    stream.write(OUT, b" and ended\nnew\n")
    stream.close()
    assert contents(log) == {"log": b"new\n", "moved": b"begun and ended\n"}


@pytest.mark.parametrize("first", [b"gun\n", b""])
def test_a_file_that_has_filled_the_disk_is_left_for_a_new_one(
    log: Path, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    stream = WatchedFileStream(str(log))
    stream.open()
    stream.write(OUT, b"be")
    write, full = os.write, log.stat().st_ino

    def write_unless_full(descriptor: int, data: bytes | memoryview) -> int:
        if os.fstat(descriptor).st_ino == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", write_unless_full)
    stream.write(OUT, first)
    log.unlink()
    stream.write(OUT, b"new\n" if first else b"gun\nnew\n")
    stream.close()
    assert contents(log) == {"log": b"new\n"}
    assert stream.take_losses()[OUT].bytes == len(b"gun\n")


def test_a_folder_that_is_gone_is_a_failure_and_loses_nothing(log: Path) -> None:
    folder = log.parent / "folder"
    folder.mkdir()
    stream = WatchedFileStream(str(folder / "log"))
    stream.open()
    folder.rename(log.parent / "moved")
    stream.write(OUT, b"one\n")
    assert "cannot be opened anew" in stream.take_failures()[OUT].error
    assert (log.parent / "moved" / "log").read_bytes() == b"one\n"
    folder.mkdir()
    stream.write(OUT, b"two\n")
    stream.close()
    assert (folder / "log").read_bytes() == b"two\n"


def test_a_pipe_is_never_moved(log: Path) -> None:
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    stream = WatchedFileStream(str(log))
    stream.open()
    log.unlink()
    stream.write(OUT, b"one\n")
    stream.close()
    assert os.read(reader, 100) == b"one\n"
    assert stream.take_failures() == {}
    assert not log.exists()
    os.close(reader)
