"""How often each of circusd's sockets had something to read: a connection to accept, or a datagram."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Iterable, Mapping
from typing import Any, Final

FIRST: Final = 3
"""Where a process finds the sockets that it was started with (sd_listen_fds)."""

PAUSE: Final = 0.01
"""Seconds after an arrival in which others of the same socket count as the same: a busy socket must not be our work."""


class Hits:
    """Counts arrivals at the sockets that this process has inherited, while somebody wants to know.

    An epoll of its own tells of each arrival once, whoever reads what has arrived.
    """

    def __init__(self) -> None:
        self.known: dict[int, tuple[int, str]] = {}
        """Of each inherited descriptor: its number in circusd, and the address."""
        self._reads: dict[int, int] = {}
        self._epoll: select.epoll | None = None
        self._resume: asyncio.TimerHandle | None = None

    def follow(self, sockets: Iterable[Mapping[str, Any]], environment: Mapping[str, str] = os.environ) -> None:
        """Take in what ``listsockets`` says of the sockets; those that were not inherited are left out."""
        inherited = _inherited(environment)
        self.known = {
            inherited[entry["name"].replace(":", "_")]: (entry["fd"], _address(entry))
            for entry in sockets
            if entry["name"].replace(":", "_") in inherited
        }

    def begin(self) -> None:
        """Count from now on."""
        if self._epoll is not None or not self.known:
            return
        self._epoll = select.epoll()
        self._reads = dict.fromkeys(self.known, 0)
        for descriptor in self.known:
            self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)
        self._listen()

    def rest(self) -> None:
        """Count no more."""
        if self._epoll is None:
            return
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._epoll = None

    def messages(self) -> list[tuple[str, dict[str, Any]]]:
        """Return topics and what is published under them, and begin to count anew."""
        messages: list[tuple[str, dict[str, Any]]] = []
        for descriptor, (number, address) in sorted(self.known.items()):
            reads = self._reads.get(descriptor, 0)
            data = {"fd": number, "subtopic": number, "address": address, "reads": reads}
            messages.append((f"stat.sockets.{number}", data))
        addresses = [address for _, address in self.known.values()]
        messages.append(("stat.sockets", {"addresses": addresses, "reads": sum(self._reads.values())}))
        self._reads = dict.fromkeys(self.known, 0)
        return messages

    def _listen(self) -> None:
        self._resume = None
        if self._epoll is not None:
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._arrived)

    def _arrived(self) -> None:
        if self._epoll is None:
            return
        for descriptor, _ in self._epoll.poll(0):
            self._reads[descriptor] += 1
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._epoll.fileno())
        self._resume = loop.call_later(PAUSE, self._listen)


def _inherited(environment: Mapping[str, str]) -> dict[str, int]:
    """The descriptors of the sockets that were handed to this process, by their names."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    return {name: FIRST + position for position, name in enumerate(names) if name}


def _address(entry: Mapping[str, Any]) -> str:
    return str(entry["path"]) if "path" in entry else f"{entry.get('host')}:{entry.get('port')}"
