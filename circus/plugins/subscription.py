"""A plugin's subscription to all events."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Final

import zmq

from circus.client import connect
from circus.consumer import TICK

log = logging.getLogger("circus")

_PER_TURN: Final = 64

HIGH_WATER_MARK: Final = 10_000
"""Messages that wait until they are read; what is lost beyond them is asked for."""


class Subscription:
    """Hands each message to ``receive(topic, data)``; ``sync`` is the topic on which circusd says that it is live."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: str,
        ssh_server: str | None,
        sync: str,
        receive: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._loop = loop
        self._receive = receive
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set_hwm(HIGH_WATER_MARK)
        # In this order: when the answer to the last one comes, the others are live as well.
        for topic in ("watcher.", TICK, sync):
            self._socket.subscribe(topic)
        connect(self._socket, endpoint, ssh_server, None)
        loop.add_reader(self._socket.FD, self._read)
        loop.call_soon(self._read)

    def close(self) -> None:
        """Hear nothing more."""
        if not self._socket.closed:
            self._loop.remove_reader(self._socket.FD)
            self._socket.close(linger=0)
            self._context.term()

    def _read(self) -> None:
        for _ in range(_PER_TURN):
            if self._socket.closed:
                return
            try:
                topic, message = self._socket.recv_multipart(zmq.NOBLOCK)[:2]
            except zmq.Again:
                return
            self._receive(topic.decode(), json.loads(message))
        # libzmq's descriptor signals edges: nobody tells of what is still there.
        self._loop.call_soon(self._read)
