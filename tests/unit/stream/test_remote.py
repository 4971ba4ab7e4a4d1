"""circusd's side of the streams that another process runs."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from circus.config.schema import WatcherSettings
from circus.stream import wire
from circus.stream.base import Source
from circus.stream.custom import Custom, is_custom
from circus.stream.handover import Remote
from circus.stream.remote import MOST, TOO_SLOW, RemoteStream

OUT = Source("web", 1, 100, "stdout")
OPTIONS = {"class": "my.Stream", "level": "3"}


class Daemon:
    """A hub as circusd has it, on a loop that runs when a test says so; and the other ends of its lines."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.summoned = 0
        self.published: list[tuple[str, str, dict[str, Any]]] = []
        self.remote = Remote(self.loop, self._summon, self._report)
        self._processes: list[Process] = []

    def _summon(self) -> None:
        self.summoned += 1

    def _report(self, watcher: str, action: str, data: dict[str, Any]) -> None:
        self.published.append((watcher, action, data))

    def run(self) -> None:
        """Let the loop do what is due."""
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))

    def process(self) -> Process:
        """Start a process."""
        self._processes.append(Process(self))
        return self._processes[-1]

    def close(self) -> None:
        """End everything."""
        for process in self._processes:
            process.close()
        self.remote.close()
        self.loop.close()

    def stream(self, options: dict[str, str] = OPTIONS, watcher: str = "web", name: str = "stdout") -> RemoteStream:
        return RemoteStream(self.remote, Custom(watcher, name, options))


class Process:
    """A process that runs streams, as far as its sockets go."""

    def __init__(self, daemon: Daemon) -> None:
        descriptor = daemon.remote.channel()
        self.channel = socket.socket(fileno=os.dup(descriptor))
        self.lines: list[tuple[dict[str, Any], socket.socket]] = []
        daemon.remote.launched([descriptor])

    def hear(self) -> list[tuple[dict[str, Any], socket.socket]]:
        """Take on the lines that it is told of."""
        self.channel.setblocking(False)
        while True:
            try:
                message, (descriptor,), _, _ = socket.recv_fds(self.channel, wire.DESCRIPTION, 1)
            except BlockingIOError:
                return self.lines
            header, description = wire.decode(message)
            self.lines.append(({**header, **json.loads(description)}, socket.socket(fileno=descriptor)))

    def say(self, **what: Any) -> None:
        self.channel.send(wire.encode(what))

    def close(self) -> None:
        """End it."""
        self.channel.close()
        for _, line in self.lines:
            line.close()


def read(line: socket.socket) -> list[wire.Message]:
    """Everything that is on its way."""
    messages = []
    while True:
        try:
            messages.append(wire.decode(line.recv(wire.MESSAGE, socket.MSG_DONTWAIT)))
        except BlockingIOError:
            return messages


def acts(line: socket.socket) -> list[str | bytes]:
    """The same, briefly."""
    return [message.header.get("do", message.data) for message in read(line)]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon()
    yield made
    made.close()


def test_streams_of_others_are_run_elsewhere() -> None:
    assert not is_custom({"class": "FileStream", "filename": "/x"})
    assert not is_custom({"class": "circus.stream.FileStream", "filename": "/x"})
    assert not is_custom({})
    assert is_custom({"class": "my.Stream"})
    assert is_custom({"class": "/x/my.py:Stream"})


def test_a_process_is_told_of_each_stream_and_gets_what_was_written(daemon: Daemon) -> None:
    settings = WatcherSettings(name="web", env={"PYTHONPATH": "/lib"}, virtualenv="/venv")
    stream = RemoteStream(daemon.remote, Custom.of(settings, "stdout", OPTIONS))
    stream.open()
    assert daemon.summoned == 1
    stream.write(OUT, memoryview(b"early\n"))
    process = daemon.process()
    ((told, line),) = process.hear()
    assert told == {
        "channel": 1,
        "line": told["line"],
        "watcher": "web",
        "name": "stdout",
        "options": OPTIONS,
        "python_path": "/lib",
        "virtualenv": "/venv",
        "virtualenv_py_ver": "",
    }
    opened, early = read(line)
    assert opened == ({"do": "open"}, b"")
    assert early.data == b"early\n"
    assert {key: early.header[key] for key in ("pid", "wid", "name")} == {"pid": 100, "wid": 1, "name": "stdout"}
    stream.reopen()
    stream.close()
    assert acts(line) == ["reopen", "close"]
    another = daemon.stream(name="stderr")
    another.open()
    assert [told["name"] for told, _ in process.hear()] == ["stdout", "stderr"]


def test_the_next_process_goes_on_with_what_is_unread(daemon: Daemon) -> None:
    stream = daemon.stream()
    stream.open()
    process = daemon.process()
    ((_, line),) = process.hear()
    stream.write(OUT, b"1\n")
    assert acts(line) == ["open", b"1\n"]
    stream.write(OUT, b"2\n")
    process.close()
    stream.write(OUT, b"3\n")
    following = daemon.process()
    assert following.hear() == []  # circusd has not seen yet that the other one has ended
    daemon.run()
    ((_, line),) = following.hear()
    assert acts(line) == [b"2\n", b"3\n", "leave"]  # the last is for the one that has ended


def test_what_finds_no_room_is_dropped_by_whole_lines_and_counted(daemon: Daemon) -> None:
    stream = daemon.stream()
    stream.open()
    ((_, line),) = daemon.process().hear()
    sent = [b"%0999d\n" % number for number in range(3000)]
    for position in range(0, 3000, 100):
        stream.write(OUT, b"".join(sent[position : position + 100]))
    (loss,) = stream.take_losses().values()
    assert loss.reason == TOO_SLOW
    assert loss.bytes == 1000 * loss.lines > 0
    arrived = b""
    while messages := read(line):
        arrived += b"".join(message.data for message in messages)
        daemon.run()
    assert len(arrived) + loss.bytes == 3_000_000
    assert len(arrived) >= MOST
    assert arrived == b"".join(sent)[: len(arrived)]
    stream.write(OUT, b"room again\n")
    assert acts(line) == [b"room again\n"]
    assert not stream.take_losses()


def test_a_line_that_fits_into_no_message_is_sent_whole_or_not_at_all(daemon: Daemon) -> None:
    stream = daemon.stream()
    stream.open()
    ((_, line),) = daemon.process().hear()
    long = b"x" * 300_000 + b"\n"
    for _ in range(6):
        stream.write(OUT, long)
    (loss,) = stream.take_losses().values()
    assert loss.bytes == len(long) * loss.lines > 0
    messages = []
    while some := read(line):
        messages += [message for message in some if message.data]
        daemon.run()
    assert sum(len(message.data) for message in messages) == (6 - loss.lines) * len(long)
    assert [message.header["part"] for message in messages] == list(range(5)) * (6 - loss.lines)


def test_what_fails_there_is_published(daemon: Daemon) -> None:
    stream = daemon.stream()
    stream.open()
    ((_, line),) = daemon.process().hear()
    line.send(wire.encode({"error": "OSError: no", "count": 2, "lost": [[1, "stdout", 30, 3, "OSError: no"]]}))
    line.send(wire.encode({"error": "", "count": 0, "lost": [[2, "stderr", 5, 1, "slow"]]}))
    for garbage in (b"x", b"\0\x02[]", wire.encode({"error": 1}), wire.encode({"closed": "x"})):
        line.send(garbage)
    daemon.run()
    assert daemon.published == [
        ("web", "log_dropped", {"stream": "stdout", "wid": 1, "bytes": 30, "lines": 3, "reason": "OSError: no"}),
        ("web", "log_failed", {"stream": "stdout", "class": "my.Stream", "error": "OSError: no", "count": 2}),
        ("web", "log_dropped", {"stream": "stderr", "wid": 2, "bytes": 5, "lines": 1, "reason": "slow"}),
    ]


def test_a_line_ends_when_its_last_stream_is_closed_and_not_before(daemon: Daemon) -> None:
    first, second = daemon.stream(), daemon.stream()
    first.open()
    second.open()
    ((_, line),) = daemon.process().hear()
    first.close()
    assert acts(line) == ["open", "open"]
    second.close()
    again = daemon.stream()
    again.open()
    assert acts(line) == ["close", "open"]
    line.send(wire.encode({"closed": 1}))
    daemon.run()
    again.write(OUT, b"still there\n")
    again.close()
    assert acts(line) == [b"still there\n", "close"]
    line.send(wire.encode({"closed": 2}))
    daemon.run()
    assert line.recv(1) == b""
    assert daemon.summoned == 1


def test_a_line_ends_although_the_process_that_was_to_close_it_was_killed(daemon: Daemon) -> None:
    stream = daemon.stream()
    stream.open()
    process = daemon.process()
    ((_, line),) = process.hear()
    stream.close()
    assert acts(line) == ["open", "close"]
    process.close()
    daemon.run()
    following = daemon.process()
    ((_, line),) = following.hear()
    assert [message.header for message in read(line)] == [{"do": "close", "number": 1}]
    line.send(wire.encode({"closed": 1}))
    daemon.run()
    assert line.recv(1) == b""


def test_a_process_that_leaves_is_told_how_far_it_has_to_go(daemon: Daemon) -> None:
    settled: list[Any] = []
    daemon.remote.settle = settled.append
    stream = daemon.stream()
    stream.open()
    process = daemon.process()
    ((told, line),) = process.hear()
    process.say(leaving=True)
    daemon.run()
    stream.write(OUT, b"read meanwhile\n")
    (farewell,) = settled
    farewell()
    stream.write(OUT, b"for the next one\n")
    assert acts(line) == ["open", b"read meanwhile\n", "leave", b"for the next one\n"]
    daemon.stream(name="stderr").open()
    process.say(left=told["line"])
    daemon.run()
    assert len(process.hear()) == 1
    assert [told["name"] for told, _ in daemon.process().hear()] == ["stdout", "stderr"]


def test_of_two_processes_the_older_one_hands_over_line_by_line(daemon: Daemon) -> None:
    streams = [daemon.stream(name=name) for name in ("stdout", "stderr")]
    for stream in streams:
        stream.open()
    older = daemon.process()
    (out, out_line), (err, err_line) = older.hear()
    younger = daemon.process()
    daemon.run()
    assert younger.hear() == []
    assert [message.header for message in read(out_line)][1:] == [{"do": "leave", "channel": 1}]
    older.say(left=out["line"])
    daemon.run()
    ((told, _),) = younger.hear()
    assert (told["line"], told["channel"]) == (out["line"], 2)
    older.close()
    daemon.run()
    assert [told["line"] for told, _ in younger.hear()] == [out["line"], err["line"]]
    assert err_line.fileno() == -1


def test_a_process_that_never_came_of_it_holds_nothing_up(daemon: Daemon) -> None:
    daemon.stream().open()
    daemon.remote.launched([daemon.remote.channel()])
    process = daemon.process()
    daemon.run()
    assert len(process.hear()) == 1


def test_options_have_a_limit(daemon: Daemon) -> None:
    with pytest.raises(OSError, match="may have 131072 bytes"):
        daemon.stream({"class": "my.Stream", "x": "x" * wire.DESCRIPTION}).open()
    with pytest.raises(OSError, match="Bad file descriptor"):
        daemon.stream().write(OUT, b"not opened\n")
