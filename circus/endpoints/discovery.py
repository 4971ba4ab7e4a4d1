"""The answer to whoever asks a multicast group where circusd's endpoint is."""

from __future__ import annotations

import asyncio
import json
import logging
import socket

log = logging.getLogger("circus")

# The longest question that is read; what it says does not matter.
_QUESTION_SIZE = 1024
# A flood of questions gets no more than this many answers before everything else has its turn.
_ANSWERS_PER_TURN = 32


class Discovery:
    """Answers each datagram that reaches the multicast group with ``{"endpoint": …}``, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, multicast_endpoint: str, endpoint: str) -> None:
        """Join the group of ``multicast_endpoint`` (``udp://GROUP:PORT``) and answer with ``endpoint``.

        Raise ``OSError`` if the group cannot be joined, and ``ValueError`` for what is no multicast endpoint.
        """
        self._answer = json.dumps({"endpoint": endpoint}).encode()
        self._loop = loop
        self._socket = _join(*parse(multicast_endpoint))
        loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Leave the group. Calling it again does nothing."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        for _ in range(_ANSWERS_PER_TURN):
            try:
                _question, sender = self._socket.recvfrom(_QUESTION_SIZE)
            except OSError:
                return
            try:
                self._socket.sendto(self._answer, sender)
            except OSError:  # this asker cannot be reached; the next one may be
                continue


def answer(loop: asyncio.AbstractEventLoop, multicast_endpoint: str, endpoint: str) -> Discovery | None:
    """Start to answer discovery; what keeps it from that is a warning in the log, and the daemon goes on without it."""
    try:
        return Discovery(loop, multicast_endpoint, endpoint)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        log.warning("multicast_endpoint %s: %s; discovery is off", multicast_endpoint, reason)
        return None


def parse(multicast_endpoint: str) -> tuple[str, int]:
    """Return group and port of ``udp://GROUP:PORT``. Raise ``ValueError`` for anything else."""
    place = multicast_endpoint.removeprefix("udp://")
    group, _, port = place.rpartition(":")
    if place == multicast_endpoint or not (port.isdigit() and 0 < int(port) < 65536) or not _is_multicast(group):
        raise ValueError("write udp://GROUP:PORT with a multicast group, such as udp://237.219.251.97:12027")
    return group, int(port)


def _is_multicast(group: str) -> bool:
    try:
        return 224 <= socket.inet_pton(socket.AF_INET, group)[0] <= 239
    except (OSError, ValueError):
        return False


def _join(group: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        # Several daemons of one machine answer side by side.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", port))
        membership = socket.inet_aton(group) + socket.inet_aton("0.0.0.0")
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    except BaseException:
        listener.close()
        raise
    return listener
