"""The way out: an XPUB socket on which each event is two frames, topic and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zmq

from circus.protocol import encode

if TYPE_CHECKING:
    import asyncio


LARGEST_SUBSCRIPTION = 64 << 10
"""Bytes after which libzmq cuts a subscriber off: nobody subscribes to a topic of that length."""


class Publisher:
    """Sends events to whoever has subscribed. Nothing is encoded while nobody has."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._topics: set[bytes] = set()
        self._socket = context.socket(zmq.XPUB)
        self._socket.linger = 0
        self._socket.set(zmq.MAXMSGSIZE, LARGEST_SUBSCRIPTION)
        self._bound = False

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The ZeroMQ socket, for those who set options before it is bound."""
        return self._socket

    def bind(self, endpoint: str) -> str:
        """Listen; return the endpoint with the real port. Raise ``zmq.ZMQError`` if it cannot be bound."""
        self._socket.bind(endpoint)
        self._bound = True
        self._loop.add_reader(self._socket.FD, self._read_subscriptions)
        return self._socket.get_string(zmq.LAST_ENDPOINT)

    def publish(self, topic: str, data: dict[str, Any]) -> None:
        """Send one event; a subscriber that does not keep up misses it, and nobody waits for it."""
        if self._socket.closed:
            return
        self._read_subscriptions()
        if self._topics:
            self._socket.send_multipart([topic.encode(), encode(data)], zmq.NOBLOCK)

    def close(self) -> None:
        """Stop publishing. What is queued is given a moment."""
        if self._bound:
            self._loop.remove_reader(self._socket.FD)
        self._socket.close(linger=200)

    def _read_subscriptions(self) -> None:
        while True:
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.ZMQError:
                return
            if frame[:1] == b"\x01":
                self._topics.add(frame[1:])
            elif frame[:1] == b"\x00":
                self._topics.discard(frame[1:])
