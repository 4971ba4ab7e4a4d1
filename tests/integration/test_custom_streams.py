"""Streams of other classes than circusd's own, which run outside of a real circusd."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys

import pytest

from circus.events import Event
from circus.testing import Circusd, wait_until
from tests.installed import Installed
from tests.seen import open_descriptors

# Writes what it is called with as it is, to a file beside it that is named by its option.
MODULE = """
import os, time
from circus.stream import FileStream

HERE = os.path.dirname(os.path.abspath(__file__))

def note(name, text):
    with open(os.path.join(HERE, name), "a") as file:
        print(text, file=file)

class Copy:
    def __init__(self, to="copy", level=None):
        note(to + ".calls", f"made in {os.getpid()} with {level!r}")
        self.file = open(os.path.join(HERE, to), "ab", buffering=0)

    def open(self):
        note(self.file.name + ".calls", "opened")

    def __call__(self, data):
        assert sorted(data) == ["data", "name", "pid", "timestamp"], data
        self.file.write(data["data"])

    def close(self):
        note(self.file.name + ".calls", "closed")

class Picky(Copy):
    def __call__(self, data):
        if b"bad" in data["data"]:
            raise ValueError("a bad line")
        super().__call__(data)

class Unmade(Copy):
    def __init__(self):
        raise OSError("the database is down")

class Unopened(Copy):
    def open(self):
        raise OSError("no disk")

class Hanging(Copy):
    def __call__(self, data):
        time.sleep(1000)

class Forking(Copy):
    def open(self):
        if os.fork() == 0:
            time.sleep(1000)

class Deadly(Copy):
    def __call__(self, data):
        super().__call__(data)
        if b"die" in data["data"]:
            os.kill(os.getpid(), 9)

class Shouting(FileStream):
    def write(self, source, data):
        super().write(source, b"%s %d %s" % (source.watcher.encode(), source.wid, bytes(data).upper()))
"""

# Prints what comes in its folder, a file for each line.
STEPS = """
import os, sys, time
step = 0
while True:
    path = os.path.join(os.path.dirname(sys.argv[0]), f"step.{step}")
    if os.path.exists(path):
        print(open(path).read(), end="", flush=True)
        step += 1
    time.sleep(0.01)
"""
COUNT = "import sys\nfor number in range(int(sys.argv[1])): print(f'{number:09d}' + 'x' * 90)\nsys.stdout.flush()\n"
THEIRS = """
@hookimpl
def circus_register_streams():
    level = OptionSpec("level", "integer(min=1)", doc="A level.")
    depth = OptionSpec("depth", "number", 1.5, doc="A depth.")
    return [StreamSpec("Theirs", "circus_theirs:Stream", [level, depth], "A stream.")]

class Stream:
    def __init__(self, **options):
        self.options = options

    def __call__(self, data):
        with open(self.options["to"], "a") as file:
            print(sorted(self.options.items()), data["data"], file=file)
"""


class Streams:
    """A daemon, and a folder with classes of streams."""

    def __init__(self, circusd: Circusd) -> None:
        self.circusd = circusd
        self.folder = circusd.folder / "lib"
        self.folder.mkdir()
        self._steps = 0
        (self.folder / "own.py").write_text(MODULE)

    def watcher(self, cls: str, cmd: str = "cat", name: str = "w", **options: str) -> str:
        """A section of a watcher; ``to="x"`` is an option of its stream."""
        lines = [f"[watcher:{name}]", f"cmd = {cmd}", f"stdout_stream.class = {cls}"]
        lines += [f"stdout_stream.{key} = {value}" for key, value in options.items()]
        return "\n".join(lines) + "\n"

    def program(self, text: str) -> str:
        """A command that runs Python and then stays."""
        return self.circusd.program("program.py", f"{text}\nimport sys, time\nsys.stdout.flush()\ntime.sleep(1000)\n")

    def say(self, line: str) -> None:
        """Have the program of steps print a line."""
        path = self.circusd.folder / f"step.{self._steps}"
        self._steps += 1
        path.with_suffix(".new").write_text(f"{line}\n")
        path.with_suffix(".new").rename(path)

    def start(self, text: str, circus: str = "") -> None:
        self.circusd.start(f"[env]\nPYTHONPATH = {self.folder}\n{text}", circus)

    def read(self, name: str = "copy") -> bytes:
        path = self.folder / name
        return path.read_bytes() if path.exists() else b""

    def calls(self, name: str = "copy") -> list[str]:
        return self.read(f"{name}.calls").decode().splitlines()

    def wait_for(self, data: bytes, name: str = "copy") -> bytes:
        wait_until(lambda: data in self.read(name), f"{data!r} in {name}: {self.read(name)[-500:]!r}")
        return self.read(name)

    def runner(self) -> int:
        """The process that runs the streams."""
        (pid,) = self.circusd.pids("plugin:streams")
        return pid


@pytest.fixture
def streams(circusd: Circusd) -> Streams:
    return Streams(circusd)


def printing(data: bytes) -> str:
    return f"import sys\nsys.stdout.buffer.write({data!r})\n"


@pytest.mark.parametrize("cls", ["own.Copy", "own:Copy", "./lib/own.py:Copy"])
def test_a_class_gets_every_byte(streams: Streams, cls: str) -> None:
    data = b"caf\xc3\xa9 \xff\x00\r\n\n\tx\n"
    streams.start(streams.watcher(cls, streams.program(printing(data)), level="3"))
    streams.wait_for(data)
    assert streams.read() == data
    assert streams.calls() == [f"made in {streams.runner()} with '3'", "opened"]
    streams.circusd.ok("stop", name="w")
    wait_until(lambda: streams.calls()[-1] == "closed", "the stream is closed")
    streams.circusd.assert_no_defect()


def test_what_a_process_wrote_last_arrives_before_circusd_ends(streams: Streams) -> None:
    text = "import signal, sys\nprint('ready', flush=True)\n"
    text += "def end(*_):\n    sys.stdout.write('x' * 50000 + 'the end')\n    sys.exit()\nsignal.signal(15, end)\n"
    streams.start(streams.watcher("own.Copy", streams.program(text), level="3"))
    streams.wait_for(b"ready")
    assert streams.circusd.stop() == 0
    assert streams.read() == b"ready\n" + b"x" * 50000 + b"the end"
    assert streams.calls()[-1] == "closed"


def test_what_plugins_say_last_arrives_too(streams: Streams) -> None:
    (streams.circusd.folder / "talk.py").write_text(
        "from circus.plugins import CircusPlugin\nclass Talk(CircusPlugin):\n"
        "    def handle_init(self): print('hello', flush=True)\n"
        "    def handle_stop(self):\n        import time\n        time.sleep(1)\n        print('bye', flush=True)\n"
    )
    text = "[plugin:talk]\nuse = ./talk.py:Talk\nstdout_stream.class = ./lib/own.py:Copy\n"
    streams.start(text, circus="debug = True")
    streams.wait_for(b"hello")
    assert streams.circusd.stop() == 0
    assert streams.read() == b"hello\nbye\n"


def test_output_at_full_speed_is_whole(streams: Streams) -> None:
    cmd = streams.circusd.program("count.py", COUNT)
    streams.start(streams.watcher("own.Copy", f"{cmd} 100000") + "respawn = False\n")
    expected = b"".join(b"%09d" % number + b"x" * 90 + b"\n" for number in range(100_000))
    wait_until(lambda: len(streams.read()) + lost(streams.circusd) >= len(expected), "all of it is accounted for")
    if not lost(streams.circusd):
        assert hashlib.sha256(streams.read()).digest() == hashlib.sha256(expected).digest()
    lines = streams.read().splitlines(keepends=True)
    assert set(lines) <= set(expected.splitlines(keepends=True))
    assert lines == sorted(set(lines))
    assert len(streams.read()) + lost(streams.circusd) == len(expected)


def lost(circusd: Circusd) -> int:
    return sum(event.data["bytes"] for event in circusd.events.of("log_dropped"))


def failed(circusd: Circusd, watcher: str = "w") -> Event:
    return circusd.wait_for("log_failed", watcher=watcher)


def test_a_stream_is_made_once_for_each_watcher_and_output(streams: Streams) -> None:
    cmd = streams.program("import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    text = streams.watcher("own.Copy", cmd, to="out") + "numprocesses = 2\n"
    text += "stderr_stream.class = own.Copy\nstderr_stream.to = err\n"
    streams.start(text)
    wait_until(lambda: streams.read("out") == b"out\nout\n" and streams.read("err") == b"err\nerr\n", "both have it")
    made = f"made in {streams.runner()} with None"
    streams.circusd.ok("reload", name="w")
    wait_until(lambda: streams.read("out") == b"out\n" * 4 and streams.read("err") == b"err\n" * 4, "and once more")
    assert streams.calls("out") == streams.calls("err") == [made, "opened"]
    streams.circusd.ok("incr", name="w")
    streams.wait_for(b"out\n" * 5, "out")
    assert streams.calls("out") == [made, "opened"]


def test_the_pythonpath_of_each_watcher_counts(streams: Streams) -> None:
    for name in ("one", "two"):
        folder = streams.circusd.folder / name
        folder.mkdir()
        (folder / "own.py").write_text(MODULE.replace('to="copy"', f'to="{name}"'))
    sections = [
        f"[env:{name}]\nPYTHONPATH = {streams.circusd.folder}/{name}\n"
        + streams.watcher("own.Copy", streams.program("print('hello')\n"), name=name)
        for name in ("one", "two")
    ]
    streams.start("".join(sections))
    for name in ("one", "two"):
        path = streams.circusd.folder / name / name
        wait_until(lambda path=path: path.exists() and path.read_bytes() == b"hello\n", f"{name} has it")


def test_a_registered_class_gets_typed_options(circusd: Circusd, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = Streams(circusd)
    site = Installed(circusd.folder / "site")
    site.add("circus-theirs", THEIRS)
    monkeypatch.setenv("PYTHONPATH", site.environment["PYTHONPATH"])
    to = streams.folder / "copy"
    streams.start(streams.watcher("Theirs", streams.program("print('hello')\n"), level="7", to=str(to)))
    streams.wait_for(b"hello")
    options = {"level": 7, "depth": 1.5, "to": str(to)}
    hello = b"hello\n"
    assert streams.read().decode() == f"{sorted(options.items())} {hello!r}\n"


def test_a_class_derived_from_one_of_circus(streams: Streams) -> None:
    path = streams.folder / "copy"
    streams.start(streams.watcher("own.Shouting", streams.program("print('hello')\n"), filename=str(path)))
    assert streams.wait_for(b"HELLO") == b"w 1 HELLO\n"


def test_standard_output_of_a_stream_is_circusds(streams: Streams) -> None:
    (streams.folder / "own.py").write_text(
        "from circus.stream import StdoutStream\nclass Out(StdoutStream):\n    def __init__(self):\n"
        "        super().__init__()\n        print('made')\n"
    )
    streams.start(streams.watcher("own.Out", streams.program("print('to the terminal')\n")))
    wait_until(lambda: "\nto the terminal\n" in streams.circusd.output(), "it comes out")
    assert "plugin:streams: stdout_stream of w: made" in streams.circusd.output()


# What goes wrong.


@pytest.mark.parametrize(
    ("cls", "error"),
    [
        ("own.Unmade", "OSError: the database is down"),
        ("own.Unopened", "OSError: no disk"),
        ("own.Missing", "'Missing'"),
    ],
)
def test_a_stream_that_cannot_be_made_is_published_and_loses_what_is_counted(
    streams: Streams, cls: str, error: str
) -> None:
    streams.start(f"[watcher:w]\ncmd = {streams.program(STEPS)}\nstdout_stream.filename = /dev/null\n")
    streams.circusd.ok("set", name="w", options={"stdout_stream": {"class": cls}})
    event = failed(streams.circusd)
    assert (event.data["stream"], event.data["class"], event.data["count"]) == ("stdout", cls, 1)
    assert error in event.data["error"]
    streams.say("lost")
    dropped = streams.circusd.wait_for("log_dropped", watcher="w")
    assert (dropped.data["bytes"], dropped.data["lines"], dropped.data["wid"]) == (5, 1, 1)
    assert error in dropped.data["reason"]
    assert streams.circusd.ok("status", name="w")["status"] == "active"


def test_a_call_that_raises_costs_what_it_was_called_with(streams: Streams) -> None:
    streams.start(streams.watcher("own.Picky", streams.program(STEPS)))
    streams.say("good 1")
    streams.wait_for(b"good 1")
    streams.say("bad 22")
    dropped = streams.circusd.wait_for("log_dropped", watcher="w")
    streams.say("good 2")
    assert streams.wait_for(b"good 2") == b"good 1\ngood 2\n"
    event = failed(streams.circusd)
    assert (event.data["error"], event.data["class"]) == ("ValueError: a bad line", "own.Picky")
    assert (dropped.data["bytes"], dropped.data["lines"]) == (7, 1)
    assert "plugin:streams: stdout_stream of w failed: a bad line" in streams.circusd.output()
    assert 'raise ValueError("a bad line")' in streams.circusd.output()


def test_one_that_hangs_holds_up_nobody_else(streams: Streams) -> None:
    cmd = streams.circusd.program("flood.py", "while True: print('x' * 1000)\n")
    text = streams.watcher("own.Hanging", cmd, name="hanging", to="nothing")
    text += streams.watcher("own.Copy", streams.program("print('hello')\n"), name="w")
    streams.start(text)
    streams.wait_for(b"hello")
    dropped = streams.circusd.wait_for("log_dropped", watcher="hanging")
    assert dropped.data["reason"] == "the stream does not take it as fast as it comes"
    assert streams.circusd.ok("status", name="w")["status"] == "active"
    streams.circusd.ok("stop", name="hanging")
    streams.circusd.ok("restart", name="w")
    streams.wait_for(b"hello\nhello\n")
    assert streams.circusd.stop() == 0


def test_a_runner_that_is_killed_loses_no_more_than_it_had_in_hand(streams: Streams) -> None:
    text = "import time\nfor number in range(2000):\n    print(number, flush=True)\n    time.sleep(0.001)\n"
    streams.start(streams.watcher("own.Copy", streams.program(text)))
    for count in (100, 300, 500):
        streams.wait_for(b"\n%d\n" % count)
        runner = streams.runner()
        os.kill(runner, signal.SIGKILL)
        wait_until(lambda runner=runner: streams.circusd.pids("plugin:streams") not in ([], [runner]), "a new one")
    streams.wait_for(b"\n1999\n")
    numbers = [int(line) for line in streams.read().splitlines()]
    assert numbers == sorted(set(numbers))
    gaps = [after for before, after in itertools.pairwise(numbers) if after != before + 1]
    assert len(gaps) <= 3
    assert streams.circusd.ok("status", name="w")["status"] == "active"


def test_a_runner_that_is_killed_may_leave_children(streams: Streams) -> None:
    streams.start(streams.watcher("own.Forking", streams.program(STEPS)))
    streams.say("one")
    streams.wait_for(b"one")
    os.kill(streams.runner(), signal.SIGKILL)
    streams.say("two")
    assert streams.wait_for(b"two") == b"one\ntwo\n"


def test_a_message_that_kills_is_not_tried_again(streams: Streams) -> None:
    streams.start(streams.watcher("own.Deadly", streams.program(STEPS)))
    for line in ("one", "die", "two"):
        streams.say(line)
        streams.wait_for(line.encode())
    assert streams.wait_for(b"two") == b"one\ndie\ntwo\n"


def test_the_runner_is_started_when_it_is_needed_first(streams: Streams) -> None:
    streams.start("[watcher:other]\ncmd = sleep 1000\n")
    assert "plugin:streams" not in streams.circusd.ok("list")["watchers"]
    options = {"stdout_stream.class": f"{streams.folder}/own.py:Copy"}
    streams.circusd.ok("add", name="w", cmd=streams.program("print('hello')\n"), options=options, start=True)
    streams.wait_for(b"hello")
    streams.circusd.ok("restart", name="plugin:streams")
    streams.circusd.ok("reload", name="w")
    streams.wait_for(b"hello\nhello\n")
    assert [call for call in streams.calls() if call in ("opened", "closed")] == ["opened", "closed", "opened"]


def test_nothing_of_it_is_imported_by_circusd(streams: Streams) -> None:
    (streams.folder / "own.py").write_text(f"{MODULE}\nnote('imported', os.getpid())\n")
    streams.start(streams.watcher("own.Copy", streams.program("print('hello')\n")))
    streams.wait_for(b"hello")
    process = streams.circusd.process
    assert process is not None
    assert str(process.pid) not in streams.read("imported").decode().split()


def test_descriptors_are_given_back(streams: Streams) -> None:
    streams.start(streams.watcher("own.Copy", streams.program("print('hello')\n")))
    streams.wait_for(b"hello")
    process = streams.circusd.process
    assert process is not None
    runner = streams.runner()
    before = open_descriptors(process.pid), open_descriptors(runner)
    for _ in range(5):
        streams.circusd.ok("stop", name="w")
        streams.circusd.ok("start", name="w")
    streams.circusd.ok("stop", name="w")

    def are_fewer() -> bool:
        return open_descriptors(process.pid) < before[0] and open_descriptors(runner) < before[1]

    wait_until(are_fewer, f"fewer descriptors than {before} are open")


def test_it_is_no_plugin_for_people(streams: Streams) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "circus.cli.plugin", "streams", "--endpoint", "ipc:///nowhere", "--pubsub", "ipc:///no"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 1
    assert "plugin:streams is for circusd" in run.stderr


@pytest.mark.parametrize("command", ["reload", "restart"])
def test_a_runner_that_is_replaced_hands_over(streams: Streams, command: str) -> None:
    text = "import time\nfor number in range(3000):\n    print(number, flush=True)\n    time.sleep(0.001)\n"
    streams.start(streams.watcher("own.Copy", streams.program(text)))
    for count in (100, 500):
        streams.wait_for(b"\n%d\n" % count)
        runner = streams.runner()
        streams.circusd.ok(command, name="plugin:streams")
        assert streams.runner() != runner
    streams.wait_for(b"\n2999\n")
    assert [int(line) for line in streams.read().splitlines()] == list(range(3000))
    assert [call.split()[0] for call in streams.calls()] == [
        "made",
        "opened",
        "closed",
        "made",
        "opened",
        "closed",
        "made",
        "opened",
    ]
    streams.circusd.assert_no_defect()
