"""What must hold for a ``[socket:NAME]``: found before anything is bound, and said again if binding it fails."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from circus.config.variables import sockets_named
from circus.kinds import nearest
from circus.util import runtime_dir

if TYPE_CHECKING:
    from circus.config.faults import Subject
    from circus.config.schema import SocketSettings

PATH_LIMIT: Final = 107
"""Longest path of a Unix socket, in bytes: ``sun_path`` of unix(7) holds one more, for the end."""

_MOST: Final = 2**31 - 1
"""Greatest number that the system calls take."""

_BINDING: Final = (
    "host",
    "port",
    "family",
    "type",
    "proto",
    "ipv6_only",
    "interface",
    "path",
    "umask",
    "replace",
    "backlog",
)
"""Options of a socket that circusd binds itself."""


def check_socket(settings: SocketSettings, subject: Subject) -> None:
    """Report every fault of a section whose values have the right types."""
    if sockets_named(f"$(circus.sockets.{settings.name})") != {settings.name}:
        subject.warn("", "no $(circus.sockets.NAME) stands for it; accepted: a name without blanks and parentheses")
    if settings.systemd:
        _check_passed(settings, subject)
        return
    if settings.family == "AF_UNIX" and not settings.path:
        subject.fault("family", "a Unix socket needs a file; accepted: path = the socket's file")
    if settings.so_reuseport and settings.path:
        subject.fault("so_reuseport", "a Unix socket has no port to share; accepted: host and port, or no so_reuseport")
    if settings.path:
        # circusd makes the folder of its own endpoints before it binds sockets.
        made = os.path.dirname(os.path.abspath(settings.path)) == runtime_dir()
        if text := too_long(settings.path) or ("" if made else no_folder(settings.path)):
            subject.fault("path", text)
    try:
        protocol(settings.proto)
    except ValueError as error:
        subject.fault("proto", str(error))
    if settings.interface and settings.path:
        subject.fault("interface", "a Unix socket is at no network interface; accepted: host and port, or no interface")
    elif settings.interface and (text := no_interface(settings.interface)):
        subject.fault("interface", text)


def _check_passed(settings: SocketSettings, subject: Subject) -> None:
    if settings.so_reuseport:
        message = "systemd has bound the one socket that there is; accepted: no so_reuseport, or no systemd"
        subject.fault("so_reuseport", message)
    for option in _BINDING:
        if option in subject.document.text[subject.section]:
            subject.warn(option, "without effect, as systemd binds the socket; accepted: the same in its .socket unit")


def protocol(value: str | None) -> int:
    """Return the number of an IP protocol, given by name or number; 0 for that of the socket's type.

    Raise ``ValueError`` with what is accepted.
    """
    if not value:
        return 0
    number = int(value) if value.isdecimal() else _protocol_named(value)
    if number is None or number > _MOST:
        raise ValueError(f"{value!r} is no protocol; accepted: a number, or a name such as tcp, udp, icmp or mptcp")
    return number


def _protocol_named(name: str) -> int | None:
    number: int | None = getattr(socket, f"IPPROTO_{name.upper()}", None)
    if number is None:
        with suppress(OSError):  # as it stands in /etc/protocols: ipv6-icmp, for one
            number = socket.getprotobyname(name)
    return number


def too_long(path: str) -> str:
    """Say that a path has more bytes than fit; an empty text if they do."""
    size = len(os.fsencode(path))
    if size <= PATH_LIMIT:
        return ""
    return f"the path has {size} bytes, and that of a Unix socket at most {PATH_LIMIT}; accepted: a shorter one"


def no_folder(path: str) -> str:
    """Say why no file can be made at a path; an empty text if its folder is there."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(folder):
        return ""
    what = "is no folder" if os.path.lexists(folder) else "does not exist"
    return f"the folder {folder} {what}; accepted: a file in a folder that is there"


def no_interface(interface: str) -> str:
    """Say that there is no such network interface, and which there are; an empty text if there is."""
    names = [name for _, name in socket.if_nameindex()]
    if interface in names:
        return ""
    return f"there is no network interface {interface!r}; accepted: {', '.join(names)}{nearest(interface, names)}"
