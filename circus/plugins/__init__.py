"""Plugins: the class that all are derived from, the process that runs one, and those that come with Circus.

>>> from circus.plugins import CircusPlugin, hookimpl
"""

from __future__ import annotations

from circus.hooks.specs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.plugins.base import CircusPlugin

__all__ = ["CircusPlugin", "hookimpl"]


def __getattr__(name: str) -> object:
    """Load the class when it is first asked for: circusd itself only wants to know which plugins there are."""
    if name == "CircusPlugin":
        from circus.plugins.base import CircusPlugin

        return CircusPlugin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
