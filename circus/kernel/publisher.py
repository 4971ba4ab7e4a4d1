"""The way out: an XPUB socket on which each event is two frames, topic and JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import zmq

from circus.protocol import encode

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from circus.kernel.journal import Journal

SYNC: Final = b"@sync."
"""Whoever subscribes to a topic of his own that begins so gets one message on it: his subscriptions are live."""

TICK: Final = b"circus.tick"
"""Topic that tells the last event's number each second, so that whoever lost the last ones knows."""

TICK_INTERVAL: Final = 1.0

PER_TURN: Final = 256
"""Subscriptions that are read before everything else gets its share."""

LARGEST_SUBSCRIPTION = 64 << 10
"""Bytes after which libzmq cuts a subscriber off: nobody subscribes to a topic of that length."""


class Publisher:
    """Sends events to whoever has subscribed. Nothing is encoded while nobody has.

    ``on_sync_lost`` is called with the token of a subscription to ``@sync.TOKEN`` that went, as its process does, and
    ``on_topic`` with each topic that somebody is the first to subscribe to, or the last to leave.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], loop: asyncio.AbstractEventLoop, journal: Journal
    ) -> None:
        self.on_sync_lost: Callable[[str], None] | None = None
        self.on_topic: Callable[[bytes], None] | None = None
        self._loop = loop
        self._journal = journal
        self.topics: set[bytes] = set()
        """What anybody is subscribed to."""
        self._ticking: asyncio.TimerHandle | None = None
        self._looking = False
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
        if self.topics:
            self._send(topic.encode(), encode(data))

    def close(self) -> None:
        """Stop publishing. What is queued is given a moment."""
        if self._bound:
            self._loop.remove_reader(self._socket.FD)
        if self._ticking is not None:
            self._ticking.cancel()
        self._socket.close(linger=200)

    def _send(self, topic: bytes, message: bytes) -> None:
        self._socket.send_multipart([topic, message], zmq.NOBLOCK)
        self._look_soon()

    def _look_soon(self) -> None:
        # libzmq's descriptor signals edges: nobody tells of subscriptions that have come meanwhile.
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        self._read_subscriptions()

    def _read_subscriptions(self) -> None:
        for _ in range(PER_TURN):
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.ZMQError:  # there is none, or the socket is closed
                return
            topic = frame[1:]
            if frame[:1] == b"\x01":
                self.topics.add(topic)
                if topic.startswith(SYNC):
                    self._send(topic, b"{}")
                if self._ticking is None and TICK.startswith(topic):
                    self._ticking = self._loop.call_later(TICK_INTERVAL, self._tick)
            elif frame[:1] == b"\x00":
                self.topics.discard(topic)
                if topic.startswith(SYNC) and self.on_sync_lost is not None:
                    # Not now: that may lead to an event, and another one may just be on its way out.
                    self._loop.call_soon(self.on_sync_lost, topic[len(SYNC) :].decode(errors="replace"))
            if self.on_topic is not None:
                self.on_topic(topic)
        self._look_soon()

    def _tick(self) -> None:
        self._ticking = None
        if any(TICK.startswith(topic) for topic in self.topics):
            self._ticking = self._loop.call_later(TICK_INTERVAL, self._tick)
            last = {"seq": self._journal.seq, "boot": self._journal.boot}
            self._send(TICK, encode({**last, "time": time.time(), "mono": time.monotonic()}))
