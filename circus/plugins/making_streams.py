"""From what circusd tells of a stream to the object: its class is found as the watcher's own Python would find it."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from circus.hooks.declarations import read_options
from circus.hooks.importing import Importer, search_folders
from circus.hooks.references import is_file
from circus.hooks.registry import registry
from circus.hooks.spaces import HOME, Spaces

Json = dict[str, Any]
Place = tuple[str, tuple[str, ...]]


class Made(NamedTuple):
    """A stream, and what holds its module."""

    stream: Callable[..., Any]
    place: Place


class Maker:
    """Makes streams. Any thread may ask; the space of what is made counts for its imports from then on."""

    def __init__(self, spaces: Spaces) -> None:
        self._importer = Importer(spaces)
        self._users: Counter[Place] = Counter()
        self._lock = threading.Lock()

    def make(self, told: Json) -> Made:
        """Return a new stream, not opened yet.

        Its module is read anew if no stream is there that came from the same file or package: it may have been edited.
        Raise ``LoadError`` or ``ValueError`` with the reason; what the module or the constructor raises comes through.
        """
        options = {key: value for key, value in told["options"].items() if key != "class"}
        path: str = told["options"]["class"]
        found = registry().find_stream(path)
        folders: tuple[str, ...] = ()
        if found is not None:
            path = found.spec.factory
            typed = read_options(found.spec.options, options)
            options |= {key: value for key, value in typed.items() if value is not None}
        else:
            folders = search_folders({**told, "env": {"PYTHONPATH": told["python_path"]}})
        place = (os.path.dirname(path) if is_file(path) else path.replace(":", ".").partition(".")[0], folders)
        with self._lock:
            anew = found is None and not self._users[place]
            self._users[place] += 1
        try:
            factory, space = self._importer.find(path, folders, anew=anew)
            HOME.set(space)
            stream = factory(**options)
            if not callable(stream):
                raise TypeError(f"{path} makes a {type(stream).__name__}, which cannot be called with output")
        except BaseException:
            self._release(place)
            raise
        return Made(stream, place)

    def forget(self, made: Made) -> None:
        """Take note that a stream is gone."""
        self._release(made.place)

    def _release(self, place: Place) -> None:
        with self._lock:
            self._users[place] -= 1
