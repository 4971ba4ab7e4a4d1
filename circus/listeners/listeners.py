"""All sockets of a daemon, and how they come to be what the configuration says now."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from circus.config.sharing import Share, which
from circus.exc import CircusError
from circus.kinds import nearest
from circus.listeners.binding import Address, resolve
from circus.listeners.change import Change, raise_all
from circus.listeners.passed import Passed

if TYPE_CHECKING:
    from circus.config.schema import SocketSettings, WatcherSettings
    from circus.listeners.listener import Listener


@dataclass(frozen=True, slots=True)
class Supply:
    """The descriptors that one process gets: ``sockets`` by their names in order, ``stdin`` in place of its input.

    LISTEN_FDS tells it of the first ``told``.
    """

    sockets: Mapping[str, int]
    told: int
    stdin: int | None


_NOTHING: Final = Supply({}, 0, None)


class Listeners:
    """Every ``[socket:NAME]`` of a daemon, by its name in lower case."""

    def __init__(self, passed: Passed | None = None) -> None:
        self.passed = passed or Passed()
        self.held: Mapping[str, Listener] = {}
        self.on_change: Callable[[], None] = _nothing
        """Called when ``held`` has changed, while the sockets of both sides are still open."""
        self._fresh: list[socket.socket] = []

    def __iter__(self) -> Iterator[Listener]:
        return iter(self.held.values())

    def open(self, sockets: Iterable[SocketSettings]) -> None:
        """Bind every socket. Raise ``CircusError``, with none bound, that names each that cannot be had."""
        self.prepare(sockets, addresses(sockets)).commit()

    def prepare(self, sockets: Iterable[SocketSettings], found: Mapping[str, Address]) -> Change:
        """Bind what is new beside what is there; from now on processes get the new. ``found``: see :func:`addresses`.

        Raise ``CircusError``, with nothing changed, that names each socket that cannot be had.
        """
        change = self._change(sockets, found)
        change.prepare()
        return change

    def probe(self, sockets: Iterable[SocketSettings], found: Mapping[str, Address]) -> None:
        """Raise the ``CircusError`` that :meth:`prepare` would raise; change nothing."""
        self._change(sockets, found).probe()

    def lost(self) -> set[str]:
        """Return the names of sockets whose files somebody has removed: nobody can connect to them any more."""
        return {listener.name for listener in self if listener.bound.is_lost}

    def _change(self, sockets: Iterable[SocketSettings], found: Mapping[str, Address]) -> Change:
        return Change(self.held, list(sockets), found, self.passed, self._hold)

    def _hold(self, held: Mapping[str, Listener]) -> None:
        self.held = held
        self.on_change()

    def share(self, settings: WatcherSettings) -> Share:
        """Return which sockets the processes of a watcher get."""
        return which(settings, [listener.settings for listener in self])

    def awaited(self, settings: WatcherSettings) -> dict[str, socket.socket]:
        """Return the sockets whose connections are a watcher's and are seen by this process, by their names."""
        own = {name: self.held[name].socket for name in self.share(settings).own if name in self.held}
        return {name: found for name, found in own.items() if found is not None}

    def supply(self, settings: WatcherSettings) -> Supply:
        """Return the descriptors of a process that is about to start; call :meth:`release` once it has them.

        Raise ``CircusError`` if a socket does not exist, or cannot be made for it.
        """
        if not self.held and not settings.stdin_socket:
            return _NOTHING
        share = self.share(settings)
        if share.stdin is not None and share.stdin not in self.held:
            known = ", ".join(self.held) or "none, as there is no [socket:NAME]"
            raise CircusError(
                f"stdin_socket: there is no socket {share.stdin!r}; accepted: {known}{nearest(share.stdin, self.held)}"
            )
        descriptors: dict[str, int] = {}
        try:
            for name in (*share.names, *share.own):
                if name not in descriptors:
                    descriptors[name] = self._descriptor(self.held[name])
        except CircusError:
            self.release()
            raise
        sockets = {name: descriptors[name] for name in share.names}
        return Supply(sockets, share.told, None if share.stdin is None else descriptors[share.stdin])

    def _descriptor(self, listener: Listener) -> int:
        shared = listener.socket
        made = listener.fresh() if shared is None else shared
        if shared is None:
            self._fresh.append(made)
        return made.fileno()

    def release(self) -> None:
        """Close the sockets that were made for a process: it has them now, or there is none."""
        while self._fresh:
            self._fresh.pop().close()

    def close(self) -> None:
        """Close every socket and remove its file, if it is still there. What was passed by systemd stays open."""
        for listener in self:
            listener.bound.close()
        self.held = {}
        self.release()
        self.passed.leave()


def _nothing() -> None:
    pass


def addresses(sockets: Iterable[SocketSettings]) -> dict[str, Address]:
    """Return where each socket is to be bound, by its name. This may wait for a name server.

    Raise ``CircusError`` that names each host that is not known.
    """
    found, errors = {}, []
    for settings in sockets:
        if settings.systemd is None:
            try:
                found[settings.name] = resolve(settings)
            except CircusError as error:
                errors.append(str(error))
    raise_all(errors)
    return found
