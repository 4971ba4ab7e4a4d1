"""The way out of the statistics: an XPUB socket, which knows whether anybody listens."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import zmq

from circus.endpoints import endpoint
from circus.exc import CircusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LARGEST_SUBSCRIPTION: Final = 64 << 10
"""Bytes after which libzmq cuts a subscriber off: nobody subscribes to a topic of that length."""


class StatsSocket:
    """Publishes statistics in two frames, topic and JSON. ``on_change`` is called when somebody comes or goes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: str, on_change: Callable[[], None]) -> None:
        """Claim and bind an endpoint. Raise ``CircusError`` if it cannot be had."""
        self.topics: set[bytes] = set()
        self._loop = loop
        self._on_change = on_change
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, 1)
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

    def wants(self, prefix: bytes) -> bool:
        """Return whether anybody is subscribed to something that begins so, or to what that begins with."""
        return any(topic.startswith(prefix) or prefix.startswith(topic) for topic in self.topics)

    def send(self, topic: str, data: Mapping[str, Any]) -> None:
        """Publish an object. Whoever does not keep up loses messages, and newer ones follow."""
        self.send_encoded(topic.encode(), json.dumps(data).encode())

    def send_encoded(self, topic: bytes, data: bytes) -> None:
        """Publish what is JSON already."""
        self._socket.send(topic, zmq.SNDMORE | zmq.NOBLOCK)
        self._socket.send(data, zmq.NOBLOCK)

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
            self._on_change()
