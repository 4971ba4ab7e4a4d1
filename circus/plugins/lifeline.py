"""What binds a plugin's process to the circusd that started it: it says when it is ready, and does not outlive it."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

LAST_WORDS: Final = 5.0
"""Seconds that a plugin has to end by itself once circusd is gone."""


def say_ready() -> None:
    """Tell circusd that the plugin takes part from now on. Without a ``NOTIFY_SOCKET`` nobody waits for that."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(b"READY=1", "\0" + address[1:] if address[0] == "@" else address)


def follow_into_death(daemon: int, on_death: Callable[[], None]) -> None:
    """Call ``on_death`` in another thread when the process ``daemon`` is gone; soon afterwards this one ends anyhow.

    A thread that waits needs no turn of a loop that the plugin may keep busy for ever.
    """
    try:
        descriptor = os.pidfd_open(daemon)
    except ProcessLookupError:
        os._exit(1)
    threading.Thread(target=_wait, args=(descriptor, on_death), name="circusd's end", daemon=True).start()
    if os.getppid() != daemon:  # it ended before, and something else has its number by now
        os._exit(1)


def _wait(descriptor: int, on_death: Callable[[], None]) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
    on_death()
    time.sleep(LAST_WORDS)
    os._exit(1)
