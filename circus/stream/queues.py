"""Output for the program that Circus is embedded in, in a queue."""

from __future__ import annotations

import queue
from collections.abc import Mapping
from typing import Any

from circus.stream.base import Source, Stream


class QueueStream(Stream, queue.Queue[dict[str, Any]]):
    """A ``queue.Queue`` of ``{"pid": int, "name": "stdout" or "stderr", "data": bytes}``, for programs.

    Each is what a process wrote at a time, which need not be a line. The queue has no limit: the program takes from
    it, and gets ``circus.stream.Empty`` from ``get_nowait`` when nothing is there.
    """

    takes_pieces = True

    def __init__(self) -> None:
        queue.Queue.__init__(self)

    def write(self, source: Source, data: bytes | memoryview) -> None:
        """Put what a process wrote into the queue."""
        self.put({"pid": source.pid, "name": source.name, "data": bytes(data)})

    def __call__(self, data: Mapping[str, Any]) -> None:
        """Put what a stream is called with into the queue, as it is."""
        self.put(dict(data))
