"""What writers have written, as it stands in the files: how much there is, and whether it is what they wrote."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

BLOCK, LINE, NUMBER = 65536, 128, 9  # as in native/writer.c
LINES = BLOCK // LINE
NOT_OUTPUT = frozenset({"config", "lock", "state"})  # files of s6-log and svlogd


def logs(folder: Path) -> list[list[Path]]:
    """The files of each writer, oldest first: they have a folder of their own, or are one file."""
    found = []
    for entry in folder.iterdir():
        files = [file for file in entry.iterdir() if file.name not in NOT_OUTPUT] if entry.is_dir() else [entry]
        found.append(sorted(files, key=_age))
    return found


def _age(file: Path) -> tuple[int, str]:
    """Sorts the files of a log: rotated ones have a number that grows, or a time stamp behind an @."""
    if file.suffix[1:].isdigit():
        return -int(file.suffix[1:]), ""
    # The current file comes last.
    return (-1, file.name) if file.name.startswith("@") else (0, "")


def size(folder: Path) -> int:
    """Bytes in all files."""
    total = 0
    for entry in os.scandir(folder):
        if not entry.is_dir():
            total += entry.stat().st_size
            continue
        for file in os.scandir(entry):
            # One that is just being renamed is counted the next time.
            with contextlib.suppress(FileNotFoundError):
                total += 0 if file.name in NOT_OUTPUT else file.stat().st_size
    return total


def wrong_bytes(folder: Path, pids: Sequence[int], count: int) -> int:
    """Bytes that are missing, doubled or out of order, where each of the writers has written so many blocks."""
    missing = set(pids)
    wrong = 0
    for files in logs(folder):
        pid = _writer(files)
        if pid in missing:
            missing.discard(pid)
            wrong += 0 if _as_written(files, pid, count) else max(LINE, _differing(files, pid, count))
        else:
            wrong += sum(file.stat().st_size for file in files)
    return wrong + len(missing) * count * BLOCK


def _writer(files: Sequence[Path]) -> int:
    """The PID with which the log begins; -1 if there is none."""
    text = b""
    for path in files[:1]:
        with path.open("rb") as file:
            text = file.read(8)
    return int(text) if text.isdigit() else -1


def _blocks(pid: int) -> Iterator[bytes]:
    """The blocks that a writer writes, one after the other."""
    lines = (b"%08d %08x %03d " % (pid, 0, line) for line in range(LINES))
    block = bytearray(b"".join(line.ljust(LINE - 1, b".") + b"\n" for line in lines))
    number = 0
    while True:
        for place, digit in enumerate(b"%08x" % number):
            block[NUMBER + place :: LINE] = bytes((digit,)) * LINES
        yield bytes(block)
        number += 1


def _chunks(files: Sequence[Path]) -> Iterator[bytes]:
    """The contents of the files, one behind the other, in pieces as long as a block."""
    rest = b""
    for path in files:
        with path.open("rb") as file:
            while data := file.read(BLOCK - len(rest)):
                rest += data
                if len(rest) == BLOCK:
                    yield rest
                    rest = b""
    if rest:
        yield rest


def _as_written(files: Sequence[Path], pid: int, count: int) -> bool:
    expected = _blocks(pid)
    chunks = 0
    for chunk in _chunks(files):
        if chunk != next(expected):
            return False
        chunks += 1
    return chunks == count


def _differing(files: Sequence[Path], pid: int, count: int) -> int:
    """Bytes of lines that are missing, and of lines that are there twice or that nobody has written."""
    seen = bytearray(count * LINES)
    extra = 0
    for line in _lines(files):
        place = _place(line, pid)
        if place is None or place >= len(seen) or seen[place]:
            extra += len(line)
        else:
            seen[place] = 1
    return extra + seen.count(0) * LINE


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    """The lines of the files, also those that begin in one and end in the next."""
    rest = b""
    for path in files:
        with path.open("rb") as file:
            for line in file:
                rest += line
                if rest.endswith(b"\n"):
                    yield rest
                    rest = b""
    if rest:
        yield rest


def _place(line: bytes, pid: int) -> int | None:
    """The number of a line among all of its writer; None if it is not whole."""
    fields = line.split(b" ", 3)
    if len(line) != LINE or len(fields) != 4 or fields[0] != b"%08d" % pid:
        return None
    try:
        return int(fields[1], 16) * LINES + int(fields[2])
    except ValueError:
        return None
