"""A real circusd in a folder and on endpoints of its own; what it leaves behind is found at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import zmq

from circus.events import Event
from circus.testing.events import Events
from circus.testing.waiting import DEADLINE, is_alive, wait_until


class Circusd:
    """One daemon and the folder it lives in: what the fixture ``circusd`` gives.

    ``folder`` is the folder; ``ini`` the configuration file in it, ``log`` the file that circusd logs to; ``endpoint``
    and ``pubsub_endpoint`` are its addresses; ``process`` is circusd itself once it was started.
    """

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
        self._subscriptions: list[Events] = []
        self._history: Events | None = None
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
        self._notified, self._history = self._notify_socket(), None
        notify = {"NOTIFY_SOCKET": str(self.folder / "notify")}
        environment = {**os.environ, "CIRCUS_MARK": self.mark, **notify, **(env or {})}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "circus.cli.circusd", str(self.ini), *arguments],
                stdout=options.pop("stdout", log),
                stderr=log,
                stdin=options.pop("stdin", subprocess.DEVNULL),
                env=environment,
                cwd=options.pop("cwd", self.folder),
                start_new_session=True,
                **options,
            )
        return self.process

    def start(self, text: str = "", circus: str = "", *arguments: str, **options: Any) -> Circusd:
        """Write the configuration, start circusd, and wait until it answers and has tried to start everything.

        ``text`` is the ini file without the endpoints; ``circus`` more lines of its section ``[circus]``; ``arguments``
        stand on circusd's command line; ``env`` are variables more for its environment.
        """
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
        for sign in ("Traceback", "internal error"):
            if sign in output:
                raise AssertionError(f"{sign} in circusd's log:\n{output[-4000:]}")

    def try_call(self, command: str, timeout: float = DEADLINE, **properties: Any) -> dict[str, Any] | None:
        """Send a command; return its reply, or None after the timeout in seconds."""
        if self.process is None and not Path(self.endpoint.removeprefix("ipc://")).exists():
            raise AssertionError("circusd is not running yet: call circusd.start() first")
        dealer = self.context.socket(zmq.DEALER)
        try:
            dealer.connect(self.endpoint)
            dealer.send_json({"command": command, "properties": properties, "id": uuid.uuid4().hex})
            reply: dict[str, Any] | None = dealer.recv_json() if dealer.poll(int(timeout * 1000)) else None
            return reply
        finally:
            dealer.close(linger=0)

    def call(self, command: str, timeout: float = DEADLINE, **properties: Any) -> dict[str, Any]:
        """Send a command and return its reply, which may be an error. Fail if there is none within the timeout."""
        reply = self.try_call(command, timeout, **properties)
        if reply is None:
            raise AssertionError(f"no reply to {command} within {timeout} s; the log:\n{self.output()}")
        return reply

    def ok(self, command: str, **properties: Any) -> dict[str, Any]:
        """Send a command that must succeed, wait until it is done, and return its reply."""
        reply = self.call(command, **{"waiting": True, **properties})
        if reply["status"] == "error":
            raise AssertionError(f"{command} {properties or ''} was answered with {reply}")
        return reply

    def ctl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run circusctl on this daemon; the result has ``stdout``, ``stderr`` and ``returncode``."""
        return subprocess.run(
            [sys.executable, "-m", "circus.cli.circusctl", "--endpoint", self.endpoint, *arguments],
            capture_output=True,
            text=True,
            timeout=DEADLINE * 2,
            **options,
        )

    def add(self, name: str, cmd: str, *, start: bool = True, **options: Any) -> list[int]:
        """Add a watcher with options as in a configuration file, start it, and return the PIDs of its processes."""
        self.ok("add", name=name, cmd=cmd, options=options, start=start)
        return self.pids(name)

    def kill(self, pid: int, signum: int = signal.SIGKILL) -> None:
        """Send a signal to a process behind circusd's back."""
        os.kill(pid, signum)

    @property
    def events(self) -> Events:
        """All that has happened since circusd was started; after its end, what was read or on its way before."""
        if self._history is None:
            self._history = self._subscribe(0)
        return self._history

    def subscribe(self) -> Events:
        """Return what happens from now on."""
        return self._subscribe(int(self.ok("events", limit=0)["last_seq"]))

    def wait_for(self, action: str, *, watcher: str | None = None, count: int = 1, **data: Any) -> Event:
        """Return the ``count``-th event of one kind since circusd was started; wait for it, see :class:`Events`."""
        return self.events.wait_for(action, watcher=watcher, count=count, **data)

    def _subscribe(self, since: int) -> Events:
        events = Events(self.context, self.pubsub_endpoint, self._past, since)
        self._subscriptions.append(events)
        return events

    def _past(self, since: int) -> dict[str, Any] | None:
        if self.process is not None and self.process.poll() is not None:
            return None
        return self.try_call("events", timeout=1, since=since)

    def pids(self, name: str) -> list[int]:
        """Return the PIDs of a watcher."""
        pids: list[int] = self.ok("list", name=name)["pids"]
        return pids

    def wids(self, name: str) -> dict[int, int]:
        """Return the PID in each slot of a watcher."""
        return {entry["wid"]: entry["pid"] for entry in self.ok("explain", name=name)["processes"] if entry["pid"]}

    def wait_for_pids(self, name: str, count: int) -> list[int]:
        """Wait until a watcher has so many processes, and return their PIDs."""
        wait_until(lambda: len(self.pids(name)) == count, f"{name} has {count} processes")
        return self.pids(name)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End circusd with a signal and return its exit status."""
        if self.process is None:
            raise AssertionError("circusd is not running yet: call circusd.start() first")
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
        family: list[int] = []
        if self.process is not None and not ended_by_itself:
            with contextlib.suppress(psutil.NoSuchProcess):
                # Some programs, nginx and redis among them, write over the environment by which they would be known.
                family = [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]
            self.process.kill()
            self.process.wait()
        for pid in {*family, *self.descendants()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for events in self._subscriptions:
            events.close()
        if self._notified is not None:
            self._notified.close()
        self.context.destroy(linger=0)
        shutil.rmtree(self.folder, ignore_errors=True)
        return left


@contextlib.contextmanager
def daemon() -> Iterator[Circusd]:
    """A daemon that ends with the block; it is an error when it was stopped before and left processes behind."""
    circusd = Circusd()
    try:
        yield circusd
    finally:
        left = circusd.close()
    if left:
        raise AssertionError(f"circusd was stopped, and processes were left behind: {left}")
