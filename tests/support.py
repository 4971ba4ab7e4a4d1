"""What tests have from circus.testing, and what is of use to this project alone."""

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

from circus.testing import DEADLINE, Circusd, Events, daemon, is_alive, wait_until

__all__ = ["BIN", "DEADLINE", "Circusd", "Events", "daemon", "free_port", "is_alive", "wait_until"]

BIN = Path(sys.executable).parent


def free_port() -> int:
    """Return a TCP port of this machine that nobody uses, and that no connection gets which tests beside this one make.

    The system takes the ports of connections from 32768 on (net.ipv4.ip_local_port_range).
    """
    while True:
        with socket.socket() as probe:
            port = random.randrange(12000, 32000)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
