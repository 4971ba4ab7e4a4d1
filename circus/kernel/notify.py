"""Readiness, in systemd's words: circusd hears what its processes tell."""

from __future__ import annotations

import array
import asyncio
import os
import secrets
import socket
import struct
from collections.abc import Callable

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_INT_SIZE = array.array("i").itemsize
# The kernel passes no more descriptors than this with one message.
_MAX_DESCRIPTORS = 253
_ANCILLARY_SIZE = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_MAX_DESCRIPTORS * _INT_SIZE)
# systemd sends and reads no longer ones.
_MESSAGE_SIZE = 4096
# One chatty process gets no more than this many messages in before everything else has its turn.
_MESSAGES_PER_TURN = 64

FIELDS = frozenset(
    ("READY", "RELOADING", "STOPPING", "STATUS", "ERRNO", "MAINPID", "WATCHDOG", "WATCHDOG_USEC", "EXTEND_TIMEOUT_USEC")
)
"""What a process may tell. Anything else is ignored, as the protocol asks for."""


class NotifySocket:
    """The socket that processes with ``ready = notify`` find in ``NOTIFY_SOCKET``.

    Whom a message is from is what the operating system says, not what the message says. It is attributed to the leader
    of the sender's session: each process that circusd starts leads one, so a helper that it starts speaks for it. A
    helper that is gone before its message is read speaks for nobody; ``BARRIER=1`` lets it wait.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: str | None,
        on_message: Callable[[int, dict[str, str]], None],
    ) -> None:
        """Bind a socket in ``folder``, or for None one without a place in the file system, which processes of any
        user reach.

        ``on_message(pid, fields)`` is called for each message that tells something in :data:`FIELDS`. Raise
        ``OSError`` if the socket cannot be bound.
        """
        name = f"circus-notify-{secrets.token_hex(8)}"
        self.address = f"@{name}" if folder is None else os.path.join(folder, name)
        """What to put into ``NOTIFY_SOCKET``."""
        self._loop = loop
        self._on_message = on_message
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._socket.bind(f"\0{name}" if folder is None else self.address)
        except BaseException:
            self._socket.close()
            raise
        loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Stop listening, and remove the socket. Calling it again does nothing."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self.address.startswith("/"):
            try:
                os.unlink(self.address)
            except OSError:
                pass

    def _read(self) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            if self._socket.fileno() < 0:  # a message made somebody close it
                return
            try:
                data, ancillary, flags, _sender = self._socket.recvmsg(
                    _MESSAGE_SIZE, _ANCILLARY_SIZE, socket.MSG_CMSG_CLOEXEC
                )
            except OSError:  # nothing more to read, or no descriptor free to read it with
                return
            pid, descriptors = _take(ancillary)
            try:
                # MSG_CTRUNC does not matter: the sender's PID stands before the descriptors that had no room.
                if pid and not flags & socket.MSG_TRUNC:
                    self._deliver(pid, data)
            finally:
                # A sender of BARRIER=1 waits for this; any other descriptor was not asked for.
                for descriptor in descriptors:
                    os.close(descriptor)

    def _deliver(self, pid: int, data: bytes) -> None:
        fields = parse(data)
        if fields:
            self._on_message(_session_leader(pid), fields)


def parse(data: bytes) -> dict[str, str]:
    """Return the known fields of a message; of a field that stands there twice, the last."""
    pairs = (line.partition("=") for line in data.decode(errors="replace").split("\n"))
    return {key: value for key, equals, value in pairs if equals and key in FIELDS}


def _take(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, list[int]]:
    """Return the sender's PID, 0 if it is not told, and every descriptor that came along: each is open in this
    process by now.
    """
    pid = 0
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % _INT_SIZE])
        elif kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            pid = _CREDENTIALS.unpack_from(data)[0]
    return pid, list(descriptors)


def _session_leader(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:  # the sender is gone already
        return pid
