"""The statistics as a program reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import zmq

from circus.client import connect
from circus.util import default_stats_endpoint

_HIGH_WATER_MARK: Final = 10_000
"""Messages that wait until they are read, each second's coming all at once; those beyond them are lost."""

Message = tuple[str, str | None, dict[str, Any]]


class StatsClient:
    """Iterates over the statistics that circusd-stats publishes: ``(watcher, subtopic, object)``.

    ``subtopic`` is the PID of a process or the number of a socket, None for the sum of a watcher. ``endpoint`` is that
    of the statistics, the local one by default; ``ssh_server`` (``user@host:port``) leads to a ``tcp://`` one. The
    iteration ends only by :meth:`stop`.
    """

    def __init__(
        self, endpoint: str | None = None, ssh_server: str | None = None, context: zmq.Context[Any] | None = None
    ) -> None:
        self.endpoint = endpoint or default_stats_endpoint()
        self._own_context = context is None
        self.context = context or zmq.Context()
        self._socket: zmq.Socket[Any] = self.context.socket(zmq.SUB)
        self._socket.set_hwm(_HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"stat.")
        connect(self._socket, self.endpoint, ssh_server, None)

    def __enter__(self) -> StatsClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Message]:
        return self.iter_messages()

    def iter_messages(self) -> Iterator[Message]:
        """Yield each message as it comes."""
        while not self._socket.closed:
            topic, data = self._socket.recv_multipart()[:2]
            yield split(topic.decode(), json.loads(data))

    def receive(self, timeout: float) -> Message | None:
        """Return the next message; None if there is none within ``timeout`` seconds."""
        if not self._socket.poll(int(timeout * 1000)):
            return None
        topic, data = self._socket.recv_multipart()[:2]
        return split(topic.decode(), json.loads(data))

    def stop(self) -> None:
        """Let go of the connection. It may be called twice."""
        self._socket.close(linger=0)
        if self._own_context:
            self.context.term()


def split(topic: str, data: dict[str, Any]) -> Message:
    """Return watcher, subtopic and object of a message. A watcher's name may itself hold dots."""
    rest = topic.removeprefix("stat.")
    subtopic = data.get("subtopic")
    if subtopic is None:
        return rest, None, data
    return rest.removesuffix(f".{subtopic}"), str(subtopic), data
