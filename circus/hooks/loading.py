"""From what ``hooks.NAME`` says to the function: names that are registered, dotted paths and files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from circus.hooks.calls import parse_call
from circus.hooks.importing import Importer, LoadError, search_folders
from circus.hooks.references import ACCEPTED, is_path
from circus.hooks.registry import registry
from circus.hooks.spaces import Space, Spaces

Json = dict[str, Any]


class Loaded(NamedTuple):
    """A function, and the arguments that stand after its name."""

    function: Callable[..., Any]
    args: tuple[str, ...]
    kwargs: dict[str, str]
    space: Space


class Loader:
    """Loads functions and keeps them, for each watcher by itself. Any thread may ask."""

    def __init__(self, spaces: Spaces) -> None:
        self._importer = Importer(spaces)
        self._kept: dict[tuple[str, str], tuple[str, tuple[str, ...], Loaded]] = {}
        self._outdated: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def load(self, watcher: str, hook: str, text: str, options: Json) -> Loaded:
        """Return the function that ``text`` names for a hook of a watcher with these options.

        Raise ``LoadError`` with the reason; what its module raises while it is imported comes through as it is.
        """
        folders = search_folders(options)
        with self._lock:
            kept = self._kept.get((watcher, hook))
            anew = (watcher, hook) in self._outdated
            self._outdated.discard((watcher, hook))
        if kept is not None and kept[:2] == (text, folders):
            return kept[2]
        loaded = self._load(text, folders, anew)
        with self._lock:
            self._kept[watcher, hook] = (text, folders, loaded)
        return loaded

    def outdate(self, watcher: str, hook: str) -> None:
        """Have the module of a function read anew when it is called next: somebody has set the hook."""
        with self._lock:
            self._kept.pop((watcher, hook), None)
            self._outdated.add((watcher, hook))

    def forget(self, watcher: str) -> None:
        """Keep nothing of a watcher any more: it is gone."""
        with self._lock:
            self._kept = {key: value for key, value in self._kept.items() if key[0] != watcher}
            self._outdated = {key for key in self._outdated if key[0] != watcher}

    def _load(self, text: str, folders: tuple[str, ...], anew: bool) -> Loaded:
        try:
            path, args, kwargs = parse_call(text)
        except ValueError as error:
            raise LoadError(str(error)) from None
        if path in registry().hooks:
            found, space = self._importer.find(registry().hooks[path].spec.function, ())
        elif is_path(path):
            found, space = self._importer.find(path, folders, anew=anew)
        else:
            raise LoadError(registry().missing("hook function", path, registry().hooks, ACCEPTED))
        return Loaded(found, args, kwargs, space)
