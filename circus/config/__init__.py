"""Configuration: from the text of ini files to typed, checked settings.

``load`` reads a file for the daemon, ``get_config`` for programs. Both are loaded at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circus.config.legacy import get_config
    from circus.config.loader import Config, check, load

__all__ = ["Config", "check", "get_config", "load"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("circus.config.legacy" if name == "get_config" else "circus.config.loader"), name)
