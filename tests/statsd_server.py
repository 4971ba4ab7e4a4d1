"""A statsd server for tests: a UDP socket whose datagrams are read as strictly as the protocol is written."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from tests.support import wait_until

LINE = re.compile(
    r"(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)"
    r":(?P<value>-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)"
    r"\|(?P<kind>c|g|ms)"
    r"(?:\|@(?P<rate>0\.[0-9]+))?"
)


class Metric(NamedTuple):
    """One line of a datagram."""

    name: str
    value: float
    kind: str
    rate: float | None


def parse(datagram: bytes) -> list[Metric]:
    """Read a datagram; fail for what a strict server would refuse."""
    metrics = []
    for line in datagram.decode("ascii").split("\n"):
        match = LINE.fullmatch(line)
        assert match, f"statsd cannot read {line!r}"
        rate = match["rate"]
        metrics.append(Metric(match["name"], float(match["value"]), match["kind"], float(rate) if rate else None))
    return metrics


class StatsdServer:
    """Takes in everything that is sent to ``port``."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        # A storm of events must find room while the test does something else.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._metrics: list[Metric] = []

    def __enter__(self) -> StatsdServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    @property
    def metrics(self) -> list[Metric]:
        """All that has come so far, in order."""
        while True:
            try:
                datagram = self._socket.recv(65535)
            except BlockingIOError:
                return self._metrics
            self._metrics += parse(datagram)

    def of(self, name: str) -> list[Metric]:
        """What has come under one name."""
        return [metric for metric in self.metrics if metric.name == name]

    def counted(self, name: str) -> float:
        """What a counter stands at."""
        return sum(metric.value / (metric.rate or 1) for metric in self.of(name) if metric.kind == "c")

    def wait_for(self, name: str, count: int = 1) -> Metric:
        """Return the ``count``-th metric under a name; fail after the deadline."""
        wait_until(lambda: len(self.of(name)) >= count, f"statsd hears of {name} {count} times")
        return self.of(name)[count - 1]
