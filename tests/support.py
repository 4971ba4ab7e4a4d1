"""A real circusd for tests, on endpoints and in a folder of its own; what it leaves behind is found at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

BIN = Path(sys.executable).parent
DEADLINE = 20.0
"""Seconds that a test waits for a condition before it fails."""


def wait_until(condition: Callable[[], Any], what: str = "", deadline: float = DEADLINE) -> Any:
    """Return the first true value of ``condition``; fail with ``what`` after the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not so within {deadline} s: {what or condition}")
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Events:
    """Every event of a daemon from the moment of subscription on."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, last_seq: Callable[[], int]) -> None:
        """``last_seq`` asks the daemon for the number of its last event; 0 if it is gone."""
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self._last_seq = last_seq
        self._socket = context.socket(zmq.SUB)
        self._socket.set_hwm(0)
        self._socket.subscribe("watcher.")
        self._socket.connect(endpoint)

    def collect(self, timeout: float = 0.0) -> None:
        """Take in what has come."""
        while self._socket.poll(int(timeout * 1000)):
            topic, data = self._socket.recv_multipart()
            self.seen.append((topic.decode(), json.loads(data)))
            timeout = 0.0

    def catch_up(self) -> None:
        """Take in all that has happened so far: a reply may be quicker than the events before it."""
        last, end = self._last_seq(), time.monotonic() + DEADLINE
        while (self.seen[-1][1]["seq"] if self.seen else 0) < last and time.monotonic() < end:
            self.collect(0.05)

    def actions(self, watcher: str) -> list[str]:
        """Return the actions of a watcher, in order."""
        self.catch_up()
        prefix = f"watcher.{watcher}."
        return [topic.removeprefix(prefix) for topic, _ in self.seen if topic.startswith(prefix)]

    def of(self, watcher: str, action: str) -> list[dict[str, Any]]:
        """Return the data of the events of one kind."""
        self.catch_up()
        return self._of(watcher, action)

    def _of(self, watcher: str, action: str) -> list[dict[str, Any]]:
        self.collect()
        return [data for topic, data in self.seen if topic == f"watcher.{watcher}.{action}"]

    def wait_for(self, watcher: str, action: str, count: int = 1) -> dict[str, Any]:
        """Return the ``count``-th event of one kind; fail after the deadline."""
        end = time.monotonic() + DEADLINE
        while len(self._of(watcher, action)) < count:
            if time.monotonic() > end:
                raise AssertionError(f"no {action} of {watcher}; seen: {[topic for topic, _ in self.seen]}")
            self.collect(0.05)
        return self._of(watcher, action)[count - 1]

    def close(self) -> None:
        """Stop listening."""
        self._socket.close(linger=0)


class Circusd:
    """One daemon and the folder it lives in."""

    def __init__(self) -> None:
        # Not pytest's folder: its path may be longer than a local socket's may be.
        self.folder = Path(tempfile.mkdtemp(prefix="circus-"))
        self.endpoint = f"ipc://{self.folder}/endpoint"
        self.pubsub_endpoint = f"ipc://{self.folder}/pubsub"
        self.ini = self.folder / "circus.ini"
        self.mark = f"test-{uuid.uuid4().hex}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "circusd.log"
        self.context: zmq.Context[Any] = zmq.Context()
        self._events: list[Events] = []
        self._notified: socket.socket | None = None

    def write(self, text: str, circus: str = "") -> Path:
        """Write the configuration: ``text`` after a section ``[circus]`` with this daemon's endpoints."""
        head = f"[circus]\nendpoint = {self.endpoint}\npubsub_endpoint = {self.pubsub_endpoint}\n{circus}\n"
        self.ini.write_text(head + textwrap.dedent(text))
        return self.ini

    def program(self, name: str, text: str) -> str:
        """Write a Python program beside the configuration; return the command that runs it."""
        path = self.folder / name
        path.write_text(text)
        return f"{sys.executable} -u {path}"

    def launch(self, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Start circusd on the file that was written, and return at once."""
        self._notified = self._notify_socket()
        notify = {"NOTIFY_SOCKET": str(self.folder / "notify")}
        environment = {**os.environ, "CIRCUS_MARK": self.mark, **notify, **(env or {})}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "circus.cli.circusd", str(self.ini), *arguments],
                stdout=log,
                stderr=log,
                stdin=options.pop("stdin", subprocess.DEVNULL),
                env=environment,
                cwd=options.pop("cwd", self.folder),
                start_new_session=True,
                **options,
            )
        return self.process

    def start(self, text: str, circus: str = "", *arguments: str, **options: Any) -> Circusd:
        """Write the configuration, start circusd, and wait until it answers and has tried to start everything."""
        self.write(text, circus)
        self.launch(*arguments, **options)
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Wait until circusd says that it has tried to start everything."""

        def ready() -> bool:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"circusd ended with {self.process.returncode}:\n{self.output()}")
            with contextlib.suppress(BlockingIOError):
                return self._notified is not None and b"READY=1" in self._notified.recv(4096)
            return False

        wait_until(ready, "circusd is ready")

    def _notify_socket(self) -> socket.socket:
        """What circusd takes for systemd's."""
        if self._notified is not None:
            self._notified.close()
            (self.folder / "notify").unlink()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        made.bind(str(self.folder / "notify"))
        return made

    def output(self) -> str:
        """Return what circusd has logged."""
        return self.log.read_text(errors="replace")

    def assert_no_defect(self) -> None:
        """Fail if circusd has logged what only a defect of its own leads to."""
        output = self.output()
        assert "Traceback" not in output, output[-4000:]
        assert "internal error" not in output, output[-4000:]

    def try_call(self, command: str, timeout: float = DEADLINE, **properties: Any) -> dict[str, Any] | None:
        """Send a command; return its reply, or None after the timeout in seconds."""
        dealer = self.context.socket(zmq.DEALER)
        try:
            dealer.connect(self.endpoint)
            dealer.send_json({"command": command, "properties": properties, "id": uuid.uuid4().hex})
            return dealer.recv_json() if dealer.poll(int(timeout * 1000)) else None
        finally:
            dealer.close(linger=0)

    def call(self, command: str, timeout: float = DEADLINE, **properties: Any) -> dict[str, Any]:
        """Send a command and return its reply, which may be an error."""
        reply = self.try_call(command, timeout, **properties)
        if reply is None:
            raise AssertionError(f"no reply to {command} within {timeout} s; the log:\n{self.output()}")
        return reply

    def ok(self, command: str, **properties: Any) -> dict[str, Any]:
        """Send a command that must succeed, wait until it is done, and return its reply."""
        reply = self.call(command, **{"waiting": True, **properties})
        assert reply["status"] != "error", reply
        return reply

    def ctl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run circusctl on this daemon."""
        return subprocess.run(
            [sys.executable, "-m", "circus.cli.circusctl", "--endpoint", self.endpoint, *arguments],
            capture_output=True,
            text=True,
            timeout=DEADLINE * 2,
            **options,
        )

    def events(self) -> Events:
        """Subscribe; the subscription is live when this returns."""
        events = Events(self.context, self.pubsub_endpoint, self._last_seq)
        self._events.append(events)
        probe = f"probe-{uuid.uuid4().hex[:8]}"
        self.ok("add", name=probe, cmd="true")
        while not events.seen:
            self.ok("rm", name=probe)
            self.ok("add", name=probe, cmd="true")
            events.collect(0.05)
        self.ok("rm", name=probe)
        events.wait_for(probe, "remove")
        return events

    def _last_seq(self) -> int:
        if self.process is not None and self.process.poll() is not None:
            return 0
        reply = self.try_call("events", timeout=1, limit=1)
        return int(reply["last_seq"]) if reply else 0

    def pids(self, name: str) -> list[int]:
        """Return the PIDs of a watcher."""
        return self.ok("list", name=name)["pids"]

    def wids(self, name: str) -> dict[int, int]:
        """Return the PID in each slot of a watcher."""
        return {entry["wid"]: entry["pid"] for entry in self.ok("explain", name=name)["processes"] if entry["pid"]}

    def wait_for_pids(self, name: str, count: int) -> list[int]:
        """Wait until a watcher has so many processes, and return their PIDs."""
        wait_until(lambda: len(self.pids(name)) == count, f"{name} has {count} processes")
        return self.pids(name)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End circusd with a signal and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signum)
        return self.process.wait(DEADLINE)

    def descendants(self) -> list[int]:
        """Return every living process that comes from this daemon, wherever it went; not the daemon itself."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or (self.process and int(entry.name) == self.process.pid):
                continue
            with contextlib.suppress(OSError):
                if self.mark.encode() in (entry / "environ").read_bytes() and is_alive(int(entry.name)):
                    found.append(int(entry.name))
        return found

    def close(self) -> list[int]:
        """End everything; return what a daemon that had been stopped in good order has left behind."""
        ended_by_itself = self.process is not None and self.process.poll() is not None
        left = self.descendants() if ended_by_itself and self.process and self.process.returncode != -9 else []
        if self.process is not None and not ended_by_itself:
            self.process.kill()
            self.process.wait()
        for pid in self.descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for events in self._events:
            events.close()
        if self._notified is not None:
            self._notified.close()
        self.context.destroy(linger=0)
        shutil.rmtree(self.folder, ignore_errors=True)
        return left


@contextlib.contextmanager
def daemon() -> Iterator[Circusd]:
    """A daemon for one test; fails if it was stopped and left processes behind."""
    circusd = Circusd()
    try:
        yield circusd
    finally:
        left = circusd.close()
    assert not left, f"processes left behind: {left}"
