"""A program that serves a socket, and how to ask it."""

from __future__ import annotations

import socket
from typing import Any

from tests.support import DEADLINE

SERVE = """
import os, socket, sys
served = socket.socket(fileno=int(sys.argv[1]))
served.setblocking(True)
me = b"%d" % os.getpid()
while True:
    if served.type == socket.SOCK_DGRAM:
        data, sender = served.recvfrom(100)
        served.sendto(me, sender)
    else:
        with served.accept()[0] as connection:
            connection.sendall(me)
"""
"""A program that says to whoever asks at a socket, by its descriptor, which process it is."""


def ask(address: Any, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> int:
    """The process that answers at an address."""
    with socket.socket(family, kind) as client:
        client.settimeout(DEADLINE)
        client.connect(address)
        if kind == socket.SOCK_DGRAM:
            client.send(b"who?")
        return int(client.recv(100))
