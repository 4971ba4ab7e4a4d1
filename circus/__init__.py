"""Circus: a process and socket manager.

Importing this package is cheap: every public name is loaded at its first use.
"""

from __future__ import annotations

__version__ = "1.0.0"

_PUBLIC: dict[str, str] = {}

__all__ = ["__version__"]


def __getattr__(name: str) -> object:
    """Load the public name ``name`` from the module that defines it."""
    from circus.util import load_public

    return load_public(globals(), _PUBLIC, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
