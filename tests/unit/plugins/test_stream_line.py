"""One stream in the process that runs streams: what it is called with, and what becomes of its failures."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.hooks.spaces import Spaces
from circus.plugins import stream_line
from circus.plugins.making_streams import Maker
from circus.plugins.stream_line import HEADLESS, StreamLine
from circus.stream import wire
from tests.support import wait_until

MODULE = """
import os
from circus.stream import FileStream

HERE = os.path.dirname(os.path.abspath(__file__))

def note(*what):
    with open(HERE + "/seen", "a") as file:
        print(*what, file=file)

class Noting:
    def __init__(self, **options):
        note("made", options)

    def open(self):
        note("opened")

    def __call__(self, data):
        note(sorted(data), data["pid"], data["name"], data["data"], data["timestamp"].timestamp())
        if b"raise" in data["data"]:
            raise RuntimeError("asked to")
        if b"exit" in data["data"]:
            raise SystemExit(3)

    def close(self):
        note("closed")

class Quoting:
    def __call__(self, data):
        raise ValueError(data["data"].decode())

class Broken:
    def __init__(self):
        note("tried")
        if not os.path.exists(HERE + "/mended"):
            raise OSError("not yet")

    def __call__(self, data):
        note(data["data"])

class Shouting(FileStream):
    def write(self, source, data):
        super().write(source, bytes(data).upper())

def wrong():
    return 3
"""


class Runner:
    """A line with a stream at its end, as in its process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spaces = Spaces()
        self.maker = Maker(self.spaces)
        self.ended = threading.Event()
        self._ends: list[socket.socket] = []

    def start(self, name: str, **options: str) -> socket.socket:
        """Run a stream; return circusd's end of its line."""
        ours, theirs = wire.pair()
        ours.setblocking(True)
        ours.settimeout(20)
        self._ends += [ours, theirs]  # circusd keeps both
        told = {"watcher": "web", "name": "stdout", "options": {"class": f"{self.folder}/own.py:{name}", **options}}
        told |= {"python_path": "", "virtualenv": "", "virtualenv_py_ver": "", "channel": 3}
        StreamLine(told, theirs.dup(), self.maker, self.ended.set).start()
        return ours

    def seen(self) -> list[str]:
        path = self.folder / "seen"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, count: int) -> list[str]:
        wait_until(lambda: len(self.seen()) >= count, f"{count} lines: {self.seen()}")
        return self.seen()

    def close(self) -> None:
        for end in self._ends:
            end.close()
        self.spaces.uninstall()


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    (tmp_path / "own.py").write_text(MODULE)
    monkeypatch.setattr(stream_line, "INTERVAL", 0.1)
    made = Runner(tmp_path)
    yield made
    made.close()


def output(data: bytes, part: int = 0, more: bool = False) -> bytes:
    header = {"pid": 7, "wid": 2, "name": "stdout", "time": 5.0, "part": part, "more": more}
    return wire.encode(header, data)


def act(do: str, **data: Any) -> bytes:
    return wire.encode({"do": do, **data})


def heard(line: socket.socket) -> dict[str, Any]:
    return wire.decode(line.recv(wire.MESSAGE)).header


def reports(line: socket.socket, count: int) -> list[dict[str, Any]]:
    """The reports until so many failures are told of."""
    found = [heard(line)]
    while sum(report["count"] for report in found) < count:
        found.append(heard(line))
    return found


def test_an_error_that_quotes_what_it_is_about_is_cut(runner: Runner) -> None:
    line = runner.start("Quoting")
    for number in range(3):
        line.send(output("\N{CIRCUS TENT}".encode() * 12_000 + b"\n", number % 2, more=number == 0))
    said = reports(line, 2)
    text = "\N{CIRCUS TENT}"
    assert {report["error"] for report in said} == {f"ValueError: {text * (stream_line.LONGEST - 12)}"}
    line.send(act("close", number=1))
    while "closed" not in (last := heard(line)):
        pass
    assert last == {"closed": 1}


def test_a_stream_is_made_once_and_called_with_what_streams_are_called_with(runner: Runner) -> None:
    line = runner.start("Noting", level="3")
    line.send(act("open"))
    line.send(output(b"caf\xc3\xa9 \xff\n"))
    line.send(output(b"2\n"))
    line.send(act("close", number=1))
    assert heard(line) == {"closed": 1}
    keys = ["data", "name", "pid", "timestamp"]
    assert runner.seen() == [
        "made {'level': '3'}",
        "opened",
        f"{keys} 7 stdout {b'caf' + bytes([0xC3, 0xA9]) + b' ' + bytes([0xFF, 10])!r} 5.0",
        f"{keys} 7 stdout {b'2' + bytes([10])!r} 5.0",
        "closed",
    ]
    line.send(output(b"again\n"))
    assert runner.wait_for(8)[5:7] == ["made {'level': '3'}", "opened"]
    line.close()
    assert runner.ended.wait(20)
    assert runner.seen()[-1] == "closed"


def test_a_call_that_raises_is_told_of_and_the_next_one_is_tried(runner: Runner) -> None:
    line = runner.start("Noting")
    for data in (b"raise\n", b"exit\na\n", b"fine\n"):
        line.send(output(data))
    found = reports(line, 2)
    assert found[-1]["error"] == "SystemExit: 3"
    assert sum(size for report in found for _, _, size, _, _ in report["lost"]) == 13
    assert sum(lines for report in found for _, _, _, lines, _ in report["lost"]) == 3
    assert {(wid, name) for report in found for wid, name, _, _, _ in report["lost"]} == {(2, "stdout")}
    runner.wait_for(5)


def test_failures_are_told_of_from_time_to_time_only(runner: Runner) -> None:
    line = runner.start("Noting")
    began = time.monotonic()
    for _ in range(300):
        line.send(output(b"raise\n"))
    found = reports(line, 300)
    assert sum(report["count"] for report in found) == 300
    assert len(found) <= 2 + (time.monotonic() - began) / 0.1


@pytest.mark.parametrize("name,error", [("wrong", "makes a int, which cannot be called"), ("Nothing", "has no")])
def test_what_is_no_stream_is_told_of(runner: Runner, name: str, error: str) -> None:
    line = runner.start(name)
    line.send(act("open"))
    report = heard(line)
    assert error in report["error"]
    assert (report["count"], report["lost"]) == (1, [])


def test_a_constructor_that_raises_is_tried_again_and_output_meanwhile_is_lost(runner: Runner) -> None:
    line = runner.start("Broken")
    line.send(act("open"))
    assert heard(line)["error"] == "OSError: not yet"
    line.send(output(b"lost\n"))
    lost: list[list[Any]] = []
    while not lost:
        lost = heard(line)["lost"]
    assert lost == [[2, "stdout", 5, 1, "OSError: not yet"]]
    (runner.folder / "mended").touch()

    def is_made() -> bool:
        line.send(output(b"tried\n"))
        return repr(b"tried\n") in runner.seen()

    wait_until(is_made, "the stream is made")


def test_an_edited_file_is_read_when_the_stream_is_opened_again(runner: Runner) -> None:
    line = runner.start("Noting")
    line.send(act("open"))
    line.send(act("close", number=1))
    assert heard(line) == {"closed": 1}
    (runner.folder / "own.py").write_text(MODULE.replace('"made"', '"made anew"'))
    line.send(act("open"))
    assert runner.wait_for(4)[3] == "made anew {}"


def test_a_class_derived_from_one_of_circus_does_what_that_one_does(runner: Runner) -> None:
    path = runner.folder / "log"
    line = runner.start("Shouting", filename=str(path))
    line.send(output(b"one\n"))
    wait_until(lambda: path.exists() and path.read_bytes() == b"ONE\n", "it is written")
    os.rename(path, runner.folder / "log.1")
    line.send(output(b"two\n"))
    line.send(act("reopen"))
    line.send(output(b"three\n"))
    line.send(act("close", number=1))
    assert heard(line) == {"closed": 1}
    assert (runner.folder / "log.1").read_bytes() == b"ONE\nTWO\n"
    assert path.read_bytes() == b"THREE\n"


def test_a_long_line_is_put_together(runner: Runner) -> None:
    line = runner.start("Noting")
    line.send(output(b"a", 0, True))
    line.send(output(b"b", 1, True))
    line.send(output(b"c\n", 2))
    assert repr(b"abc\n") in runner.wait_for(3)[2]


def test_the_rest_of_a_line_whose_beginning_another_process_has_read_is_lost(runner: Runner) -> None:
    line = runner.start("Noting")
    line.send(output(b"b", 1, True))
    line.send(output(b"c\n", 2))
    line.send(output(b"whole\n"))
    lost: list[list[Any]] = []
    while sum(entry[2] for entry in lost) < 3:
        lost += heard(line)["lost"]
    assert {entry[4] for entry in lost} == {HEADLESS}
    assert repr(b"whole\n") in runner.wait_for(3)[2]


def test_a_farewell_counts_for_its_own_process_only(runner: Runner) -> None:
    line = runner.start("Noting")
    line.send(act("leave", channel=2))
    line.send(output(b"1\n"))
    line.send(act("leave", channel=3))
    line.send(output(b"for the next process\n"))
    assert runner.ended.wait(20)
    assert [text for text in runner.seen() if "b'" in text] == [text for text in runner.seen() if r"b'1\n'" in text]
    assert runner.seen()[-1] == "closed"


def test_what_was_sent_before_circusd_has_ended_is_still_handled(runner: Runner) -> None:
    line = runner.start("Noting")
    line.send(output(b"raise\n"))
    runner.wait_for(3)
    for _ in range(20):
        line.send(output(b"late\n"))
    line.close()  # with a report unread: the other end meets an error before the rest
    assert runner.ended.wait(20)
    assert len(runner.seen()) == 2 + 1 + 20 + 1
