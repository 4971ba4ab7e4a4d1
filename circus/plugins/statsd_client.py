"""The client for a statsd server, which never waits for the network."""

from __future__ import annotations

import ipaddress
import logging
import random
import re
import socket
import threading
import time
from collections import deque
from typing import Any, Final

log = logging.getLogger(__name__)

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]")
_RESOLVED_FOR: Final = 300.0
"""Seconds that an address counts as that of the host; a server may move."""
_TRY_AGAIN: Final = 10.0
"""Seconds until a host whose name could not be resolved is looked up again."""
_KEPT_UNTIL_RESOLVED: Final = 1000
"""Datagrams that wait for the first address of the host; older ones are lost."""


class StatsdClient:
    """Sends numbers to a statsd server by UDP. It never waits, and no fault of the network raises.

    Each name is ``prefix.bucket``; what statsd cannot take in a name becomes ``_``. Of counters and timers, the share
    ``sample_rate`` is sent, and marked so that the server can make up for the rest. ``host`` is looked up in a thread,
    anew every five minutes; what is sent before the first answer waits for it.
    """

    def __init__(
        self, host: str | None = None, port: int | None = None, prefix: str | None = None, sample_rate: float = 1
    ) -> None:
        self.host = host or "localhost"
        self.port = port or 8125
        self.prefix = prefix
        self.sample_rate = sample_rate
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}
        self._address: tuple[int, Any] | None = None
        self._waiting: deque[bytes] = deque(maxlen=_KEPT_UNTIL_RESOLVED)
        self._resolve_at = 0.0
        self._fault = ""
        self._stopped = False

    def increment(self, bucket: str, delta: float = 1) -> None:
        """Add to a counter."""
        self.send(bucket, f"{delta}|c")

    def decrement(self, bucket: str, delta: float = 1) -> None:
        """Subtract from a counter."""
        self.send(bucket, f"{-delta}|c")

    def timed(self, bucket: str, value: float) -> None:
        """Send how many milliseconds something took."""
        self.send(bucket, f"{value}|ms")

    def gauge(self, bucket: str, value: float) -> None:
        """Set a gauge."""
        # A sign would make it a change of the gauge, so one below zero is set to zero first.
        values = [f"{value}|g"] if value >= 0 else ["0|g", f"{value}|g"]
        self._transmit("\n".join(f"{self._name(bucket)}:{text}" for text in values))

    def send(self, bucket: str, value: str, sample_rate: float | None = None) -> None:
        """Send a value with its type, such as ``1|c``, or only the share ``sample_rate`` of them."""
        rate = self.sample_rate if sample_rate is None else sample_rate
        if rate < 1 and random.random() >= rate:
            return
        self._transmit(f"{self._name(bucket)}:{value}" + (f"|@{rate:g}" if rate < 1 else ""))

    def stop(self) -> None:
        """Send no more. It may be called twice."""
        with self._lock:
            self._stopped = True
            for sender in self._sockets.values():
                sender.close()
            self._sockets.clear()

    def _name(self, bucket: str) -> str:
        return _NOT_IN_NAMES.sub("_", f"{self.prefix}.{bucket}" if self.prefix else bucket)

    def _transmit(self, text: str) -> None:
        with self._lock:
            if self._stopped:
                return
            if time.monotonic() >= self._resolve_at:
                self._begin_to_resolve()
            if self._address is None:
                self._waiting.append(text.encode())
            else:
                self._put(text.encode())

    def _put(self, datagram: bytes) -> None:
        assert self._address is not None
        family, address = self._address
        try:
            if family not in self._sockets:
                made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                self._sockets[family] = made
            self._sockets[family].sendto(datagram, address)
        except BlockingIOError:
            pass  # Nothing that is measured is worth waiting for.
        except OSError as error:
            self._tell(f"nothing can be sent to statsd at {self.host}:{self.port}: {error}")
        else:
            self._tell("")

    def _begin_to_resolve(self) -> None:
        """Look the host up; in a thread, since that may take seconds, unless it is an address already."""
        self._resolve_at = float("inf")
        try:
            version = ipaddress.ip_address(self.host).version
        except ValueError:
            self._begin_thread()
        else:
            self._address = (socket.AF_INET if version == 4 else socket.AF_INET6, (self.host, self.port))

    def _begin_thread(self) -> None:
        try:
            threading.Thread(target=self._resolve, name="statsd-resolver", daemon=True).start()
        except RuntimeError as error:
            self._resolve_at = time.monotonic() + _TRY_AGAIN
            self._tell(f"the statsd server's name {self.host!r} cannot be looked up: {error}")

    def _resolve(self) -> None:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            with self._lock:
                self._resolve_at = time.monotonic() + _TRY_AGAIN
                self._tell(f"the statsd server's name {self.host!r} cannot be resolved: {error}")
            return
        with self._lock:
            self._resolve_at = time.monotonic() + _RESOLVED_FOR
            # Most servers listen on IPv4 alone, while the first address of localhost may be that of IPv6.
            family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
            self._address = (family, address)
            while self._waiting and not self._stopped:
                self._put(self._waiting.popleft())

    def _tell(self, fault: str) -> None:
        """Log a fault once, and its end."""
        if fault and fault != self._fault:
            log.warning("%s", fault)
        elif self._fault and not fault:
            log.info("statsd at %s:%s can be reached again", self.host, self.port)
        self._fault = fault
