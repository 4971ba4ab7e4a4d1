"""What the kernel wants of whoever knows the configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from circus.exc import CircusError

if TYPE_CHECKING:
    from circus.kernel.order import Operation


class Reloader(Protocol):
    """Brings the daemon from the configuration that it runs to the one that its file holds now."""

    async def plan(self) -> dict[str, Any]:
        """Return what :meth:`reload` would do."""

    async def reload(self) -> dict[str, Any]:
        """Apply what changed in the file."""

    async def restart(self, everything: Operation) -> dict[str, Any]:
        """Stop everything, take over what the file holds now, and start everything."""


def no_configuration() -> CircusError:
    """Return the error of a daemon that was not started from a file."""
    return CircusError("this daemon was not started from a configuration file: there is nothing to read again")
