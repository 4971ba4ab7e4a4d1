"""Streams that change while processes write: by ``set``, and when their files are opened anew."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from circus.testing import Circusd, is_alive, wait_until

# Writes so many numbers, each in a line of 100 bytes, and stays; a second argument has it take its time.
COUNTING = """
import itertools, os, sys, time
limit = int(sys.argv[1])
for number in itertools.count():
    if number == limit:
        sys.stdout.flush()
        time.sleep(1000)
    print(f"{number:012d}" + "x" * 87)
    if len(sys.argv) > 2:
        time.sleep(0.001)
"""
LINE = 100


class Counting:
    """A daemon with a watcher that counts."""

    def __init__(self, circusd: Circusd) -> None:
        self.circusd = circusd
        self.cmd = circusd.program("counting.py", COUNTING)
        self.first = circusd.folder / "first.log"

    def start(self, limit: int = 200_000, *, slowly: bool = False, **options: str) -> int:
        """Start it, with a file as its output by default; return its process."""
        cmd = f"{self.cmd} {limit}{' slowly' if slowly else ''}"
        options = options or {"filename": str(self.first)}
        lines = [f"stdout_stream.{key} = {value}" for key, value in options.items()]
        self.circusd.start(f"[watcher:w]\ncmd = {cmd}\n" + "\n".join(lines) + "\n")
        (pid,) = self.circusd.pids("w")
        return pid

    def set(self, **options: Any) -> dict[str, Any]:
        return self.circusd.ok("set", name="w", options={f"stdout_stream.{key}": options[key] for key in options})

    def wait_for_size(self, path: Path, size: int) -> None:
        wait_until(lambda: path.exists() and path.stat().st_size >= size, f"{path} has {size} bytes")

    def assert_complete(self, limit: int, *paths: Path) -> None:
        """Wait until all lines are there, one after the other, each whole."""

        def written() -> int:
            return sum(path.stat().st_size for path in paths if path.exists())

        wait_until(lambda: written() >= limit * LINE, f"{limit * LINE} bytes are written")
        for path in paths:
            assert path.read_bytes()[-1:] in (b"\n", b""), f"{path} ends with a part of a line"
        found = b"".join(path.read_bytes() for path in paths)
        expected = b"".join(b"%012d" % number + b"x" * 87 + b"\n" for number in range(limit))
        assert hashlib.sha256(found).digest() == hashlib.sha256(expected).digest()

    def open_files(self) -> list[str]:
        assert self.circusd.process is not None
        folder = Path(f"/proc/{self.circusd.process.pid}/fd")
        found = []
        for entry in folder.iterdir():
            try:
                found.append(os.readlink(entry))
            except FileNotFoundError:
                continue
        return found


@pytest.fixture
def counting(circusd: Circusd) -> Counting:
    return Counting(circusd)


def test_output_goes_to_another_file_from_a_line_on(counting: Counting) -> None:
    pid = counting.start()
    second, third = counting.circusd.folder / "second.log", counting.circusd.folder / "third.log"
    counting.wait_for_size(counting.first, 1_000_000)
    counting.set(filename=str(second))
    counting.wait_for_size(second, 1_000_000)
    counting.set(filename=str(third), time_format="")
    counting.assert_complete(200_000, counting.first, second, third)
    assert counting.circusd.pids("w") == [pid]
    assert not [path for path in counting.open_files() if path in (str(counting.first), str(second))]
    events = counting.circusd.events.of("updated", watcher="w")
    assert [event.data["option"] for event in events] == [
        "stdout_stream.filename",
        "stdout_stream.filename",
        "stdout_stream.time_format",
    ]
    shown = counting.circusd.ok("get", name="w", keys=["stdout_stream.class", "stdout_stream_conf"])["options"]
    assert shown == {
        "stdout_stream.class": "FileStream",
        "stdout_stream_conf": {"filename": str(third), "time_format": ""},
    }
    assert f"stdout_stream.filename: {third}\n" == counting.circusd.ctl("get", "w", "stdout_stream.filename").stdout
    counting.circusd.assert_no_defect()


def test_each_process_goes_to_its_own_file(circusd: Circusd) -> None:
    cmd = circusd.program("talk.py", "import time\nwhile True:\n    print('x', flush=True)\n    time.sleep(0.01)\n")
    circusd.start(f"[watcher:w]\ncmd = {cmd}\nnumprocesses = 2\nstdout_stream.filename = {circusd.folder}/all.log\n")
    options = {"stdout_stream": {"class": "FileStream", "filename": f"{circusd.folder}/$(circus.wid).log"}}
    circusd.ok("set", name="w", options=options)
    for wid in (1, 2):
        path = circusd.folder / f"{wid}.log"
        wait_until(lambda path=path: path.exists() and path.stat().st_size, f"{path} has something")


def test_what_cannot_be_opened_changes_nothing(counting: Counting) -> None:
    pid = counting.start()
    counting.wait_for_size(counting.first, 1_000_000)
    folder = counting.circusd.folder
    os.mkfifo(folder / "fifo")  # the configuration has nothing against it, but it cannot be opened
    for filename, reason in (
        (f"{folder}/no/x.log", f"there is no folder {folder}/no"),
        (folder / "fifo", "start what reads from it"),
    ):
        options = {"priority": 3, "stdout_stream.filename": str(filename)}
        reply = counting.circusd.call("set", name="w", options=options)
        assert reply["status"] == "error"
        assert "stdout_stream.filename" in reply["reason"]
        assert reason in reply["reason"]
    shown = counting.circusd.ok("options", name="w")["options"]
    assert (shown["priority"], shown["stdout_stream_conf"]) == (0, {"filename": str(counting.first)})
    assert not counting.circusd.events.of("updated")
    counting.assert_complete(200_000, counting.first)
    assert counting.circusd.pids("w") == [pid]


def test_a_watcher_without_a_stream_is_reloaded(counting: Counting) -> None:
    circusd = counting.circusd
    circusd.start(f"[watcher:w]\ncmd = {counting.cmd} 1000\nclose_child_stdout = True\nclose_child_stderr = False\n")
    (before,) = circusd.pids("w")
    circusd.ok("set", name="w", options={"stderr_stream.filename": str(counting.first)})
    (after,) = circusd.pids("w")
    assert after != before
    circusd.ok("set", name="w", options={"close_child_stdout": False, "stdout_stream.filename": str(counting.first)})
    counting.assert_complete(1000, counting.first)
    assert not is_alive(before)
    assert circusd.events.of("reload", watcher="w")


def test_another_class_takes_over(counting: Counting) -> None:
    (counting.circusd.folder / "own.py").write_text(
        "class Copy:\n"
        "    def __init__(self, filename):\n"
        "        self.file = open(filename, 'ab', buffering=0)\n"
        "    def __call__(self, data):\n"
        "        self.file.write(data['data'])\n"
    )
    pid = counting.start(limit=2000, slowly=True)
    second = counting.circusd.folder / "second.log"
    counting.wait_for_size(counting.first, 10_000)
    counting.set(**{"class": f"{counting.circusd.folder}/own.py:Copy", "filename": str(second)})
    counting.assert_complete(2000, counting.first, second)
    assert counting.circusd.pids("w") == [pid]


# Files that are opened anew.


def by_command(circusd: Circusd) -> None:
    assert circusd.ctl("reopenlogs").stdout == "ok\n"


def by_name(circusd: Circusd) -> None:
    assert circusd.ctl("reopenlogs", "W").stdout == "ok\n"


@pytest.mark.parametrize("reopen", [by_command, by_name], ids=["all", "one"])
def test_a_file_that_was_moved_away_is_made_anew_and_nothing_is_lost(
    counting: Counting, reopen: Callable[[Circusd], None]
) -> None:
    pid = counting.start()
    old = [counting.circusd.folder / f"first.log.{number}" for number in (2, 1)]
    for path in old:
        counting.wait_for_size(counting.first, 1_000_000)
        counting.first.rename(path)
        reopen(counting.circusd)
        size = path.stat().st_size
        counting.wait_for_size(counting.first, 100_000)
        assert path.stat().st_size == size  # the reply came when the old one was complete
    counting.assert_complete(200_000, *old, counting.first)
    assert counting.circusd.pids("w") == [pid]
    assert not [path for path in counting.open_files() if "first.log." in path]


def test_files_of_other_watchers_are_left_alone(counting: Counting) -> None:
    counting.start(limit=10)
    other = counting.circusd.folder / "other.log"
    cmd = counting.circusd.program("other.py", "import time\nprint('hello', flush=True)\ntime.sleep(1000)\n")
    counting.circusd.add("other", cmd, **{"stdout_stream.filename": str(other)})
    counting.wait_for_size(other, 6)
    other.rename(f"{other}.1")
    counting.circusd.ok("reopenlogs", name="w")
    assert not other.exists()
    counting.circusd.ok("reopenlogs", name="other")
    assert other.read_bytes() == b""


def test_a_hangup_opens_files_anew_and_reloads(counting: Counting) -> None:
    pid = counting.start(limit=1000)
    counting.assert_complete(1000, counting.first)
    counting.first.rename(f"{counting.first}.1")
    assert counting.circusd.process is not None
    counting.circusd.process.send_signal(signal.SIGHUP)
    counting.assert_complete(1000, counting.first)
    wait_until(lambda: not is_alive(pid), "the process is replaced")
    assert (counting.circusd.folder / "first.log.1").stat().st_size == 1000 * LINE


def test_what_cannot_be_opened_anew_is_told_and_written_on(counting: Counting) -> None:
    folder = counting.circusd.folder / "logs"
    folder.mkdir()
    counting.start(filename=f"{folder}/first.log")
    counting.wait_for_size(folder / "first.log", 1000)
    folder.rename(counting.circusd.folder / "moved")
    reply = counting.circusd.call("reopenlogs")
    assert reply["status"] == "error"
    assert f"{folder}/first.log: No such file or directory" in reply["reason"]
    failed = counting.circusd.wait_for("log_failed", watcher="w")
    assert "No such file" in failed.data["error"]
    counting.assert_complete(200_000, counting.circusd.folder / "moved" / "first.log")


def test_there_is_nothing_to_do_without_streams(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 1000\n")
    circusd.ok("reopenlogs")
    circusd.ok("reopenlogs", name="w")
    reply = circusd.call("reopenlogs", name="nobody")
    assert reply["reason"] == "program nobody not found"


def test_circusds_own_log_is_opened_anew_also_where_a_file_sets_it_up(circusd: Circusd) -> None:
    path = circusd.folder / "own.log"
    handler = f'"handlers": {{"f": {{"class": "logging.FileHandler", "filename": "{path}"}}}}'
    text = f'{{{handler}, "root": {{"handlers": ["f"], "level": "INFO"}}}}'
    (circusd.folder / "logging.json").write_text(text)
    circusd.start("[watcher:w]\ncmd = sleep 1000\n", f"loggerconfig = {circusd.folder}/logging.json")
    path.rename(f"{path}.1")
    circusd.ok("reopenlogs")
    circusd.ok("restart", name="w")
    assert "restart" in path.read_text()
