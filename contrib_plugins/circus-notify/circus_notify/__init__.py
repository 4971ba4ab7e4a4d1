"""A plugin of Circus that tells people by e-mail or a webhook when a program crashes, flaps or is given up."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus_notify.notifier import Notifier

__all__ = ["Notifier"]


def __getattr__(name: str) -> object:
    """Load the plugin when it is first asked for: circusd imports this package and needs none of it."""
    if name == "Notifier":
        from circus_notify.notifier import Notifier

        return Notifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
