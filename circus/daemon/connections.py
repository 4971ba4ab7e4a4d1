"""How long ago the last connection to a socket has ended, as the system tells it.

Whoever asks has no part in the connections: processes accept them, and nobody counts.
"""

from __future__ import annotations

import math
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final

NEVER: Final = math.inf

_LISTENS, _TIME_WAIT = b"0A", b"06"
# Established, on the way to it, and with a client that has said its last word.
_OPEN: Final = frozenset((b"01", b"03", b"08"))

_TIME_WAIT_LENGTH: Final = 60.0
"""Seconds for which the system remembers a connection after its end (TCP_TIMEWAIT_LEN of Linux, a constant)."""

_ACCEPTS: Final = 0x10000
"""Flag of a Unix socket that takes connections (__SO_ACCEPTCON)."""


def silence(sockets: Iterable[socket.socket]) -> float:
    """Return for how many seconds there has been no connection to these sockets, as far as the system knows.

    0 while one is open or waits to be accepted, ``NEVER`` if there is no trace of any. Who has ended a TCP connection
    is remembered for a minute, on the side that ended it; of other connections there is no trace afterwards.
    """
    try:
        return min(map(_silence, sockets), default=NEVER)
    except OSError:
        return 0.0  # whoever cannot be asked may be busy


def _silence(listening: socket.socket) -> float:
    if listening.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        return NEVER
    if listening.family == socket.AF_UNIX:
        return 0.0 if _is_unix_open(listening) else NEVER
    return min(_tcp_silences(listening), default=NEVER)


def _tcp_silences(listening: socket.socket) -> Iterator[float]:
    """What each connection says that the system knows."""
    is_ipv6 = listening.family == socket.AF_INET6
    host, port = listening.getsockname()[:2]
    address = _as_shown(socket.inet_pton(listening.family, host.partition("%")[0]))
    anywhere = not int(address, 16)
    at_port = b":%04X " % port
    tables = ["/proc/net/tcp6" if is_ipv6 else "/proc/net/tcp"]
    if is_ipv6 and anywhere and not listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        tables.append("/proc/net/tcp")  # of clients on this machine that speak IPv4
    for line in _lines(tables):
        if at_port not in line:
            continue
        _, local, remote, state, _, timer, _, _, _, inode, *_ = line.split()
        here, there = _is_at(local, address, port, anywhere), _is_at(remote, address, port, anywhere)
        if state == _TIME_WAIT:
            # The far side of a connection within this machine tells as well, where that has ended it.
            within = there and (not anywhere or local.partition(b":")[0] == remote.partition(b":")[0])
            if here or within:
                left = int(timer.partition(b":")[2], 16) / os.sysconf("SC_CLK_TCK")
                yield max(0.0, _TIME_WAIT_LENGTH - left)
        elif here and state != _LISTENS and (state in _OPEN or inode != b"0"):
            yield 0.0


def _lines(paths: Iterable[str]) -> Iterator[bytes]:
    for path in paths:
        with open(path, "rb") as table:
            yield from table


def _is_at(end: bytes, address: bytes, port: int, anywhere: bool) -> bool:
    host, _, number = end.partition(b":")
    return int(number, 16) == port and (anywhere or host == address)


def _as_shown(packed: bytes) -> bytes:
    """An address as it stands in the system's tables: 32 bits at a time, as this machine reads a number."""
    return b"".join(b"%08X" % number for (number,) in struct.iter_unpack("=I", packed))


def _is_unix_open(listening: socket.socket) -> bool:
    name = listening.getsockname()
    path = b"@" + name[1:] if isinstance(name, bytes) else os.fsencode(name)
    with open("/proc/net/unix", "rb") as table:
        for line in table:
            if not line.endswith(path + b"\n"):
                continue
            _, _, _, flags, _, _, _, found = line.rstrip(b"\n").split(None, 7)
            # What has been accepted, or waits for that, has the address of the socket that it came to.
            if found == path and not int(flags, 16) & _ACCEPTS:
                return True
    return False
