"""One client of a supervisor: three questions, asked one after the other."""

import http.client
import json
import socket
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import zmq

from benchmarks.errors import Failed

REPLY_TIMEOUT = 30.0  # seconds
LOOK = 0.0005  # seconds between two looks for a socket file that is not there yet
WATCHER = "worker"


class Client(Protocol):
    """What a measurement may ask."""

    def ping(self) -> None:
        """The cheapest question there is."""

    def names(self) -> None:
        """What is supervised."""

    def pids(self) -> int:
        """All processes; returns their number."""

    def close(self) -> None:
        """Hang up."""


class CircusClient:
    """JSON on a DEALER socket."""

    def __init__(self, endpoint: str, timeout: float = REPLY_TIMEOUT) -> None:
        """Timeout: seconds for each reply."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._timeout = timeout
        self._socket.rcvtimeo = int(timeout * 1000)
        # Between bind and listen a connection is refused; the usual 100 ms until the next try would be measured too.
        self._socket.reconnect_ivl = 1
        self._socket.connect(endpoint)
        self._number = 0

    def call(self, command: str, **properties: object) -> dict[str, Any]:
        """One command; returns its reply, raises Failed on an error reply or none."""
        self._number += 1
        request = {"id": str(self._number), "command": command, "properties": properties}
        self._socket.send(json.dumps(request).encode())
        try:
            reply: dict[str, Any] = json.loads(self._socket.recv())
        except zmq.Again as error:
            raise Failed(f"no reply to {command} within {self._timeout:g} s") from error
        if reply.get("status") == "error":
            raise Failed(f"{command}: {reply.get('reason')}")
        return reply

    def cast(self, command: str, **properties: object) -> None:
        """One command that gets no reply."""
        self._socket.send(json.dumps({"command": command, "msg_type": "cast", "properties": properties}).encode())

    def ping(self) -> None:
        self.call("numwatchers")

    def names(self) -> None:
        self.call("list")

    def pids(self) -> int:
        return len(self.call("list", name=WATCHER)["pids"])

    def close(self) -> None:
        self._context.destroy(linger=0)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=REPLY_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(REPLY_TIMEOUT)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    """Keeps its connection, as the standard library's transport does wherever the server lets it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._unix = _UnixConnection(path)

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return self._unix


class SupervisorClient:
    """XML-RPC over HTTP on a unix socket."""

    def __init__(self, path: Path) -> None:
        self._proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(str(path)))

    def ping(self) -> None:
        self._proxy.supervisor.getState()

    def names(self) -> None:
        self._proxy.supervisor.getAllProcessInfo()

    def pids(self) -> int:
        answer = self._proxy.supervisor.getAllProcessInfo()
        assert isinstance(answer, list)
        return len(answer)

    def close(self) -> None:
        self._proxy("close")()


def await_socket(path: Path, timeout: float, ended: Callable[[], bool] = lambda: False) -> None:
    """Wait until a unix socket accepts connections; raises Failed after timeout seconds, or when ended says yes."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and not ended():
        # The file is looked for first: a stat takes less from the daemon that starts than a connection does.
        if path.exists():
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(path)) == 0:
                    return
        time.sleep(LOOK)
    raise Failed(f"nobody listens on {path}")
