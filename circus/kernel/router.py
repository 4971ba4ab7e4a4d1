"""The way in: a ROUTER socket whose requests are handed on and whose replies go back to whoever asked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import zmq

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger("circus")

Reply = Callable[[bytes], None]
Handler = Callable[[bytes, Reply], None]

PER_TURN: Final = 32
"""Requests that are read before children, timers and others get their share."""

LARGEST_FRAME: Final = 64 << 20
"""Bytes after which libzmq itself cuts a peer off; below it, a request that is too large gets an error."""


class Router:
    """Reads requests, one JSON frame each; a REQ socket's empty delimiter is understood too."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], loop: asyncio.AbstractEventLoop, before: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._before = before
        self._handler: Handler | None = None
        self._scheduled = False
        self._reading = False
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.set(zmq.MAXMSGSIZE, LARGEST_FRAME)

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The ZeroMQ socket, for those who set options before it is bound."""
        return self._socket

    def bind(self, endpoint: str) -> str:
        """Listen; return the endpoint with the real port. Raise ``zmq.ZMQError`` if it cannot be bound."""
        self._socket.bind(endpoint)
        return self._socket.get_string(zmq.LAST_ENDPOINT)

    def serve(self, handler: Handler) -> None:
        """Hand requests to ``handler(payload, reply)`` from now on."""
        self._handler = handler
        self._loop.add_reader(self._socket.FD, self._on_readable)
        self._again()

    def close(self) -> None:
        """Take no more requests. Replies that wait to be sent are given a moment."""
        if self._handler is not None:
            self._loop.remove_reader(self._socket.FD)
            self._handler = None
        self._socket.close(linger=200)

    def _again(self) -> None:
        # libzmq's descriptor signals edges: after a send, too, whoever does not look misses what has come meanwhile.
        # A reply that is sent while requests are being read needs no look of its own: the reading goes on.
        if not self._scheduled and not self._reading:
            self._scheduled = True
            self._loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        self._scheduled = False
        self._reading = True
        try:
            more = self._read()
        finally:
            self._reading = False
        if more:
            self._again()

    def _read(self) -> bool:
        """Handle the requests that have come; return whether there may be more."""
        for _ in range(PER_TURN):
            if self._handler is None:
                return False
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            except zmq.ZMQError as error:
                log.warning("a request could not be read: %s", error)
                continue
            self._before()
            self._handle(frames)
        return True

    def _handle(self, frames: list[bytes]) -> None:
        if len(frames) == 2:
            envelope = frames[:1]
        elif len(frames) == 3 and not frames[1]:
            envelope = frames[:2]
        else:
            log.warning("a request in %d frames was dropped: one frame with a JSON object is expected", len(frames) - 1)
            return

        def reply(payload: bytes) -> None:
            self._send([*envelope, payload])

        assert self._handler is not None
        self._handler(frames[-1], reply)

    def _send(self, frames: list[bytes]) -> None:
        if self._socket.closed:
            return
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.warning("a reply could not be sent: %s", error)
        self._again()
