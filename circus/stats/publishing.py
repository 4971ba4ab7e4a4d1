"""The way out of the statistics: an XPUB socket, which knows whether anybody listens."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

import zmq

from circus.endpoints import endpoint
from circus.exc import CircusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MORE: Final = int(zmq.SNDMORE | zmq.NOBLOCK)
_LAST: Final = int(zmq.NOBLOCK)
"""As numbers: the flags of two thousand frames a second took half of the time."""

_HIGH_WATER_MARK: Final = 10_000
"""Messages that wait for a subscriber who does not read: some 6 MB, but more than is published at once."""

_LARGEST_SUBSCRIPTION: Final = 64 << 10
"""Bytes after which libzmq cuts a subscriber off: nobody subscribes to a topic of that length."""


class StatsSocket:
    """Publishes statistics in two frames, topic and JSON. ``on_change`` is called when somebody comes or goes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: str, on_change: Callable[[], None]) -> None:
        """Claim and bind an endpoint. Raise ``CircusError`` if it cannot be had."""
        self.topics: set[bytes] = set()
        """What anybody is subscribed to."""
        self._sorted: list[bytes] = []
        self._lengths: tuple[int, ...] = ()
        self._loop = loop
        self._on_change = on_change
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, 1)
        self._socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_SUBSCRIPTION)
        self._lock: endpoint.Lock | None = None
        try:
            endpoint.prepare_dir(address)
            self._lock = endpoint.lock(address)
            self._socket.bind(address)
        except (zmq.ZMQError, CircusError) as failure:
            self.close()
            if isinstance(failure, CircusError):
                raise
            raise CircusError(endpoint.bind_error_text(address, failure)) from None
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        loop.add_reader(self._socket.FD, self._read)
        loop.call_soon(self._read)

    def covers(self, topic: bytes) -> bool:
        """Return whether anybody hears what is published under a topic."""
        return any(topic[:length] in self.topics for length in self._lengths)

    def wants(self, prefix: bytes) -> bool:
        """Return whether anybody hears something of what is published under topics that begin so."""
        place = bisect_left(self._sorted, prefix)
        return self.covers(prefix) or (place < len(self._sorted) and self._sorted[place].startswith(prefix))

    def send(self, topic: str, data: Mapping[str, Any]) -> None:
        """Publish an object. Whoever does not keep up loses messages, and newer ones follow."""
        self.send_encoded(topic.encode(), json.dumps(data).encode())

    def send_encoded(self, topic: bytes, data: bytes) -> None:
        """Publish what is JSON already."""
        self._socket.send(topic, _MORE)
        self._socket.send(data, _LAST)

    def close(self) -> None:
        """Publish nothing more."""
        if not self._socket.closed:
            self._loop.remove_reader(self._socket.FD)
            self._socket.close(linger=0)
            self._context.term()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _read(self) -> None:
        changed = False
        while not self._socket.closed:
            try:
                message = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            changed = True
            (self.topics.add if message[:1] == b"\x01" else self.topics.discard)(message[1:])
        if changed:
            self._sorted = sorted(self.topics)
            self._lengths = tuple({len(topic) for topic in self.topics})
            self._on_change()
