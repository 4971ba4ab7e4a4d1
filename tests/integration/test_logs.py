"""``circusctl logs`` with real daemons, programs and terminals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from tests.support import DEADLINE, Circusd, wait_until

# Obeys lines of a FIFO: what to write where, how to end, or to write as fast as it can.
PUPPET = """
import ast, os, sys
for line in open(os.open(sys.argv[1], os.O_RDWR)):  # so that there is always a writer, and never an end
    order, *given = ast.literal_eval(line)
    if order == "exit":
        os._exit(given[0])
    elif order == "flood":
        for first in range(0, given[0], 1000):
            block = b"".join(b"%09d\\n" % number for number in range(first, first + 1000))
            while block:
                block = block[os.write(1, block):]
        open(sys.argv[1] + ".done", "w").close()
    else:
        os.write({"stdout": 1, "stderr": 2}[order], given[0])
"""
CAPTURED = """
stdout_stream.class = FileStream
stdout_stream.filename = ./out.log
stderr_stream.class = FileStream
stderr_stream.filename = ./err.log
working_dir = .
"""


class Stage:
    """A daemon whose programs do as they are told."""

    def __init__(self, circusd: Circusd) -> None:
        self.circusd = circusd
        self.program = circusd.program("puppet.py", PUPPET)

    def watcher(self, name: str, options: str = CAPTURED) -> str:
        """The section of a watcher with a program, which listens to a FIFO."""
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self.circusd.folder / name)
        return f"[watcher:{name}]\ncmd = {self.program} {self.circusd.folder / name}\n{options}\n"

    def start(self, *names: str) -> None:
        self.circusd.start("".join(map(self.watcher, names)), cwd=self.circusd.folder)

    def order(self, name: str, *orders: tuple[str, Any]) -> None:
        """Have the program of a watcher do something, and wait until what it has written is kept."""
        written = sum(len(given) for order, given in orders if order in ("stdout", "stderr"))
        written = 0 if orders[-1][0] == "exit" else written
        before = self.offset(name)
        with (self.circusd.folder / name).open("w") as fifo:
            fifo.writelines(f"{order!r}\n" for order in orders)
        if written:
            wait_until(lambda: self.offset(name) >= before + written, f"what {name} has written is kept")

    def entries(self, name: str, **properties: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.circusd.ok("logs", name=name, **properties)["logs"]
        return found

    def offset(self, name: str) -> int:
        return sum(entry["offset"] for entry in self.entries(name) if entry["alive"])

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "circus.cli.circusctl", "--endpoint", self.circusd.endpoint, "logs", *words]

    def bytes(self, *words: str) -> bytes:
        return subprocess.run(self.command(*words), capture_output=True, check=True, timeout=DEADLINE).stdout


@pytest.fixture
def stage(circusd: Circusd) -> Stage:
    return Stage(circusd)


class Follower:
    """A circusctl that follows, on a terminal or into files."""

    def __init__(self, stage: Stage, *words: str, terminal: bool = False, env: dict[str, str] | None = None) -> None:
        self.seen = b""
        self.remarks = stage.circusd.folder / "remarks"
        self.output = stage.circusd.folder / "output"
        self.master = -1
        options: dict[str, Any] = {"env": {**os.environ, "TERM": "xterm", **(env or {})}}
        if terminal:
            self.master, slave = pty.openpty()
            os.set_blocking(self.master, False)
            options |= {
                **dict.fromkeys(("stdin", "stdout", "stderr"), slave),
                "start_new_session": True,
                "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            }
            self.process = subprocess.Popen(stage.command(*words), **options)
            os.close(slave)
        else:
            with self.output.open("wb") as output, self.remarks.open("wb") as remarks:
                self.process = subprocess.Popen(stage.command(*words), stdout=output, stderr=remarks, **options)

    def read(self) -> bytes:
        """All that it has shown."""
        if self.master < 0:
            return self.output.read_bytes()
        with contextlib.suppress(OSError):
            while data := os.read(self.master, 65536):
                self.seen += data
        return self.seen

    def wait_for(self, text: bytes) -> bytes:
        """Wait until something is shown; return all of it."""
        wait_until(lambda: text in self.read(), f"{text!r} is shown")
        return self.read()

    def interrupt(self) -> int:
        """Type Ctrl-C, and return the exit status."""
        if self.master >= 0:
            os.write(self.master, b"\x03")
        else:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)


@contextlib.contextmanager
def following(stage: Stage, *words: str, **options: Any) -> Iterator[Follower]:
    follower = Follower(stage, *words, "--follow", **options)
    try:
        yield follower
    finally:
        follower.close()


def test_the_last_lines(stage: Stage) -> None:
    stage.start("web", "db")
    stage.order("web", ("stdout", b"one\ntwo\nthr"), ("stdout", b"ee\n"))
    stage.order("web", ("stderr", b"oh\n"))  # in two pipes, so that the order is not certain at once
    stage.order("db", ("stdout", b"\xff\x00 caf\xc3\xa9\x1b[2J\r\n no end"))
    assert stage.bytes("web", "-n", "3") == b"two\nthree\noh\n"
    assert stage.bytes("WEB", "--stderr") == b"oh\n"
    assert stage.bytes("db") == b"\xff\x00 caf\xc3\xa9\x1b[2J\r\n no end"
    assert stage.bytes("-n1") == b"db.1 |  no end\nweb.1 ! oh\n"
    reply = json.loads(stage.bytes("db", "--json"))
    assert [line["text"] for line in reply["logs"][0]["lines"]] == ["\udcff\x00 caf\u00e9\x1b[2J\r", " no end"]


def test_who_cannot_be_shown(stage: Stage) -> None:
    stage.circusd.start(stage.watcher("quiet", "") + "[watcher:silent]\ncmd = sleep 600\nclose_child_stdout = True\n")
    run = stage.circusd.ctl("logs", "quiet")
    assert (run.returncode, run.stdout) == (0, "")
    assert "quiet: its output is not captured" in run.stderr
    assert "set stdout_stream.class = StdoutStream" in run.stderr
    assert "silent: its standard error is not captured" in stage.circusd.ctl("logs").stderr
    for number in range(3):
        stage.circusd.ok("add", name=f"quiet{number}", cmd="sleep 600")
    shown = stage.circusd.ctl("logs").stderr.splitlines()
    assert (len(shown), shown[-1]) == (4, "and so it is with 2 more watchers, as --json tells")
    stage.circusd.ok("rm", name="quiet0", waiting=True)
    assert stage.circusd.ctl("logs").stderr.splitlines()[-1] == "and so it is with 1 more watcher, as --json tells"
    run = stage.circusd.ctl("logs", "nosuch")
    assert (run.returncode, run.stdout, run.stderr) == (3, "", "error: program nosuch not found\n")
    assert json.loads(stage.circusd.ctl("logs", "nosuch", "--json").stdout)["status"] == "error"


def test_the_last_words_of_a_process_that_failed(stage: Stage) -> None:
    stage.start("web")
    (pid,) = stage.circusd.pids("web")
    lines = b"".join(b"line %d\n" % number for number in range(30))
    stage.order("web", ("stdout", lines))
    stage.order("web", ("stderr", b"\x1b[31mfatal\x1b[0m \xff"), ("exit", 3))
    reap = stage.circusd.wait_for("reap", watcher="web")
    assert reap.data["output"] == [*(f"line {number}" for number in range(11, 30)), "\x1b[31mfatal\x1b[0m \udcff"]
    assert "exit code 3" in (explained := stage.circusd.ctl("explain", "web").stdout)
    assert "\n      line 29\n      fatal \\xff" in explained
    assert re.search(r"watcher\.web\.reap .* output=20 lines$", stage.circusd.ctl("events").stdout, re.MULTILINE)
    wait_until(lambda: len(stage.entries("web")) == 2, "there is another process")
    stage.order("web", ("stdout", b"again\n"))
    dead, alive = stage.entries("web", lines=2)
    assert (dead["pid"], dead["alive"], alive["alive"]) == (pid, False, True)
    assert dead["lines"] == [
        {"stream": "stdout", "text": "line 29"},
        {"stream": "stderr", "text": "\x1b[31mfatal\x1b[0m \udcff", "partial": True},
    ]
    assert stage.bytes("web", "-n", "1") == b"\x1b[31mfatal\x1b[0m \xff\nagain\n"


def test_an_end_that_was_meant_has_no_last_words(stage: Stage) -> None:
    stage.start("web")
    stage.order("web", ("stdout", b"text\n"))
    stage.circusd.ok("restart", name="web")
    assert "output" not in stage.circusd.wait_for("reap", watcher="web").data


def test_what_comes_follows_upon_what_was_there(stage: Stage) -> None:
    stage.start("web")
    stage.order("web", ("stdout", b"a\nb\nc\nhal"))
    with following(stage, "web", "-n", "2") as follower:
        stage.order("web", ("stdout", b"f\n"))
        follower.wait_for(b"f\n")
        for number in range(50):
            stage.order("web", ("stdout", b"%d \xff\n" % number))
        shown = follower.wait_for(b"49 \xff\n")
        assert shown == b"c\nhalf\n" + b"".join(b"%d \xff\n" % number for number in range(50))
        stage.order("web", ("stdout", b"last words"), ("exit", 1))
        stage.circusd.wait_for("spawn", watcher="web", count=2)
        stage.order("web", ("stdout", b"new\n"))
        assert follower.wait_for(b"new\n").endswith(b"\nlast words\nnew\n")
        assert follower.interrupt() == 0
        assert follower.remarks.read_text() == ""


def test_each_byte_of_a_flood_is_shown_or_said_to_be_missing(stage: Stage) -> None:
    stage.start("web")
    count = 300_000
    with following(stage, "web") as follower:
        stage.order("web", ("stdout", b"begun....\n"))
        follower.wait_for(b"begun....\n")
        stage.order("web", ("flood", count))
        wait_until((stage.circusd.folder / "web.done").exists, "all is written")

        def ended() -> bool:
            stage.order("web", ("stdout", b"ended....\n"))
            return b"ended....\n" in follower.read()

        wait_until(ended, "the end is shown")
        assert follower.interrupt() == 0
    written = stage.offset("web")
    *lines, rest = follower.output.read_bytes().split(b"\n")
    whole = [line for line in lines if len(line) == 9]
    numbers = [int(line) for line in whole if line.isdigit()]
    assert numbers == sorted(set(numbers))
    assert all(line.startswith(b"0") for line in set(lines) - set(whole)), "of a line that is cut its beginning stays"
    skipped = [int(text.replace(",", "")) for text in re.findall(r"([\d,]+) bytes", follower.remarks.read_text())]
    shown = 10 * len(whole) + sum(len(line) for line in lines if len(line) != 9) + len(rest)
    # It may have been interrupted before it heard of the last ends.
    ends = written - 10 * (count + 1)
    assert 10 * (count + 1) < shown + sum(skipped) <= 10 * (count + 1) + ends


def test_several_watchers_on_a_terminal(stage: Stage) -> None:
    stage.start("web", "db")
    with following(stage, terminal=True) as follower:
        stage.order("web", ("stdout", b"hel"))
        stage.order("db", ("stderr", b"\x1b]0;mine now\x07\x1b[33mwarning\n"))
        stage.order("web", ("stdout", b"lo\n"))
        shown = follower.wait_for(b"hello")
        assert b"\x1b[36mdb.1 \x1b[0m \x1b[31m!\x1b[0m ^[]0;mine now^G\x1b[33mwarning\x1b[0m\r\n" in shown
        assert b"\x1b[32mweb.1\x1b[0m \x1b[32m|\x1b[0m hello\r\n" in shown
        assert follower.interrupt() == 0
    with following(stage, terminal=True, env={"NO_COLOR": "1"}) as follower:
        assert b"web.1 | hello\r\n" in follower.wait_for(b"hello")
        follower.interrupt()


def test_of_one_process_a_terminal_gets_pieces_of_lines(stage: Stage) -> None:
    stage.start("web")
    with following(stage, "web", terminal=True) as follower:
        stage.order("web", ("stdout", b"password: "))
        follower.wait_for(b"password: ")
        stage.order("web", ("stdout", b"\x1b[2J\n"))
        assert follower.wait_for(b"^[[2J\r\n").endswith(b"password: ^[[2J\r\n")
        assert follower.interrupt() == 0


def test_lines_as_objects(stage: Stage) -> None:
    stage.start("web")
    with following(stage, "web", "--json") as follower:
        for stream, data in [("stdout", b"one\ntw"), ("stderr", b"\xff\n"), ("stdout", b"o\n")]:
            stage.order("web", (stream, data))
        follower.wait_for(b"two")
        lines = [json.loads(line) for line in follower.read().splitlines()]
    assert [(line["watcher"], line["wid"], line["stream"], line["text"]) for line in lines] == [
        ("web", 1, "stdout", "one"),
        ("web", 1, "stderr", "\udcff"),
        ("web", 1, "stdout", "two"),
    ]


def test_who_reads_no_more_ends_it(stage: Stage) -> None:
    stage.start("web")
    stage.order("web", ("stdout", b"first\n"))
    with subprocess.Popen(stage.command("web", "-f"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        process.stdout.close()
        assert process.wait(DEADLINE) == 0
        assert process.stderr is not None
        assert b"defect" not in process.stderr.read()


def test_a_daemon_that_is_started_anew_is_followed(stage: Stage) -> None:
    stage.start("web")
    with following(stage, "web") as follower:
        stage.order("web", ("stdout", b"before\n"))
        follower.wait_for(b"before\n")
        stage.circusd.stop()
        wait_until(lambda: "circusd is gone" in follower.remarks.read_text(), "the end is told")
        stage.start("web")
        stage.order("web", ("stdout", b"after\n"))
        assert follower.wait_for(b"after\n") == b"before\nafter\n"
        assert follower.interrupt() == 0
    assert follower.remarks.read_text().splitlines() == ["(circusd is gone; waiting for it)", "(another circusd runs)"]


def test_output_is_published_only_while_somebody_follows(stage: Stage) -> None:
    stage.start("web")
    with zmq.Context() as context, context.socket(zmq.SUB) as all_topics, context.socket(zmq.SUB) as logs:
        for socket, topics in ((all_topics, ["", "@sync.all"]), (logs, ["log.", "@sync.logs"])):
            socket.linger, socket.rcvtimeo = 0, int(DEADLINE * 1000)
            for topic in topics:
                socket.subscribe(topic)
            socket.connect(stage.circusd.pubsub_endpoint)
            while not socket.recv_multipart()[0].startswith(b"@sync."):
                pass
        stage.order("web", ("stdout", b"heard\n"))
        assert json.loads(logs.recv_multipart()[1])["data"] == "heard\n"
        logs.close()

        def silent() -> bool:
            stage.order("web", ("stdout", b"more\n"))
            topics: list[bytes] = []
            while topics.count(b"circus.tick") < 2:  # one may come before it would have been published
                topics.append(all_topics.recv_multipart()[0])
            return b"log.web" not in topics

        wait_until(silent, "nothing of it is published any more")
