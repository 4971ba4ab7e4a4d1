"""What circusd tells the service manager that has started it, in systemd's words."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell the supervisor of this daemon its state: lines such as ``READY=1`` or ``STATUS=text``.

    Return whether the message was sent: False if nobody has asked for it by ``NOTIFY_SOCKET``, or does not listen.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
    except (OSError, ValueError):
        return False
    return True


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return the seconds between two ``WATCHDOG=1`` messages: half of what the supervisor waits for. None: it does
    not.
    """
    try:
        microseconds = int(environ["WATCHDOG_USEC"])
        meant = int(environ.get("WATCHDOG_PID", os.getpid())) == os.getpid()
    except (KeyError, ValueError):
        return None
    return microseconds / 2_000_000 if meant and microseconds > 0 else None
