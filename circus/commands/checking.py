"""Whether options that a command brings can have their effect on this circusd, beyond being of the right type."""

from __future__ import annotations

from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from circus.config.schema import WatcherSettings
    from circus.kernel.arbiter import Arbiter


def require_possible(arbiter: Arbiter, settings: WatcherSettings, changed: Collection[str]) -> None:
    """Raise ``MessageError`` if one of the ``changed`` options names a place or a socket that is not there."""
    from circus.config.places import require_places

    require_places(settings, changed)
    if "stdin_socket" in changed and settings.stdin_socket:
        _require_socket(arbiter, settings.stdin_socket)


def _require_socket(arbiter: Arbiter, name: str) -> None:
    from circus.kinds import nearest

    known = sorted(socket["name"] for socket in arbiter.host.sockets())
    if name.lower() not in known:
        accepted = ", ".join(known) or "the name of a [socket:NAME], of which there are none"
        raise MessageError(f"'stdin_socket': there is no socket {name!r}; accepted: {accepted}{nearest(name, known)}")
