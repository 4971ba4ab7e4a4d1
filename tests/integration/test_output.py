"""What programs print gets into files: whole, all of it, and at no cost to others. Real daemons, real programs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from circus.testing import Circusd, wait_until

ROOT = os.geteuid() == 0

FILE = """
stdout_stream.class = FileStream
stdout_stream.filename = {folder}/{file}
"""


def to_file(circusd: Circusd, file: str = "out", **options: object) -> str:
    """Lines of a watcher's section that send stdout to a file in the daemon's folder."""
    more = "".join(f"stdout_stream.{key} = {value}\n" for key, value in options.items())
    return FILE.format(folder=circusd.folder, file=file) + more


def read(circusd: Circusd, file: str = "out") -> bytes:
    """What a file in the daemon's folder holds; nothing if there is none."""
    path = circusd.folder / file
    return path.read_bytes() if path.exists() else b""


def history(path: Path) -> list[bytes]:
    """What a file and its predecessors hold, from the oldest on."""
    numbers = sorted((int(old.suffix[1:]) for old in path.parent.glob(f"{path.name}.*")), reverse=True)
    return [Path(f"{path}.{number}").read_bytes() for number in numbers] + [path.read_bytes()]


def usage(circusd: Circusd) -> tuple[int, int]:
    """How many descriptors circusd has, but for sockets, which come and go with clients, and how many threads."""
    assert circusd.process is not None
    proc = Path(f"/proc/{circusd.process.pid}")
    count = 0
    for link in (proc / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += not os.readlink(link).startswith("socket:")
    return count, len(os.listdir(proc / "task"))


def test_without_streams_there_is_no_thread_for_them(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 100\n")
    before = usage(circusd)[1]
    circusd.add("x", "sleep 100", stdout_stream={"class": "FileStream", "filename": f"{circusd.folder}/x"})
    assert usage(circusd)[1] == before + 1


def test_every_byte_gets_through(circusd: Circusd) -> None:
    """All byte values, and characters that are cut where one read ends and the next begins."""
    program = circusd.program(
        "bytes.py",
        """
import os, time
for _ in range(20):
    for value in range(256):
        os.write(1, bytes([value]))
text = "häßlich — ünïcödé 🎪\\n".encode() * 500
for position in range(len(text)):
    os.write(1, text[position:position + 1])
    if position % 997 == 0:
        time.sleep(0.003)
os.write(1, b"end")
os.write(2, b"error")
""",
    )
    circusd.start(
        f"[watcher:w]\ncmd = {program}\nrespawn = False\n{to_file(circusd)}"
        f"stderr_stream.filename = {circusd.folder}/err\n"
    )
    text = "häßlich — ünïcödé 🎪\n".encode() * 500
    wait_until(lambda: read(circusd).endswith(b"end") and read(circusd, "err") == b"error")
    assert read(circusd) == bytes(range(256)) * 20 + text + b"end"


def test_lines_of_many_workers_in_one_file_stay_whole(circusd: Circusd) -> None:
    program = circusd.program(
        "lines.py",
        """
import os, sys
letter = sys.argv[1].encode()
for number in range(400):
    line = letter * (1 + number * 37 % 3000) + b"\\n"
    while line:
        line = line[os.write(1, line[:1000]):]
""",
    )
    circusd.start(
        f"[watcher:w]\ncmd = {program} $(circus.wid)\nnumprocesses = 8\nrespawn = False\n"
        f"{to_file(circusd)}stderr_stream.filename = {circusd.folder}/out\n"
        # Another watcher with the same stream.
        f"[watcher:v]\ncmd = {program} 9\nrespawn = False\n{to_file(circusd)}"
    )
    lengths = sorted(1 + number * 37 % 3000 for number in range(400))
    wait_until(lambda: len(read(circusd)) == 9 * sum(length + 1 for length in lengths))
    lines = read(circusd).splitlines()
    for letter in b"123456789":
        assert sorted(len(line) for line in lines if line[0] == letter) == lengths
    assert all(len(set(line)) == 1 for line in lines)


def test_a_line_of_3000_characters_with_a_time_stays_one(circusd: Circusd) -> None:
    program = circusd.program("long.py", "print('x' * 3000)\nprint('next')\n")
    stream = to_file(circusd, time_format="%H:%M")
    circusd.start(f"[watcher:w]\ncmd = {program}\nrespawn = False\n{stream}")
    wait_until(lambda: read(circusd).endswith(b"next\n"))
    first, second = read(circusd).splitlines()
    assert first.endswith(b"] | " + b"x" * 3000)
    assert second.endswith(b"] | next")


@pytest.mark.parametrize("last", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_what_a_process_wrote_before_its_end_is_there(circusd: Circusd, last: str) -> None:
    code = f"import os\ndata = b'0123456789abcde\\n' * 65536\nwhile data: data = data[os.write(1, data):]\n{last}\n"
    circusd.start(f"[watcher:w]\ncmd = {circusd.program('mebibyte.py', code)}\nrespawn = False\n{to_file(circusd)}")
    wait_until(lambda: len(read(circusd)) >= 1 << 20)
    assert read(circusd) == b"0123456789abcde\n" * 65536


def test_the_last_lines_of_a_process_that_failed_are_told(circusd: Circusd) -> None:
    code = "import os, sys\n[print('line', n) for n in range(50)]\nos.write(1, b'\\xff caf\\xc3\\xa9')\nsys.exit(3)\n"
    circusd.start(f"[watcher:w]\ncmd = {circusd.program('fail.py', code)}\nrespawn = False\n{to_file(circusd)}")
    expected = [*(f"line {number}" for number in range(31, 50)), "\udcff café"]
    assert circusd.wait_for("reap", watcher="w").data["output"] == expected
    (exits,) = [process["last_exits"] for process in circusd.ok("explain", name="w")["processes"]]
    assert exits[0]["output"] == expected


def test_stop_and_start_a_hundred_times(circusd: Circusd) -> None:
    code = "import os, signal, time\nsignal.signal(15, lambda *_: (os.write(1, b'bye\\n'), os._exit(0)))\n"
    program = circusd.program("polite.py", code + "os.write(1, b'hello\\n')\nsignal.pause()\n")
    program = program.replace(" -u", " -I -S -u")
    circusd.start(f"[watcher:w]\ncmd = {program}\n{to_file(circusd)}")
    wait_until(lambda: read(circusd) == b"hello\n")
    before = usage(circusd)
    for number in range(1, 101):
        circusd.ok("stop", name="w", waiting=True)
        circusd.ok("start", name="w", waiting=True)
        wait_until(lambda number=number: read(circusd).count(b"hello") == number + 1)
    assert read(circusd) == b"hello\nbye\n" * 100 + b"hello\n"
    assert usage(circusd) == before


def size_of(file: Path) -> int:
    """The size of a file; 0 if it has just got another name."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def test_rotation_at_full_speed_loses_and_doubles_nothing(circusd: Circusd) -> None:
    code = """
import os
number = 0
for _ in range(400):
    data = b"".join(b"%07d %s\\n" % (n, b"x" * (n % 200)) for n in range(number, number + 1000))
    number += 1000
    while data:
        data = data[os.write(1, data):]
"""
    stream = to_file(circusd, max_bytes=1_000_000, backup_count=100)
    circusd.start(f"[watcher:w]\ncmd = {circusd.program('fast.py', code)}\nrespawn = False\n{stream}")
    expected = hashlib.sha256()
    size = 0
    for start in range(0, 400_000, 1000):
        data = b"".join(b"%07d %s\n" % (number, b"x" * (number % 200)) for number in range(start, start + 1000))
        expected.update(data)
        size += len(data)
    wait_until(lambda: sum(map(size_of, circusd.folder.glob("out*"))) >= size)
    files = history(circusd.folder / "out")
    assert hashlib.sha256(b"".join(files)).hexdigest() == expected.hexdigest()
    assert all(data.endswith(b"\n") and len(data) <= 1_000_000 for data in files)
    assert len(files) > 40


@contextlib.contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of its own in memory."""
    folder = Path(tempfile.mkdtemp(prefix="circus-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    try:
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
        yield folder
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


@pytest.mark.skipif(not ROOT, reason="only root mounts a small disk")
def test_a_full_disk_harms_nobody_and_its_losses_are_counted(circusd: Circusd) -> None:
    code = "import os\nn = 0\nwhile n == 0 or os.read(0, 1):\n    os.write(1, b'%09d\\n' % n * 1000)\n    n += 1\n"
    program = circusd.program("steps.py", code)
    with small_disk("1m") as disk:
        gate = circusd.folder / "gate"
        os.mkfifo(gate)
        shell = f'sh -c "exec {program} < {gate}"'
        other = circusd.program("w.py", "import time; print(1); time.sleep(100)")
        circusd.start(
            f"[watcher:full]\ncmd = {shell}\nstdout_stream.filename = {disk}/log\nrespawn = False\n"
            f"[watcher:w]\ncmd = {other}\n{to_file(circusd)}"
        )
        with gate.open("wb", buffering=0) as step:
            for _ in range(150):
                step.write(b"x")
            dropped = circusd.wait_for("log_dropped", watcher="full")
            assert (dropped.data["stream"], dropped.data["wid"]) == ("stdout", 1)
            assert dropped.data["reason"] == f"{disk}/log: No space left on device"

            def accounted() -> bool:
                lost = [event.data["bytes"] for event in circusd.events.of("log_dropped", watcher="full")]
                circusd.events.collect(0.1)
                return (disk / "log").stat().st_size + sum(lost) == 151 * 10_000

            wait_until(accounted)
            assert read(circusd) == b"1\n"
            assert circusd.ok("status")["statuses"] == {"full": "active", "w": "active"}
            os.truncate(disk / "log", 0)
            step.write(b"x")
            wait_until(lambda: (disk / "log").read_bytes().endswith(b"%09d\n" % 151 * 1000))
        assert (disk / "log").read_bytes().removeprefix(b"\n") == b"%09d\n" % 151 * 1000
        circusd.stop()


def test_a_device_that_takes_nothing_is_no_different(circusd: Circusd) -> None:
    program = circusd.program("lines.py", "import time\nwhile True: print('line'); time.sleep(0.01)\n")
    circusd.start(f"[watcher:w]\ncmd = {program}\nstdout_stream.filename = /dev/full\n")
    first = circusd.wait_for("log_dropped", watcher="w")
    second = circusd.wait_for("log_dropped", watcher="w", count=2)
    assert first.data["reason"] == "/dev/full: No space left on device"
    assert second.data["bytes"] == 5 * second.data["lines"] > 5
    assert second.time - first.time > 0.9


def test_a_child_of_the_child_that_holds_the_pipe(circusd: Circusd) -> None:
    """It delays nothing, what it writes later gets through, and nothing of it is left when it ends."""
    code = """
import os, sys, time, signal
if os.fork() == 0:
    os.setsid()
    os.environ.clear()
    # Without the mark in its environment it is a stranger, which the stop leaves alone.
    os.execve(sys.executable, [sys.executable, "-c", CODE], {})
print("parent")
signal.pause()
"""
    late = "import os,time\nwhile not os.path.exists({0!r}): time.sleep(0.01)\nprint('late', flush=True)"
    code = code.replace("CODE", repr(late.format(f"{circusd.folder}/go")))
    program = circusd.program("parent.py", code)
    circusd.start(f"[watcher:w]\ncmd = {program}\nrespawn = False\n{to_file(circusd)}")
    wait_until(lambda: read(circusd) == b"parent\n")
    (pid,) = circusd.pids("w")
    before = usage(circusd)[0]
    os.kill(pid, signal.SIGKILL)
    circusd.wait_for("reap", watcher="w")
    circusd.wait_for("stop", watcher="w")
    assert usage(circusd)[0] == before
    (circusd.folder / "go").touch()
    wait_until(lambda: read(circusd) == b"parent\nlate\n")
    wait_until(lambda: usage(circusd)[0] == before - 2)


def test_two_hundred_workers_that_write_at_once(circusd: Circusd) -> None:
    code = "import sys, time\nfor n in range(300): print(sys.argv[1], n)\nsys.stdout.flush()\ntime.sleep(1000)\n"
    program = circusd.program("busy.py", code).replace(" -u", "")
    shared = to_file(circusd, "all", max_bytes=100_000, backup_count=20)
    circusd.start(
        f"[watcher:own]\ncmd = {program} $(circus.wid)\nnumprocesses = 100\n{to_file(circusd, 'own-$(circus.wid)')}"
        f"[watcher:all]\ncmd = {program} $(circus.wid)\nnumprocesses = 100\n{shared}"
    )
    wait_until(lambda: sum(file.read_bytes().count(b"\n") for file in circusd.folder.glob("all*")) == 30_000, 40)
    for wid in range(1, 101):
        expected = b"".join(b"%d %d\n" % (wid, number) for number in range(300))
        wait_until(lambda wid=wid, expected=expected: read(circusd, f"own-{wid}") == expected)
    lines = b"".join(history(circusd.folder / "all")).splitlines()
    assert sorted(lines) == sorted(b"%d %d" % (wid, number) for wid in range(1, 101) for number in range(300))


def test_processes_of_a_watcher_that_is_removed_write_on(circusd: Circusd) -> None:
    program = circusd.program("on.py", "import time\nn = 0\nwhile True: n += 1; print(n); time.sleep(0.01)\n")
    circusd.start(f"[watcher:w]\ncmd = {program}\n{to_file(circusd)}")
    (pid,) = circusd.wait_for_pids("w", 1)
    circusd.ok("rm", name="w", nostop=True)
    seen = read(circusd).count(b"\n")
    wait_until(lambda: read(circusd).count(b"\n") > seen + 20)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_what_was_said_before_the_end_of_circusd_is_written(circusd: Circusd) -> None:
    code = """
import os, signal
def end(*_):
    data = b"last words\\n" * 50_000
    while data:
        data = data[os.write(1, data):]
    os._exit(0)
signal.signal(15, end)
print("ready")
while True: signal.pause()
"""
    program = circusd.program("talker.py", code)
    circusd.start(f"[watcher:w]\ncmd = {program}\nnumprocesses = 4\n{to_file(circusd, 'out-$(circus.wid)')}")
    wait_until(lambda: all(read(circusd, f"out-{wid}") == b"ready\n" for wid in range(1, 5)))
    assert circusd.stop() == 0
    for wid in range(1, 5):
        assert read(circusd, f"out-{wid}") == b"ready\n" + b"last words\n" * 50_000


def test_no_descriptor_and_no_thread_is_left(circusd: Circusd) -> None:
    program = circusd.program("short.py", "print('x')\n")
    circusd.start(f"[watcher:w]\ncmd = sleep 100\n{to_file(circusd)}")
    # So many that every thread starts which ever will.
    many = circusd.add(
        "many", "sleep 100", stdout_stream={"filename": f"{circusd.folder}/-$(circus.wid)"}, numprocesses=50
    )
    assert len(many) == 50
    descriptors, threads = usage(circusd)
    circusd.ok("rm", name="many", waiting=True)
    wait_until(lambda: usage(circusd)[0] <= descriptors - 100)
    before = usage(circusd)
    assert before[1] == threads
    for number in range(5):
        stream = {"class": "FileStream", "filename": f"{circusd.folder}/{number}-$(circus.wid)"}
        circusd.add("x", program, stdout_stream=stream, stderr_stream={"class": "stdout"}, numprocesses=5)
        circusd.wait_for("reap", watcher="x", count=5 * (number + 1))
        circusd.ok("rm", name="x", waiting=True)
    wait_until(lambda: usage(circusd) == before)


def test_a_closed_stdout_goes_nowhere_whatever_its_stream_is(circusd: Circusd) -> None:
    code = "import os, time\nprint(os.readlink('/proc/self/fd/1'))\nos.write(2, b'error\\n')\ntime.sleep(100)\n"
    program = circusd.program("closed.py", code)
    circusd.start(
        f"[watcher:w]\ncmd = {program}\nclose_child_stdout = True\n{to_file(circusd)}"
        f"stderr_stream.filename = {circusd.folder}/err\n"
    )
    wait_until(lambda: read(circusd, "err") == b"error\n")
    (pid,) = circusd.pids("w")
    assert os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
    assert not (circusd.folder / "out").exists()


def test_a_folder_that_goes_missing_is_a_failed_spawn(circusd: Circusd) -> None:
    (circusd.folder / "logs").mkdir()
    circusd.start(f"[watcher:w]\ncmd = sleep 100\nautostart = False\nmax_retry = -1\n{to_file(circusd, 'logs/out')}")
    (circusd.folder / "logs").rmdir()
    circusd.ok("start", name="w", waiting=False)
    failed = circusd.wait_for("spawn_failed", watcher="w")
    folder = f"{circusd.folder}/logs"
    assert failed.data["stage"] == "streams"
    assert failed.data["reason"] == (
        f"streams: stdout_stream.filename: {folder}/out: No such file or directory; "
        f"make the folder {folder}, or name another file"
    )
    (circusd.folder / "logs").mkdir()
    circusd.wait_for("spawn", watcher="w")
