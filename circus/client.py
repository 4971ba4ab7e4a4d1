"""The way in from outside: send commands to a daemon and get its replies.

>>> client = CircusClient(endpoint="tcp://127.0.0.1:5555")
>>> client.send_message("start", name="web", waiting=True)
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import zmq

from circus.exc import CallError
from circus.util import default_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.async_client import AsyncCircusClient as AsyncCircusClient

Json = dict[str, Any]

_FOR_EVER = 1e6
"""Seconds; more than that does not fit where libzmq counts milliseconds."""
_BUSY_WAIT = 1.0
"""Seconds that a daemon which has not answered gets to say what it is doing."""


def make_message(command: str, **props: Any) -> Json:
    """Return the request for a command with its properties."""
    return {"command": command, "properties": props}


def cast_message(command: str, **props: Any) -> Json:
    """Return the request for a command that gets no reply."""
    return {"command": command, "msg_type": "cast", "properties": props}


def make_json(command: str, **props: Any) -> str:
    """Return the request for a command as JSON text."""
    return json.dumps(make_message(command, **props))


class CircusClient:
    """Sends commands to the daemon at ``endpoint`` and waits for the replies, at most ``timeout`` seconds for each.

    While nobody listens at the endpoint, a daemon that is just starting is waited for: ``patience`` seconds, by default
    as long as the timeout. ``ssh_server`` (``user@host:port``) reaches a ``tcp://`` endpoint of another machine.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        endpoint: str | None = None,
        timeout: float = 5.0,
        ssh_server: str | None = None,
        ssh_keyfile: str | None = None,
        *,
        patience: float | None = None,
    ) -> None:
        self.endpoint = endpoint or default_endpoint()
        self.timeout = float(timeout)
        self.patience = self.timeout if patience is None else min(patience, self.timeout)
        self.ssh_server = ssh_server
        self._own_context = context is None
        self.context = context or zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        try:
            connect(self.socket, self.endpoint, ssh_server, ssh_keyfile)
        except CallError:
            self.stop()
            raise

    def __enter__(self) -> CircusClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the connection. It may be called twice."""
        self.socket.close(linger=0)
        if self._own_context:
            self.context.term()

    def send_message(self, command: str, **props: Any) -> Json:
        """Send a command with its properties and return the reply; see :meth:`call`."""
        return self.call(make_message(command, **props))

    def call(self, cmd: Json | str) -> Json:
        """Send a request and return the reply, an error reply too. A fresh ``id`` is put into the request.

        Raise :class:`~circus.exc.CallError` if there is no daemon, no permission, or no reply in time; its ``kind``
        says which.
        """
        if isinstance(cmd, str):
            raise DeprecationWarning("call() takes an object with the keys command and properties, not a text")
        id = self.send(cmd)
        if cmd.get("msg_type") == "cast":
            return {"status": "ok", "id": id}
        begun = time.monotonic()
        reply = self.receive(id, self.patience)
        if reply is None and self.ssh_server is None:
            raise_if_unreachable(self.endpoint)
        if reply is None:
            reply = self.receive(id, begun + self.timeout - time.monotonic())
        if reply is None:
            raise no_reply(self.endpoint, cmd, self.timeout, self.ssh_server)
        return reply

    def send(self, cmd: Json) -> str:
        """Send a request without waiting for the reply, and return its ``id``."""
        cmd["id"] = os.urandom(16).hex()
        try:
            self.socket.send(json.dumps(cmd).encode())
        except (zmq.ZMQError, TypeError, ValueError) as error:
            raise CallError(f"the request cannot be sent: {error}") from None
        return str(cmd["id"])

    def receive(self, id: str, timeout: float) -> Json | None:
        """Return the reply to the request with that ``id``, or None if it does not come within ``timeout`` seconds."""
        deadline = time.monotonic() + min(timeout, _FOR_EVER)
        while True:
            # A poller would be made anew for each wait.
            self.socket.setsockopt(zmq.RCVTIMEO, max(0, int((deadline - time.monotonic()) * 1000)))
            try:
                frames = self.socket.recv_multipart()
            except zmq.Again:
                return None
            reply = decode_reply(frames)
            # What the daemon could not read has no id that it could repeat.
            if reply.get("id") in (id, None):
                return reply


def decode_reply(frames: list[bytes]) -> Json:
    """Read a reply. Raise ``CallError`` if it is none, since then whoever answers is no circusd."""
    try:
        reply = json.loads(frames[-1])
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise CallError("the answer is no reply of circusd; is this the endpoint for commands?", "bad-endpoint")
    return reply


def connect(socket: zmq.Socket[Any], endpoint: str, ssh_server: str | None, ssh_keyfile: str | None) -> None:
    """Connect a DEALER or SUB socket. Raise ``CallError`` for an endpoint that cannot be, or when ssh fails."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IDENTITY, os.urandom(16).hex().encode())
    try:
        if ssh_server is None:
            socket.connect(endpoint)
        else:
            _tunnel(socket, endpoint, ssh_server, ssh_keyfile)
    except zmq.ZMQError as error:
        raise CallError(
            f"{endpoint!r} is no endpoint ({error}); write tcp://HOST:PORT or ipc://PATH", "bad-endpoint"
        ) from None


def _tunnel(socket: zmq.Socket[Any], endpoint: str, server: str, keyfile: str | None) -> None:
    if not endpoint.startswith("tcp://"):
        raise CallError(f"only tcp:// endpoints can be reached through ssh, and {endpoint} is none", "bad-endpoint")
    try:
        from zmq import ssh

        # Its annotations name the socket module's class.
        ssh.tunnel_connection(socket, endpoint, server, keyfile=keyfile)  # type: ignore[call-overload]
    except ImportError as error:
        raise CallError(f"ssh needs what 'pip install circus[ssh]' installs: {error}", "bad-endpoint") from None
    except zmq.ZMQError:
        raise
    except Exception as error:
        # pexpect, paramiko and ssh each have errors of their own.
        raise CallError(f"ssh to {server} failed: {str(error) or type(error).__name__}", "no-daemon") from None


def raise_if_unreachable(endpoint: str) -> None:
    """Raise a ``CallError`` that says why nobody can be reached at the endpoint; do nothing if somebody listens."""
    try:
        probe(endpoint)
    except (OSError, ValueError) as error:
        raise _unreachable(endpoint, error) from None


def _unreachable(endpoint: str, error: Exception) -> CallError:
    remedy = "Start circusd, or name its endpoint by --endpoint or CIRCUSCTL_ENDPOINT"
    match error:
        case PermissionError():
            path = endpoint.partition("://")[2]
            text = f"no permission to use {path}: run as the user whose circusd it is, or as root"
            return CallError(text, "no-permission")
        case FileNotFoundError():
            why = f"no circusd at {endpoint}: there is no such socket. {remedy}"
        case ConnectionRefusedError():
            why = f"no circusd at {endpoint}: nobody listens there. {remedy}"
        case TimeoutError():
            why = f"no answer from {endpoint}: that machine, or a firewall before it, does not let us in"
        case _:
            why = f"no circusd can be reached at {endpoint}: {error}"
    return CallError(why, "no-daemon")


def probe(endpoint: str) -> int | None:
    """Make a plain connection to the endpoint and close it; return the process id of who listens, if the system tells.

    Raise the ``OSError`` of the connection, or ``ValueError`` for an endpoint of another kind.
    """
    import socket
    import struct

    transport, _, address = endpoint.partition("://")
    if transport == "ipc":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_BUSY_WAIT)
            connection.connect("\0" + address[1:] if address.startswith("@") else address)
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", credentials)[0])
    if transport != "tcp":
        raise ValueError("write tcp://HOST:PORT or ipc://PATH")
    # An address may begin with one of ours: tcp://SOURCE;HOST:PORT
    host, _, port = address.rpartition(";")[2].rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), _BUSY_WAIT):
        return None


def no_reply(endpoint: str, cmd: Mapping[str, Any], timeout: float, ssh_server: str | None = None) -> CallError:
    """Return the error for a daemon that listens but has not answered in time: what it does, as far as can be told."""
    if ssh_server is not None:
        return CallError(
            f"Timed out after {timeout:g} s: no reply from {endpoint} through ssh to {ssh_server}. See whether 'ssh "
            f"{ssh_server}' logs in without a question, and whether circusd listens there",
            "timeout",
        )
    command = cmd.get("command")
    properties = cmd.get("properties") or {}
    begin = f"Timed out after {timeout:g} s: circusd at {endpoint}"
    doing = _transitions(endpoint, properties.get("name"))
    if doing is not None:
        return CallError(
            f"{begin} is busy with {command!r}, sent {timeout:g} s ago: {doing}. It goes on; --timeout SECONDS waits "
            "longer, 'circusctl explain NAME' says more",
            "busy",
        )
    return CallError(
        f"{begin}{_process_state(endpoint)} accepts connections but does not answer {command!r} nor anything else",
        "timeout",
    )


def _transitions(endpoint: str, name: Any) -> str | None:
    """Which watchers are starting or stopping; None if the daemon does not answer this either."""
    try:
        with CircusClient(endpoint=endpoint) as client:
            reply = client.receive(client.send(make_message("status", detail=True)), _BUSY_WAIT)
    except CallError:
        return None
    if reply is None:
        return None
    moving = [
        f"{watcher} is {state}{_pids(reply, watcher)}"
        for watcher, state in sorted(reply.get("statuses", {}).items())
        if state in ("starting", "stopping")
    ]
    if not moving:
        return f"watcher {name} is not done" if isinstance(name, str) else "not all is done"
    return ", ".join(moving[:5]) + (f" and {len(moving) - 5} more" if len(moving) > 5 else "")


def _pids(reply: Json, watcher: str) -> str:
    processes = reply.get("details", {}).get(watcher, {}).get("processes", ())
    pids = [str(process["pid"]) for process in processes if process.get("pid")]
    return f" (pids {', '.join(pids[:8])}{', …' if len(pids) > 8 else ''})" if pids else ""


def _process_state(endpoint: str) -> str:
    try:
        pid = probe(endpoint)
        if pid is None:
            return ""
        with open(f"/proc/{pid}/stat") as file:
            letter = file.read().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return ""
    names = {"T": "stopped by a signal", "t": "held by a debugger", "D": "waiting for a disk", "R": "running"}
    return f" (pid {pid}, {names.get(letter, 'sleeping')})"


def __getattr__(name: str) -> Any:
    if name == "AsyncCircusClient":
        from circus.async_client import AsyncCircusClient

        return AsyncCircusClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
