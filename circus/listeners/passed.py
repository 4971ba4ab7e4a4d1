"""Sockets that systemd has bound and hands to circusd itself, by its protocol of socket activation (sd_listen_fds)."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from circus.kinds import nearest
from circus.listeners.binding import refusal

if TYPE_CHECKING:
    from circus.config.schema import SocketSettings

_FIRST: Final = 3
_UNNAMED: Final = "unknown"
"""What systemd itself calls a descriptor without a name."""


class Passed:
    """The descriptors that circusd was started with. They stay open for as long as it runs, whoever uses them."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._descriptors: dict[str, list[int]] = {}
        self._absence = "circusd was not started by socket activation: LISTEN_FDS is not set"
        self._sockets: dict[int, socket.socket] = {}
        if "LISTEN_FDS" not in environ:
            return
        pid = environ.get("LISTEN_PID", "")
        if pid != str(os.getpid()):
            self._absence = (
                f"what was passed is for process {pid or '(none)'}, and circusd is {os.getpid()}; start it without "
                "--daemon, and by nothing in between"
            )
            return
        count = environ["LISTEN_FDS"]
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        for position in range(int(count) if count.isdecimal() else 0):
            name = names[position] if position < len(names) else ""
            self._descriptors.setdefault(name or _UNNAMED, []).append(_FIRST + position)
        self._absence = "none was passed"

    def unused(self, used: Collection[str]) -> list[str]:
        """Return the names of what was passed and is not among those that are ``used``."""
        return [name for name in self._descriptors if name not in used]

    def get(self, settings: SocketSettings, name: str) -> socket.socket:
        """Return the socket that was passed under a name, the same object each time.

        Raise :class:`~circus.exc.CircusError` if there is none, or not just one.
        """
        descriptors = self._descriptors.get(name, [])
        if not descriptors:
            known = ", ".join(self._descriptors)
            reason = f"passed were: {known}{nearest(name, self._descriptors)}" if known else self._absence
            raise refusal(settings, "systemd", f"no socket was passed as {name!r}; {reason}")
        if len(descriptors) > 1:
            raise refusal(
                settings,
                "systemd",
                f"{len(descriptors)} sockets were passed as {name!r}; give each a name of its own "
                "(FileDescriptorName= of its .socket unit)",
            )
        descriptor = descriptors[0]
        if descriptor not in self._sockets:
            if not _is_socket(descriptor):
                raise refusal(settings, "systemd", f"descriptor {descriptor}, passed as {name!r}, is no socket")
            self._sockets[descriptor] = socket.socket(fileno=descriptor)
        made = self._sockets[descriptor]
        made.set_inheritable(False)
        return made

    def leave(self) -> None:
        """Forget every socket; their descriptors stay open."""
        for made in self._sockets.values():
            made.detach()
        self._sockets.clear()


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False
