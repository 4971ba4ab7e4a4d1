"""From the path of a plugin to the plugin: what can go wrong is the author's business, so each error says where."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from circus.exc import CircusError

if TYPE_CHECKING:
    from types import ModuleType

    from circus.plugins.base import CircusPlugin
    from circus.plugins.briefing import Briefing


class PluginError(CircusError):
    """A plugin that cannot be run. ``theirs`` says that its own code raised the error, so that a traceback helps."""

    def __init__(self, message: str, *, theirs: bool = False) -> None:
        super().__init__(message)
        self.theirs = theirs


def load_factory(path: str) -> Any:
    """Import what ``module:attribute``, ``package.module.attribute`` or ``FILE.py:attribute`` names.

    Raise ``PluginError`` with the reason.
    """
    place, colon, names = path.rpartition(":") if ":" in path else path.rpartition(".")
    if not place or not names:
        raise PluginError(f"{path!r} is no path of a plugin; write module:attribute or FILE.py:attribute")
    try:
        found: Any = _load_file(place) if colon == ":" and place.endswith(".py") else importlib.import_module(place)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{place}.".startswith(f"{error.name}.")
        raise PluginError(f"{path} cannot be imported: {one_line(error)}", theirs=not missing) from error
    for name in names.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise PluginError(f"{path} cannot be imported: {place} has no {name!r}") from None
    if not callable(found):
        raise PluginError(f"{path} is of type {type(found).__name__}; a plugin is a class derived from CircusPlugin")
    return found


def make_plugin(factory: Any, briefing: Briefing) -> CircusPlugin:
    """Return the plugin. Raise ``PluginError`` if its constructor raises or makes something else."""
    from circus.plugins.base import CircusPlugin

    try:
        plugin = factory(
            briefing.endpoint, briefing.pubsub_endpoint, briefing.check_delay, briefing.ssh_server, **briefing.config
        )
    except Exception as error:
        raise PluginError(f"its constructor raised {one_line(error)}", theirs=True) from error
    if not isinstance(plugin, CircusPlugin):
        raise PluginError(f"{briefing.factory} makes a {type(plugin).__name__}, which is no CircusPlugin")
    return plugin


def _load_file(path: str) -> ModuleType:
    path = os.path.abspath(path)
    name = os.path.basename(path).removesuffix(".py")
    sys.path.insert(0, os.path.dirname(path))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_line(error: BaseException) -> str:
    """Return what an error is and says, without line breaks."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
