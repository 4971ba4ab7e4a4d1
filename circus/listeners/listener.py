"""One ``[socket:NAME]`` of a daemon, and what the daemon holds for it."""

from __future__ import annotations

import os
from socket import socket as Socket
from typing import TYPE_CHECKING, Any

from circus.exc import CircusError
from circus.listeners.binding import Address, bind_address, closing_on_error, listen, refusal, set_shared

if TYPE_CHECKING:
    from circus.config.schema import SocketSettings
    from circus.listeners.files import SocketFile


class Bound:
    """An address that this process has.

    ``socket`` is None where the address is only known: datagrams must not go to a socket that nobody reads.
    """

    def __init__(
        self, made: Socket | None, address: Address, file: SocketFile | None = None, *, passed: bool = False
    ) -> None:
        self.socket = made
        self.address = address
        self.file = file
        self.passed = passed
        """Whether it is systemd's: never bound, closed or removed by circusd."""

    @property
    def is_lost(self) -> bool:
        """Whether somebody has removed its file. One that has another in its place is that one's owner's affair."""
        return self.file is not None and not os.path.lexists(self.file.path)

    def close(self) -> None:
        """Give the address up."""
        if self.passed:
            return
        if self.socket is not None:
            self.socket.close()
        if self.file is not None:
            self.file.remove()


class Listener:
    """A socket that processes get from circusd. ``settings`` are its section; ``name`` is in lower case."""

    def __init__(self, settings: SocketSettings, bound: Bound) -> None:
        self.settings = settings
        self.bound = bound

    @property
    def name(self) -> str:
        """The name of its section."""
        return self.settings.name

    @property
    def socket(self) -> Socket | None:
        """The socket that all its processes share; None if each has one of its own (``so_reuseport``)."""
        return None if self.settings.so_reuseport else self.bound.socket

    def fresh(self) -> Socket:
        """Return a socket for one process, bound with SO_REUSEPORT beside those of the others.

        Raise :class:`~circus.exc.CircusError` if the system refuses.
        """
        made = bind_address(self.settings, self.bound.address, shared=True)
        with closing_on_error(made):
            listen(self.settings, made)
        return made

    def adjust(self, settings: SocketSettings) -> None:
        """Take over settings that need no other socket. Raise ``CircusError`` if the system refuses one."""
        before, self.settings = self.settings, settings
        made = self.socket
        if made is None:
            return
        if settings.backlog != before.backlog and not self.bound.passed:
            listen(settings, made)
        if settings.blocking != before.blocking:
            made.setblocking(settings.blocking)
        if settings.umask != before.umask and self.bound.file is not None:
            try:
                self.bound.file.set_mask(settings.umask)
            except OSError as error:
                raise refusal(settings, "umask", f"{settings.path} stays as it is: {error.strerror}") from None

    def describe(self) -> dict[str, Any]:
        """Return what the command ``listsockets`` shows: ``fd``, ``name``, ``backlog``, ``host`` + ``port`` or
        ``path``.

        ``fd`` is -1 if circusd holds no descriptor for it.
        """
        made = self.bound.socket
        shown = {"fd": -1 if made is None else made.fileno(), "name": self.name, "backlog": self.settings.backlog}
        if self.settings.path and not self.bound.passed:
            return {**shown, "path": self.settings.path}
        address = self.bound.address if made is None else made.getsockname()
        if isinstance(address, tuple):
            return {**shown, "host": address[0], "port": address[1]}
        path = address.decode(errors="surrogateescape") if isinstance(address, bytes) else str(address)
        return {**shown, "path": path.replace("\0", "@")}


def bind_ip(settings: SocketSettings, address: Address, rivals: list[Bound], *, listening: bool = True) -> Bound:
    """Return an IP address that is bound, and listens unless its processes have sockets of their own.

    ``rivals`` are sockets of this process that have the same port and are about to be given up: they share it
    meanwhile. Raise ``CircusError`` if the address cannot be had.
    """
    for rival in rivals:
        if rival.socket is not None:
            set_shared(rival.socket, True)
    if settings.so_reuseport:
        return _reserve(settings, address)
    made = bind_address(settings, address, shared=bool(rivals))
    with closing_on_error(made):
        if listening:
            listen(settings, made)
        set_shared(made, False)
        return Bound(made, made.getsockname())


def _reserve(settings: SocketSettings, address: Address) -> Bound:
    """Keep an address for sockets with SO_REUSEPORT by one of them that does not listen, so that it gets nothing."""
    if settings.type != "SOCK_STREAM":
        with bind_address(settings, address, shared=True) as made:
            return Bound(None, made.getsockname())
    try:
        # Without SO_REUSEADDR, as otherwise any server that has it could take a port on which nobody listens yet.
        made = bind_address(settings, address, shared=True, reused=False)
    except CircusError:
        # It may be connections of yesterday alone that are in the way.
        made = bind_address(settings, address, shared=True)
    return Bound(made, made.getsockname())
