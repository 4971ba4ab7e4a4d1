"""What circusd and the process that runs custom streams say to each other.

Each stream has a socket pair of its own, of the kind that keeps messages apart (SOCK_SEQPACKET): the process may be
killed whenever it is, and its successor goes on with the next message. A message is a header, JSON after its length in
two bytes, and bytes.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

Json = dict[str, Any]

PIECE: Final = 64 << 10
"""Most bytes of output in one message: the system refuses one that is larger than the socket's buffer."""

MESSAGE: Final = PIECE + (1 << 16)
"""Most bytes of a whole message."""

DESCRIPTION: Final = 1 << 17
"""Most bytes that may describe a stream, with its options and its watcher's PYTHONPATH."""


class Message(NamedTuple):
    """A header, and output if it is of that."""

    header: Json
    data: bytes


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new line: circusd's, which never waits, and that of the process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def encode(header: Json, data: bytes = b"") -> bytes:
    """Return a message."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((len(text).to_bytes(2), text, data))


def decode(message: bytes) -> Message:
    """Return what a message holds."""
    end = 2 + int.from_bytes(message[:2])
    return Message(json.loads(message[2:end]), message[end:])


class Piece(NamedTuple):
    """A part of output: whole lines if ``number`` is 0 and ``more`` is not, else one of the parts of a long line."""

    data: bytes
    number: int
    more: bool


def pieces(data: bytes) -> Iterator[Piece]:
    """Cut output at the ends of lines; a line that fits into no message comes in several, one after the other."""
    start = number = 0
    while start < len(data):
        end, more = start + PIECE, False
        if end < len(data):
            newline = data.rfind(b"\n", start, end)
            end, more = (newline + 1, False) if newline >= 0 else (end, True)
        yield Piece(data[start:end], number, more)
        start, number = end, number + 1 if more else 0
