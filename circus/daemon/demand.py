"""Watchers with ``on_demand``: waits at their sockets while they are down, and for silence while they are up."""

from __future__ import annotations

import logging
import select
from collections.abc import Iterable
from functools import partial
from socket import socket as Socket
from typing import TYPE_CHECKING, Any, Final

from circus.daemon.idleness import Idleness
from circus.events import split_topic
from circus.kernel.deaths import forgive
from circus.kernel.states import STOPPED

if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter
    from circus.kernel.watcher import Watcher
    from circus.listeners import Listeners

log = logging.getLogger("circus")

# Events after which something else may be to be watched: of each watcher, and of one with on_demand.
_OF_ALL: Final = frozenset(("listening", "updated", "remove"))
_OF_ITS_OWN: Final = frozenset(("start", "stop"))


class Demand:
    """Starts watchers when a connection is there for them; nothing is polled, and no connection is touched."""

    def __init__(self, arbiter: Arbiter, listeners: Listeners) -> None:
        self._arbiter = arbiter
        self._loop = arbiter.loop
        self._listeners = listeners
        self._waiting: dict[Socket, list[Watcher]] = {}
        self._unserved: dict[Watcher, bool] = {}
        """Whether a connection was there already when a watcher began to wait: its processes have not accepted it."""
        self._idle: dict[Watcher, Idleness] = {}
        self._looks = False
        arbiter.journal.subscribe(self._hear)
        listeners.on_change = self.look

    def look(self) -> None:
        """Watch what is to be watched now."""
        self._looks = False
        watchers = [] if self._arbiter.quitting else list(self._arbiter.watchers.values())
        self._wait([watcher for watcher in watchers if watcher.listening and watcher.state == STOPPED])
        self._time([watcher for watcher in watchers if watcher.up and watcher.settings.on_demand])

    def close(self) -> None:
        """Watch nothing any more; to be called before the sockets are closed."""
        self._wait([])
        self._time([])

    def _hear(self, topic: str, data: dict[str, Any]) -> None:
        name, action = split_topic(topic)
        if action in _OF_ALL or (action in _OF_ITS_OWN and self._is_on_demand(name)):
            self._look_soon()

    def _is_on_demand(self, name: str) -> bool:
        """Whether a watcher is, by its name in topics; whoever is not found by it may be."""
        watcher = self._arbiter.watchers.get(name)
        return watcher is None or watcher.settings.on_demand

    def _look_soon(self) -> None:
        if not self._looks:
            self._looks = True
            self._loop.call_soon(self.look)

    def _sockets(self, watcher: Watcher) -> tuple[Socket, ...]:
        return tuple(self._listeners.awaited(watcher.settings).values())

    # Down: the next connection.

    def _wait(self, watchers: Iterable[Watcher]) -> None:
        """Wait at the sockets of these watchers, and at no others."""
        wanted: dict[Socket, list[Watcher]] = {}
        unserved = {}
        for watcher in watchers:
            sockets = self._sockets(watcher)
            for one in sockets:
                wanted.setdefault(one, []).append(watcher)
            unserved[watcher] = self._unserved[watcher] if watcher in self._unserved else _has_connection(sockets)
        for one in self._waiting.keys() - wanted.keys():
            self._loop.remove_reader(one.fileno())
        for one in wanted.keys() - self._waiting.keys():
            self._loop.add_reader(one.fileno(), partial(self._on_connection, one))
        self._waiting, self._unserved = wanted, unserved

    def _on_connection(self, one: Socket) -> None:
        for watcher in self._waiting.get(one, ()):
            if not self._unserved[watcher]:
                forgive(watcher)  # however soon its processes ended, they have done what they were started for
            watcher.demand()
        # Who is coming up takes the connection; who was stopped just before lets it wait, and is not called again.
        self.look()

    # Up: the time without any.

    def _time(self, watchers: Iterable[Watcher]) -> None:
        """Take the time of these watchers, and of no others."""
        timed = {watcher: self._sockets(watcher) for watcher in watchers if watcher.settings.idle_timeout}
        wanted = {watcher: sockets for watcher, sockets in timed.items() if sockets}
        for watcher, idleness in list(self._idle.items()):
            if wanted.get(watcher) != idleness.sockets:
                self._idle.pop(watcher).close()
        for watcher, sockets in wanted.items():
            if watcher in self._idle:
                self._idle[watcher].look()
            else:
                self._begin(watcher, sockets)

    def _begin(self, watcher: Watcher, sockets: tuple[Socket, ...]) -> None:
        try:
            self._idle[watcher] = Idleness(self._loop, watcher, sockets)
        except OSError as error:
            log.error("%s: idle_timeout is without effect until its next start: %s", watcher.name, error)


def _has_connection(sockets: Iterable[Socket]) -> bool:
    """Return whether somebody waits already."""
    waiting = select.poll()
    for one in sockets:
        waiting.register(one, select.POLLIN)
    return bool(waiting.poll(0))
