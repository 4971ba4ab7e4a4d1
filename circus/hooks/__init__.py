"""What plugins register and take part in: the specs, the registry of what is installed, and the functions of hooks.

A plugin author needs no more than ``from circus.hooks import hookimpl, PluginSpec, HookSpec, StreamSpec, OptionSpec``.
"""

from __future__ import annotations

from circus.hooks.declarations import HookSpec, OptionSpec, PluginSpec, StreamSpec
from circus.hooks.specs import hookimpl, hookspec

__all__ = ["HookSpec", "OptionSpec", "PluginSpec", "StreamSpec", "hookimpl", "hookspec"]
