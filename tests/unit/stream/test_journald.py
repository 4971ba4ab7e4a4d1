"""Output in the journal, by a real socket that stands for it: journald itself runs in few places where tests do."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from circus.stream import JournaldStream, Source
from circus.stream.base import HELD_BACK
from tests.support import wait_until

OUT = Source("wéb", 3, 42, "stdout")
ERR = Source("wéb", 3, 42, "stderr")

Entry = dict[str, bytes]


def parsed(datagram: bytes) -> Entry:
    """The fields of an entry, none of which has a newline in its value."""
    assert datagram.endswith(b"\n")
    pairs = (line.partition(b"=") for line in datagram[:-1].split(b"\n"))
    return {name.decode(): value for name, _, value in pairs}


class Journal:
    """Listens as journald does, also for entries that come as files in memory."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self.path)

    def entries(self) -> list[Entry]:
        found = []
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(1 << 18, socket.CMSG_SPACE(4))
            except BlockingIOError:
                return found
            for _, kind, content in ancillary:
                assert kind == socket.SCM_RIGHTS
                (descriptor,) = array.array("i", content)
                with os.fdopen(descriptor, "rb") as file:
                    file.seek(0)
                    data = file.read()
                    with pytest.raises(OSError):
                        os.ftruncate(file.fileno(), 0)
            found.append(parsed(data))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "socket")
    yield journal
    journal.socket.close()


def test_each_line_is_an_entry(journal: Journal) -> None:
    stream = JournaldStream(address=journal.path)
    stream.open()
    stream.write(OUT, b"one\n\xfftwo=\n")
    stream.write(ERR, memoryview(b"three"))
    assert not stream.flush()
    stream.close()
    first, second, third = journal.entries()
    assert first == {
        "MESSAGE": b"one",
        "PRIORITY": b"6",
        "SYSLOG_IDENTIFIER": "wéb".encode(),
        "SYSLOG_PID": b"42",
        "OBJECT_PID": b"42",
        "CIRCUS_WATCHER": "wéb".encode(),
        "CIRCUS_WID": b"3",
    }
    assert second["MESSAGE"] == b"\xfftwo="
    assert (third["MESSAGE"], third["PRIORITY"]) == (b"three", b"3")


def test_ident(journal: Journal) -> None:
    stream = JournaldStream("app", journal.path)
    stream.open()
    stream.write(OUT, b"one\n")
    stream.close()
    assert [entry["SYSLOG_IDENTIFIER"] for entry in journal.entries()] == [b"app"]


def test_a_long_line_is_one_entry(journal: Journal) -> None:
    stream = JournaldStream(address=journal.path)
    stream.open()
    long = b"x" * (1 << 20)
    stream.write(OUT, b"before\n" + long + b"\nafter\n")
    stream.close()
    assert [entry["MESSAGE"] for entry in journal.entries()] == [b"before", long, b"after"]


def test_nothing_waits_for_a_slow_journald(journal: Journal) -> None:
    stream = JournaldStream(address=journal.path)
    stream.open()
    for number in range(2000):
        stream.write(OUT, b"%01000d\n" % number)
    assert stream.flush()
    received: list[Entry] = []

    def all_there() -> bool:
        received.extend(journal.entries())
        return not stream.flush()

    wait_until(all_there)
    received += journal.entries()
    assert 1000 * len(received) > HELD_BACK // 2
    (loss,) = stream.take_losses().values()
    assert [int(entry["MESSAGE"]) for entry in received] == list(range(len(received)))
    assert loss.lines == 2000 - len(received)
    stream.close()


def test_no_journald_is_an_error_at_the_start(tmp_path: Path) -> None:
    stream = JournaldStream(address=str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="there is no journald"):
        stream.open()
    journal = Journal(tmp_path / "nothing")
    stream.open()
    stream.close()
    journal.socket.close()
