"""Capturing the output of real processes, without a daemon around it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.config.schema import WatcherSettings
from circus.exc import CircusError, SpawnError
from circus.stream import Source, Stream, upkeep
from circus.stream.capture import Capture
from circus.stream.handover import Remote
from circus.stream.kept import Kept
from circus.stream.live import Live
from circus.stream.making import Sinks
from tests.support import wait_until


class Captured:
    """Runs programs whose output is captured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reported: list[tuple[str, str, dict[str, Any]]] = []
        self.loop = asyncio.new_event_loop()
        self.kept = Kept(Live(self.loop, lambda topic, data: None))
        self.capture = Capture(self.kept, self.report, Remote(self.loop, lambda: None, self.report))
        self.running: list[subprocess.Popen[bytes]] = []

    def report(self, watcher: str, action: str, data: dict[str, Any]) -> None:
        self.reported.append((watcher, action, data))

    def settings(self, name: str = "w", **options: Any) -> WatcherSettings:
        """Settings of a watcher; ``stdout_stream`` and ``stderr_stream`` may be just a file's name."""
        for stream in ("stdout_stream", "stderr_stream"):
            if isinstance(options.get(stream), str):
                options[stream] = {"class": "FileStream", "filename": f"{self.folder}/{options[stream]}"}
        return WatcherSettings(name=name, cmd="x", **options)

    def run(self, code: str, settings: WatcherSettings, wid: int = 1, **how: Any) -> subprocess.Popen[bytes]:
        """Start Python with some code, and its output captured as the settings say."""
        stdout, stderr = self.capture.pipes(settings, wid, {})
        program = f"import os, sys, time\n{code}"
        process = subprocess.Popen([sys.executable, "-c", program], stdout=stdout, stderr=stderr, **how)
        self.running.append(process)
        self.capture.launched(stdout, stderr, process.pid)
        return process

    def last(self, wid: int) -> str:
        """The last line of a process of watcher w."""
        told = [entry["lines"] for entry in self.kept.tell(["w"], 1, "", pieces=False) if entry["wid"] == wid]
        return str(told[0][-1]["text"]) if told and told[0] else ""

    def text(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        self.capture.close()
        self.loop.close()


def pumps() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "circus-output"]


@pytest.fixture
def captured(tmp_path: Path) -> Iterator[Captured]:
    captured = Captured(tmp_path)
    yield captured
    captured.close()
    assert not pumps()


def test_without_streams_nothing_is_begun(captured: Captured) -> None:
    assert captured.capture.pipes(captured.settings(), 1, {}) == (None, None)
    closed = captured.settings(stdout_stream="out", close_child_stdout=True)
    assert captured.capture.pipes(closed, 1, {}) == (None, None)
    done: list[list[str]] = []
    captured.capture.reopen(None, done.append)
    assert done == [[]]
    assert not (captured.folder / "out").exists()
    assert not pumps()


def test_all_bytes_come_through_and_the_end_without_a_newline(captured: Captured) -> None:
    code = "data = bytes(range(256)) * 1000\nwhile data: data = data[os.write(1, data[:777]):]\nos.write(2, b'err')"
    captured.run(code, captured.settings(stdout_stream="out", stderr_stream="err")).wait()
    captured.capture.close()
    assert captured.text("out") == bytes(range(256)) * 1000
    assert captured.text("err") == b"err"


def test_variables_of_the_file_name(captured: Captured) -> None:
    settings = captured.settings(
        "Web", stdout_stream="$(circus.name)-$(circus.wid)-$(circus.sockets.a)", numprocesses=2
    )
    stdout, stderr = captured.capture.pipes(settings, 3, {"a": 5})
    captured.capture.launched(stdout, stderr, 0)
    assert (captured.folder / "Web-3-5").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs of other users")
def test_a_program_of_another_user_can_open_its_output(captured: Captured) -> None:
    # Not as the user from the start, who may not be allowed to run this Python.
    code = "import pwd; os.setuid(pwd.getpwnam('nobody').pw_uid)\n"
    code += "os.execv('/bin/sh', ['sh', '-c', 'echo opened > /dev/stdout'])"
    process = captured.run(code, captured.settings(stdout_stream="out", uid="nobody"))
    assert process.wait() == 0
    captured.capture.close()
    assert captured.text("out") == b"opened\n"


def test_the_beginning_of_a_line_is_not_held_back_for_long(captured: Captured) -> None:
    captured.run("os.write(1, b'line\\nPassword: '); time.sleep(100)", captured.settings(stdout_stream="out"))
    wait_until(lambda: captured.text("out") == b"line\nPassword: ")


def test_lines_of_two_processes_in_one_file_stay_whole(captured: Captured) -> None:
    code = (
        "line = (sys.argv[0] * 0 + 'ab'[{wid}] * 700 + '\\n').encode()\n"
        "for _ in range(300):\n    os.write(1, line[:350]); os.write({fd}, line[350:])\n"
    )
    settings = captured.settings(stdout_stream="out")
    processes = [captured.run(code.format(wid=wid, fd=1), settings, wid + 1) for wid in (0, 1)]
    assert [process.wait() for process in processes] == [0, 0]
    captured.capture.close()
    assert sorted(captured.text("out").split()) == [b"a" * 700] * 300 + [b"b" * 700] * 300


def test_a_line_that_is_not_complete_lets_others_pass(captured: Captured) -> None:
    settings = captured.settings(stdout_stream="out")
    reader, writer = os.pipe()
    code = f"os.write(1, b'begun, '); os.read({reader}, 1); os.write(1, b'ended\\n')"
    slow = captured.run(f"os.read({reader}, 1); {code}", settings, 1, pass_fds=[reader])
    quick = captured.run("[(os.write(1, b'line\\n'), time.sleep(0.05)) for _ in range(100)]", settings, 2)
    os.write(writer, b"x")
    wait_until(lambda: captured.last(1) == "begun, ")
    seen = captured.text("out").count(b"\n")
    wait_until(lambda: captured.text("out").count(b"\n") > seen + 5)
    os.write(writer, b"x")
    slow.wait()
    quick.kill()
    wait_until(lambda: b"ended" in captured.text("out"))
    assert set(captured.text("out").splitlines()) == {b"line", b"begun, ended"}
    os.close(reader)
    os.close(writer)


def test_a_long_line_with_a_time_stays_one(captured: Captured) -> None:
    stream = {"class": "FileStream", "filename": f"{captured.folder}/out", "time_format": "%Y"}
    code = "os.write(1, b'x' * 3000); time.sleep(0.2); os.write(1, b'y' * 200_000 + b'\\nz')"
    process = captured.run(code, captured.settings(stdout_stream=stream))
    process.wait()
    captured.capture.close()
    year, text = captured.text("out").split(b" ", 1)
    assert text == b"[%d] | %b\n%b [%d] | z\n" % (process.pid, b"x" * 3000 + b"y" * 200_000, year, process.pid)


def test_stderr_can_go_the_way_of_stdout(captured: Captured) -> None:
    settings = captured.settings(stdout_stream="out", stderr_stream={"class": "stdout"})
    captured.run("for _ in range(500): os.write(1, b'1\\n'); os.write(2, b'2\\n')", settings).wait()
    captured.capture.close()
    assert captured.text("out") == b"1\n2\n" * 500


def test_the_last_lines_of_a_process_that_failed(captured: Captured) -> None:
    code = "[os.write(1 + n % 2, b'%d \\xff\\n' % n) for n in range(30)]; os.write(1, b'end')"
    process = captured.run(code, captured.settings(stdout_stream="out", stderr_stream="err"))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    lines = captured.capture.died(process.pid, failed=True)
    # The two pipes are read one after the other, so that only within one of them the order is known.
    assert lines[-1] == "29 \udcff" or lines[-1] == "end"
    assert {"28 \udcff", "29 \udcff", "end"} <= set(lines)
    assert len(lines) == 20
    captured.capture.close()
    assert len(captured.text("out").split(b"\n")) == 16


def test_what_was_read_at_death_is_written_once(captured: Captured) -> None:
    code = "os.write(1, b'x' * 60_000 + b'\\n')"
    for number in range(50):
        process = captured.run(code, captured.settings(stdout_stream=f"out{number}"))
        process.wait()
        captured.capture.died(process.pid, failed=True)
    captured.capture.close()
    assert {len(captured.text(f"out{number}")) for number in range(50)} == {60_001}


def test_a_pipe_that_a_child_of_the_child_holds_is_read_on(captured: Captured) -> None:
    reader, writer = os.pipe()
    code = f"""
os.write(1, b'parent\\n')
if os.fork() == 0:
    os.read({reader}, 1)
    os.write(1, b'child\\n')
"""
    before = len(os.listdir("/proc/self/fd"))
    process = captured.run(code, captured.settings(stdout_stream="out"), pass_fds=[reader])
    process.wait()
    assert captured.capture.died(process.pid, failed=True) == ["parent"]
    os.write(writer, b"x")
    wait_until(lambda: captured.text("out") == b"parent\nchild\n")
    # What remains are the epoll and the bell of the pump.
    wait_until(lambda: len(os.listdir("/proc/self/fd")) == before + 2)
    os.close(reader)
    os.close(writer)


def test_what_was_said_before_is_written_when_all_is_settled(captured: Captured) -> None:
    code = "sys.stdin.read(); os.write(1, b'a line\\nthe end')"
    process = captured.run(code, captured.settings(stdout_stream="out"), stdin=subprocess.PIPE)
    go, settled = threading.Event(), threading.Event()
    for pump in captured.capture._pumps:
        pump.order(go.wait)
    process.communicate()
    seen: list[bytes] = []

    def note() -> None:
        seen.append(captured.text("out"))
        settled.set()

    captured.capture.settle(note)
    go.set()
    assert settled.wait(20)
    assert seen == [b"a line\nthe end"]


def test_what_is_in_a_pipe_when_everything_ends_is_written(captured: Captured) -> None:
    stdout, _ = captured.capture.pipes(captured.settings(stdout_stream="out"), 1, {})
    assert stdout is not None
    writer = os.dup(stdout)
    captured.capture.launched(stdout, None, 12345)
    (pump,) = [pump for pump in captured.capture._pumps if pump.running]
    gate = threading.Event()
    pump.order(gate.wait)
    wait_until(lambda: not pump._orders)
    os.write(writer, b"whole\npart")
    closing = threading.Thread(target=captured.capture.close)
    closing.start()
    wait_until(lambda: pump._orders)
    gate.set()
    closing.join()
    assert captured.text("out") == b"whole\npart"
    os.close(writer)


def test_another_file_from_now_on(captured: Captured) -> None:
    before, after = captured.settings(stdout_stream="one"), captured.settings(stdout_stream="two")
    reader, writer = os.pipe()
    code = f"os.write(1, b'1\\n'); os.read({reader}, 1); os.write(1, b'2\\n'); time.sleep(100)"
    captured.run(code, before, pass_fds=[reader])
    wait_until(lambda: captured.text("one") == b"1\n")
    assert captured.capture.restream(before, after) is False
    wait_until(lambda: not [link for link in Path("/proc/self/fd").iterdir() if str(link.resolve()).endswith("/one")])
    os.write(writer, b"x")
    wait_until(lambda: captured.text("two") == b"2\n")
    assert captured.text("one") == b"1\n"
    os.close(reader)
    os.close(writer)


def test_a_stream_that_nobody_uses_does_not_wait_for_its_reader_for_ever(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_GRACE", 0.1)
    address = str(captured.folder / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(address)
        syslog = captured.settings(stdout_stream={"class": "syslog", "address": address})
        before = set(os.listdir("/proc/self/fd"))
        captured.run("os.write(1, b'x\\n' * 10_000)", syslog).wait()
        wait_until(lambda: captured.reported)
        wait_until(lambda: len(os.listdir("/proc/self/fd")) == len(before) + 2)
        assert sum(data["lines"] for _, _, data in captured.reported) > 9_000


def test_the_beginning_of_a_line_is_written_though_others_go_on(captured: Captured) -> None:
    """Of two processes that end no line, the one that says more does not keep the other waiting, or itself."""
    dots = "while True: os.write(1, b'.'); time.sleep(0.01)"
    captured.run(dots, captured.settings("dots", stdout_stream="dots"))
    wait_until(lambda: (captured.folder / "dots").exists() and captured.text("dots"))
    captured.run("os.write(1, b'Password: '); time.sleep(100)", captured.settings(stdout_stream="out"))
    wait_until(lambda: captured.text("out") == b"Password: ")


def test_a_thread_that_cannot_be_started_leaves_no_descriptor(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(SpawnError, match="resources: can't start new thread"):
        captured.capture.pipes(captured.settings(stdout_stream="out"), 1, {})
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_file_is_opened_once_however_its_options_are_written(captured: Captured) -> None:
    file = {"class": "FileStream", "filename": f"{captured.folder}/out", "max_bytes": "1000", "backup_count": "9"}
    again = {**file, "filename": f"{captured.folder}/./out", "max_bytes": " 1000", "time_format": ""}
    other = {**file, "max_bytes": "2000"}
    for name, stream in {"a": file, "b": again, "c": other}.items():
        captured.run("time.sleep(100)", captured.settings(name, stdout_stream=stream))
    links = [os.readlink(f"/proc/self/fd/{link.name}") for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert links.count(f"{captured.folder}/out") == 2


def test_a_process_without_a_pipe_must_be_replaced_to_have_one(captured: Captured) -> None:
    plain, piped = captured.settings(), captured.settings(stdout_stream="out")
    assert captured.capture.restream(plain, piped) is True
    assert captured.capture.restream(piped, plain) is True
    joined = captured.settings(stdout_stream="out", stderr_stream={"class": "stdout"})
    assert captured.capture.restream(piped, joined) is True


def test_a_file_that_cannot_be_opened_changes_nothing(captured: Captured) -> None:
    before, after = captured.settings(stdout_stream="out"), captured.settings(stdout_stream="missing/out")
    captured.run("os.write(1, b'1\\n'); time.sleep(100)", before)
    with pytest.raises(CircusError, match=r"stdout_stream\.filename: .*/missing/out: No such file"):
        captured.capture.restream(before, after)
    wait_until(lambda: captured.text("out") == b"1\n")


def test_an_error_at_the_spawn_names_the_option_and_the_remedy(captured: Captured) -> None:
    before = set(os.listdir("/proc/self/fd"))
    settings = captured.settings(stdout_stream="out", stderr_stream="missing/err")
    for _ in range(3):
        with pytest.raises(SpawnError) as caught:
            captured.capture.pipes(settings, 1, {})
        assert caught.value.stage == "streams"
        folder = f"{captured.folder}/missing"
        assert str(caught.value) == (
            f"streams: stderr_stream.filename: {folder}/err: No such file or directory; "
            f"make the folder {folder}, or name another file"
        )
    with pytest.raises(SpawnError, match="stdout_stream: owner: there is no user"):
        captured.capture.pipes(
            captured.settings(stdout_stream={"class": "FileStream", "filename": "x", "owner": "no-such"}), 1, {}
        )
    wait_until(lambda: len(os.listdir("/proc/self/fd")) == len(before) + 2)


def test_a_stream_that_raises_is_told_once_a_second_and_not_fatal(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bad(Stream):
        def write(self, source: Source, data: bytes | memoryview) -> None:
            raise KeyError("x")

    kept = Sinks.lease

    def lease(sinks: Sinks, options: Any, pump: Any, custom: Any) -> Any:
        sink = kept(sinks, options, pump, custom)
        if "bad" in options["filename"]:
            sink.stream = Bad()
        return sink

    monkeypatch.setattr(Sinks, "lease", lease)
    settings = captured.settings("bad", stdout_stream="bad")
    captured.run("while True: os.write(1, b'x\\n'); time.sleep(0.01)", settings)
    good = captured.settings("good", stdout_stream="good")
    captured.run("while True: os.write(1, b'x\\n'); time.sleep(0.01)", good)
    wait_until(lambda: len(captured.reported) >= 4)
    times = {action: 0 for _, action, _ in captured.reported}
    for watcher, action, data in captured.reported:
        assert (watcher, data["stream"]) == ("bad", "stdout")
        times[action] += data["count"] if action == "log_failed" else data["lines"]
    assert times.keys() == {"log_dropped", "log_failed"}
    size = len(captured.text("good"))
    wait_until(lambda: len(captured.text("good")) > size)
