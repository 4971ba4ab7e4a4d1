"""Where the output of processes goes, with a real circusd."""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from circus.testing import Circusd, wait_until

# Says a line on stdout and one on stderr, and waits.
SPEAKER = """
import os, sys, time
os.write(1, b"out %s\\n" % sys.argv[1].encode())
os.write(2, b"err \\xff\\n")
time.sleep(300)
"""


def speaking(circusd: Circusd, options: str, word: str = "$(circus.wid)", circus: str = "", **launch: Any) -> int:
    """Start circusd with a watcher ``w`` that says a line on each of its streams; return its process id."""
    command = circusd.program("speaker.py", SPEAKER)
    circusd.start(f"[watcher:w]\ncmd = {command} {word}\n{options}", circus, **launch)
    (pid,) = circusd.pids("w")
    return pid


def wait_for_bytes(path: Path, count: int) -> bytes:
    """What is in a file once it has so many lines."""
    wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, f"{path} has {count} lines")
    return path.read_bytes()


@contextmanager
def service(path: Path) -> Iterator[socket.socket]:
    """What listens at a path, as a log service does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(20)
        yield listening


def test_files_with_a_time_an_owner_and_a_mode(circusd: Circusd) -> None:
    nobody = pwd.getpwnam("nobody")
    owner = f"stdout_stream.owner = {nobody.pw_name}\n" if os.geteuid() == 0 else ""
    pid = speaking(
        circusd,
        f"stdout_stream.filename = {circusd.folder}/out-$(circus.wid)\nstdout_stream.time_format = %Y %H:%M:%S 50%%\n"
        f"stdout_stream.mode = 640\n{owner}"
        f"stderr_stream.class = WatchedFileStream\nstderr_stream.filename = {circusd.folder}/err\n",
    )
    file = circusd.folder / "out-1"
    assert re.fullmatch(rb"\d{4} \d\d:\d\d:\d\d 50%% \[%d\] \| out 1\n" % pid, wait_for_bytes(file, 1))
    assert wait_for_bytes(circusd.folder / "err", 1) == b"err \xff\n"
    assert file.stat().st_mode & 0o777 == 0o640
    if owner:
        assert (file.stat().st_uid, file.stat().st_gid) == (nobody.pw_uid, nobody.pw_gid)
    (circusd.folder / "err").rename(circusd.folder / "moved")
    circusd.ok("restart", name="w")
    assert wait_for_bytes(circusd.folder / "err", 1) == b"err \xff\n"
    assert (circusd.folder / "moved").read_bytes() == b"err \xff\n"


def test_rotation_by_time(circusd: Circusd) -> None:
    writer = circusd.program("writer.py", "import time\nn = 0\nwhile True:\n  print(n := n + 1)\n  time.sleep(0.1)")
    log = circusd.folder / "log"
    circusd.start(
        f"[watcher:w]\ncmd = {writer}\nstdout_stream.class = TimedRotatingFileStream\nstdout_stream.filename = {log}\n"
        "stdout_stream.rotate_when = S\nstdout_stream.backup_count = 100\n"
    )
    wait_until(lambda: len(list(circusd.folder.glob("log.*"))) >= 2, "two files have ended")
    circusd.ok("stop", name="w")
    files = [*sorted(circusd.folder.glob("log.*")), log]
    assert all(re.fullmatch(r"log\.\d{14}", file.name) for file in files[:-1])
    numbers = [int(line) for file in files if file.exists() for line in file.read_text().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_standard_output_as_it_is_in_colour_and_as_json(circusd: Circusd) -> None:
    command = circusd.program("speaker.py", SPEAKER)
    with (circusd.folder / "stdout").open("wb") as stdout:
        circusd.start(
            f"[watcher:plain]\ncmd = {command} plain\nstdout_stream.class = StdoutStream\n"
            f"[watcher:fancy]\ncmd = {command} fancy\nstdout_stream.class = FancyStdoutStream\n"
            "stdout_stream.color = blue\nstdout_stream.time_format = %H\n"
            f"[watcher:json]\ncmd = {command} json\nstdout_stream.class = JSONStream\n"
            f"stderr_stream.class = JSONStream\nstderr_stream.filename = {circusd.folder}/errors.json\n",
            stdout=stdout,
        )
    pids = {name: circusd.pids(name)[0] for name in ("plain", "fancy", "json")}
    lines = wait_for_bytes(circusd.folder / "stdout", 3).splitlines()
    assert b"out plain" in lines
    assert any(re.fullmatch(rb"\x1b\[0;34;40m\d\d \[%d\] \| out fancy\x1b\[0m" % pids["fancy"], line) for line in lines)
    (shown,) = (json.loads(line) for line in lines if line.startswith(b"{"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", shown.pop("time"))
    about = {"watcher": "json", "wid": 1, "pid": pids["json"]}
    assert shown == {**about, "stream": "stdout", "line": "out json"}
    error = json.loads(wait_for_bytes(circusd.folder / "errors.json", 1))
    assert (error["stream"], error["line"]) == ("stderr", "err \ufffd")


def test_syslog_and_journald(circusd: Circusd) -> None:
    with service(circusd.folder / "log") as syslog, service(circusd.folder / "journal") as journald:
        pid = speaking(
            circusd,
            f"stdout_stream.class = syslog\nstdout_stream.address = {circusd.folder}/log\n"
            "stdout_stream.facility = local3\n"
            f"stderr_stream.class = journald\nstderr_stream.address = {circusd.folder}/journal\n"
            "stderr_stream.ident = app\n"
            "[watcher:later]\ncmd = sleep 300\nautostart = False\nmax_retry = 1\n"
            f"stdout_stream.class = syslog\nstdout_stream.address = {circusd.folder}/log\n",
        )
        assert re.fullmatch(rb"<158>.{15} w\[%d\]: out 1" % pid, syslog.recv(4096))
        entry = set(journald.recv(4096).splitlines())
    assert entry > {b"MESSAGE=err \xff", b"PRIORITY=3", b"SYSLOG_IDENTIFIER=app", b"CIRCUS_WATCHER=w", b"CIRCUS_WID=1"}
    reply = circusd.call("start", name="later", waiting=True)
    assert reply["status"] == "error"
    assert (
        f"streams: stdout_stream.class: {circusd.folder}/log: there is no syslog: Connection refused" in reply["reason"]
    )


def test_stderr_in_the_file_of_stdout_in_order(circusd: Circusd) -> None:
    count = 2000
    writer = circusd.program(
        "writer.py",
        f"import os, time\nfor n in range({count}):\n    os.write(1 + n % 2, b'%d\\n' % n)\ntime.sleep(300)\n",
    )
    circusd.start(
        f"[watcher:w]\ncmd = {writer}\nstdout_stream.filename = {circusd.folder}/both\nstderr_stream.class = stdout\n"
    )
    assert wait_for_bytes(circusd.folder / "both", count) == b"".join(b"%d\n" % number for number in range(count))


def test_nobody_waits_for_a_slow_reader_of_standard_output(circusd: Circusd) -> None:
    flood = circusd.program("flood.py", "import sys\nwhile True:\n    sys.stdout.write('x' * 99 + '\\n')\n")
    reader, writer = os.pipe()
    circusd.start(
        f"[watcher:flood]\ncmd = {flood}\nstdout_stream.class = StdoutStream\n"
        f"[watcher:file]\ncmd = {circusd.program('speaker.py', SPEAKER)} x\nstdout_stream.filename = out\n",
        stdout=writer,
    )
    os.close(writer)
    dropped = circusd.wait_for("log_dropped", watcher="flood")
    assert "slow" in dropped.data["reason"]
    assert dropped.data["lines"] > 0
    assert dropped.data["stream"] == "stdout"
    assert wait_for_bytes(circusd.folder / "out", 1) == b"out x\n"
    circusd.ok("restart", name="file")
    assert wait_for_bytes(circusd.folder / "out", 2) == b"out x\n" * 2
    os.close(reader)
    circusd.ok("restart", name="file")
    assert wait_for_bytes(circusd.folder / "out", 3) == b"out x\n" * 3
    assert circusd.stop() == 0
    circusd.assert_no_defect()


REFUSED = [
    ({"class": "FileStrem"}, "stdout_stream.class", "did you mean 'FileStream'"),
    ({"class": "FileStream"}, "stdout_stream.class", "FileStream needs filename"),
    ({"filename": "/nowhere/x"}, "stdout_stream.filename", "there is no folder /nowhere"),
    ({"filename": "x", "owner": "nobody-here"}, "stdout_stream.owner", "there is no user 'nobody-here'"),
    ({"filename": "y", "mode": "rw"}, "stdout_stream.mode", "'rw' is not a file's mode"),
    ({"class": "stdout"}, "stdout_stream.class", "stdout is for stderr_stream alone"),
    ({"class": "QueueStream"}, "stdout_stream.class", "is for programs"),
    ({"class": "syslog", "facility": "x", "address": "loghost:514"}, "stdout_stream.facility", "'x' is unknown"),
    ({"class": "journald", "address": "/nowhere/x"}, "stdout_stream.address", "there is no journald at /nowhere/x"),
]


def test_what_is_wrong_is_told_at_check_start_reload_add_and_set(circusd: Circusd) -> None:
    def text(options: dict[str, str]) -> str:
        return "".join(f"stdout_stream.{name} = {value}\n" for name, value in options.items())

    sections = "".join(f"[watcher:w{n}]\ncmd = sleep 300\n{text(options)}" for n, (options, _, _) in enumerate(REFUSED))
    circusd.write(sections)
    for arguments in (["--check"], []):
        ended = subprocess.run(
            [sys.executable, "-m", "circus.cli.circusd", *arguments, str(circusd.ini)], capture_output=True, text=True
        )
        assert ended.returncode == 1
        faults = [line for line in ended.stderr.splitlines() if "[watcher:w" in line]
        assert len(faults) == len(REFUSED), ended.stderr
        for number, (_, option, words) in enumerate(REFUSED):
            assert f"[watcher:w{number}] {option}: " in faults[number]
            assert words in faults[number]
            assert "accepted: " in faults[number]
    circusd.start("[watcher:good]\ncmd = sleep 300\n")
    pids = circusd.pids("good")
    circusd.write(sections)
    reply = circusd.call("reloadconfig", waiting=True)
    assert reply["status"] == "error"
    assert all(f"[watcher:w{number}] {option}: " in reply["reason"] for number, (_, option, _) in enumerate(REFUSED))
    for options, option, words in REFUSED:
        given = {"stdout_stream": options}
        if options.keys() != {"class"} or "File" in options["class"]:
            given = {f"stdout_stream.{name}": value for name, value in options.items()}  # type: ignore[misc]
        for command, properties in (
            ("set", {"name": "good", "options": given}),
            ("add", {"name": "new", "cmd": "sleep 300", "options": {"stdout_stream": options}}),
        ):
            reply = circusd.call(command, waiting=True, **properties)
            assert reply["status"] == "error", (command, options)
            assert reply["reason"].startswith(f"'{option}': "), reply
            assert words in reply["reason"]
    assert circusd.ok("list")["watchers"] == ["good"]
    assert circusd.pids("good") == pids
