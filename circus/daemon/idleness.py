"""Notices when no connection comes to a watcher any more."""

from __future__ import annotations

import select
from socket import socket as Socket
from typing import TYPE_CHECKING, Final

from circus.daemon import connections

if TYPE_CHECKING:
    import asyncio

    from circus.kernel.watcher import Watcher

LONGEST_PAUSE: Final = 1.0
"""Most seconds for which nobody looks after a connection was noticed: thousands a second must not keep circusd busy."""


class Idleness:
    """Brings one watcher down when no connection has come, and none was open, for ``idle_timeout`` seconds.

    The kernel tells of each connection that comes (an epoll of its own, with edges), unless a process was quicker to
    accept it. Whether one is open, or has ended a moment ago, is looked up when the time seems to be over.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, watcher: Watcher, sockets: tuple[Socket, ...]) -> None:
        """Begin now. Raise ``OSError`` if the system has no room for it."""
        self.watcher = watcher
        self.sockets = sockets
        self._loop = loop
        self._last = loop.time()
        self._arrivals = select.epoll()
        try:
            for one in sockets:
                self._arrivals.register(one, select.EPOLLIN | select.EPOLLET)
        except OSError:
            self._arrivals.close()
            raise
        self._pause: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._listen()
        self.look()

    @property
    def timeout(self) -> float:
        """Seconds without a connection."""
        return self.watcher.settings.idle_timeout

    def look(self) -> None:
        """Bring the watcher down if its time is over, else look again when it may be; also if the time was changed."""
        now = self._loop.time()
        left = self._last + self.timeout - now
        if left <= 0:
            silence = connections.silence(self.sockets)
            if silence >= self.timeout:
                self.watcher.rest(f"idle for {self.timeout:g} s")
                return
            self._last = now - silence
            left = self.timeout - silence
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(left, self.look)

    def close(self) -> None:
        """Look no more."""
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._arrivals.fileno())
        self._arrivals.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._arrivals.fileno(), self._on_arrival)

    def _on_arrival(self) -> None:
        self._arrivals.poll(0)
        self._loop.remove_reader(self._arrivals.fileno())
        pause = min(self.timeout / 10, LONGEST_PAUSE)
        # Others may come meanwhile.
        self._last = self._loop.time() + pause
        self._pause = self._loop.call_later(pause, self._listen)
