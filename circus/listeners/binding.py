"""Make and bind one socket as its section says, and a plain word about what the system refuses."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from circus.config.sockets import no_interface, protocol
from circus.exc import CircusError
from circus.listeners import holders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from circus.config.schema import SocketSettings

Address = str | tuple[str | int, ...]
"""A path, or what ``socket.bind`` takes of an IPv4 or IPv6 socket."""

LISTENING: Final = frozenset(("SOCK_STREAM", "SOCK_SEQPACKET"))
"""Types of sockets that accept connections."""

_EXHAUSTED: Final = {
    errno.EMFILE: "circusd has no more file descriptors; raise its limit (ulimit -n)",
    errno.ENFILE: "the system has no more file descriptors (sysctl fs.file-max)",
    errno.ENOBUFS: "out of memory",
    errno.ENOMEM: "out of memory",
}


def refusal(settings: SocketSettings, option: str, text: str) -> CircusError:
    """Return the error that says what is wrong with an option of a socket."""
    return CircusError(f"[socket:{settings.name}] {option}: {text}")


def resolve(settings: SocketSettings) -> Address:
    """Return the address that a socket is to be bound to. This may wait for a name server.

    Raise :class:`~circus.exc.CircusError` if its host is not known.
    """
    if settings.path:
        return settings.path
    family = getattr(socket, settings.family)
    try:
        found = socket.getaddrinfo(_host(settings), 0, family, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        kind = "IPv6 " if settings.family == "AF_INET6" else ""
        raise refusal(
            settings,
            "host",
            f"{settings.host!r} leads to no address: {reason}; name an {kind}address of this machine, "
            "or a host name that stands for one",
        ) from None
    address, _, *scope = found[0][4]
    return (str(address), settings.port, *map(int, scope))


def _host(settings: SocketSettings) -> str | None:
    """What to look up; None for every address of this machine."""
    if settings.host.lower() == "localhost":
        # Not all machines have the name for IPv6 too.
        return "::1" if settings.family == "AF_INET6" else "127.0.0.1"
    return None if settings.host in ("", "*") else settings.host.strip("[]")


def make(settings: SocketSettings) -> socket.socket:
    """Return a new socket, not bound yet. Raise :class:`~circus.exc.CircusError` if there is none of its kind."""
    family, kind = getattr(socket, settings.family), getattr(socket, settings.type)
    try:
        made = socket.socket(family, kind, protocol(settings.proto))
    except ValueError as error:
        raise refusal(settings, "proto", str(error)) from None
    except OSError as error:
        raise _no_such_kind(settings, error) from None
    made.setblocking(settings.blocking)
    return made


def _no_such_kind(settings: SocketSettings, error: OSError) -> CircusError:
    if error.errno in _EXHAUSTED:
        return refusal(settings, "type", _EXHAUSTED[error.errno])
    if error.errno in (errno.EPERM, errno.EACCES):
        return refusal(settings, "type", f"only root (or CAP_NET_RAW) may open {settings.type}; run circusd as root")
    what = settings.type if settings.proto is None else f"{settings.type} with protocol {settings.proto}"
    option = "type" if settings.proto is None else "proto"
    remedy = "name a proto, such as icmp" if settings.type == "SOCK_RAW" and not settings.proto else "name another type"
    return refusal(settings, option, f"this system has no {what} for {settings.family}; {remedy}")


def bind_address(settings: SocketSettings, address: Address, *, shared: bool, reused: bool = True) -> socket.socket:
    """Return a socket that is bound to an IP address.

    ``shared``: with SO_REUSEPORT, beside others that have it; ``reused``: with SO_REUSEADDR, where its type needs it.

    Raise :class:`~circus.exc.CircusError` if the system refuses.
    """
    made = make(settings)
    with closing_on_error(made):
        if reused and settings.type == "SOCK_STREAM":
            # With datagrams this would not be about connections of yesterday: two programs could take one port.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.family == "AF_INET6":
            # Said in either case: what it is otherwise depends on the machine (net.ipv6.bindv6only).
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, settings.ipv6_only)
        set_shared(made, shared)
        if settings.interface:
            _bind_to_interface(settings, made, settings.interface)
        try:
            made.bind(address)
        except OSError as error:
            raise _bind_refusal(settings, address, error) from None
    return made


def set_shared(made: socket.socket, shared: bool) -> None:
    """Let others with SO_REUSEPORT have the same address beside this socket, or no longer."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)


@contextmanager
def closing_on_error(made: socket.socket) -> Iterator[None]:
    """Close a socket if it does not come to what it is made for."""
    try:
        yield
    except BaseException:
        made.close()
        raise


def listen(settings: SocketSettings, made: socket.socket) -> None:
    """Let a bound socket take connections, if its type has any.

    Raise :class:`~circus.exc.CircusError` if another one is faster.
    """
    if settings.type not in LISTENING:
        return
    try:
        made.listen(settings.backlog)
    except OSError as error:
        raise _bind_refusal(settings, made.getsockname(), error) from None


def _bind_to_interface(settings: SocketSettings, made: socket.socket, interface: str) -> None:
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, os.fsencode(interface) + b"\0")
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            text = "only root (or CAP_NET_RAW) may bind a socket to a network interface; run circusd as root"
        else:
            text = no_interface(interface) or f"{interface} cannot be bound to: {error.strerror}"
        raise refusal(settings, "interface", text) from None


def _bind_refusal(settings: SocketSettings, address: Address, error: OSError) -> CircusError:
    # Where the section says 0, the address has the port that was found.
    host, port = (settings.host, settings.port) if isinstance(address, str) else (str(address[0]), int(address[1]))
    place = f"{settings.host} port {port}"
    if error.errno == errno.EADDRINUSE:
        who = holders.of_port(settings.family, settings.type, host.removeprefix("::ffff:"), port)
        return refusal(settings, "port", f"{place} is in use{who and f' by {who}'}; end that, or name another port")
    if error.errno == errno.EACCES:
        return refusal(
            settings,
            "port",
            f"only root (or CAP_NET_BIND_SERVICE) may use port {port}; run circusd as root, "
            "or name a port from 1024 on",
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENODEV):
        return refusal(settings, "host", f"this machine has no address {settings.host}; name one that it has")
    return refusal(settings, "host", f"{place} cannot be bound: {_EXHAUSTED.get(error.errno or 0, error.strerror)}")
