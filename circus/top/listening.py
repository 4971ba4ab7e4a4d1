"""A subscription on an event loop, which tells at once when the connection comes or breaks."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from circus.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PER_TURN: Final = 256
"""Messages that are read before others have their turn."""


class Listening:
    """Hands each message to ``receive(topic, object)``, and to ``lost()`` that the other side has gone.

    The connection is made again as soon as somebody is there. Raise ``CallError`` for an endpoint that cannot be.
    """

    def __init__(
        self,
        endpoint: str,
        ssh: str | None,
        topics: Iterable[str],
        receive: Callable[[str, dict[str, Any]], None],
        lost: Callable[[], None],
    ) -> None:
        self.endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._receive, self._lost = receive, lost
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        for topic in topics:
            self._socket.subscribe(topic)
        try:
            connect(self._socket, endpoint, ssh, None)
        except BaseException:
            self._end()
            raise
        for socket in (self._socket, self._monitor):
            self._loop.add_reader(socket.FD, self._read)
        self._loop.call_soon(self._read)

    def close(self) -> None:
        """Hear nothing more. It may be called twice."""
        if not self._socket.closed:
            for socket in (self._socket, self._monitor):
                self._loop.remove_reader(socket.FD)
            self._end()

    def _end(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)
        self._context.term()

    def _read(self) -> None:
        if self._socket.closed:
            return
        read = 0
        while read < _PER_TURN and not self._socket.closed:
            try:
                topic, message = self._socket.recv_multipart(zmq.NOBLOCK)[:2]
            except zmq.Again:
                break
            read += 1
            self._take(topic, message)
        self._hear_monitor()
        if read == _PER_TURN:
            # libzmq's descriptor signals edges: nobody tells of what is still there.
            self._loop.call_soon(self._read)

    def _take(self, topic: bytes, message: bytes) -> None:
        try:
            decoded, data = topic.decode(), json.loads(message)
        except ValueError:
            return  # whoever says this is not whom we mean
        if isinstance(data, dict):
            self._receive(decoded, data)

    def _hear_monitor(self) -> None:
        while not self._socket.closed:
            try:
                event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            if event["event"] == zmq.EVENT_DISCONNECTED:
                self._lost()
