"""Modules of the same name in different folders, side by side in one process: each watcher has its own PYTHONPATH.

A space is what one list of folders leads to. One space is in force at a time: its folders come first in ``sys.path``
and its modules stand in ``sys.modules``; those of the others are put aside. A space is entered for an import only, also
for one that a function makes while it runs, and any number of threads may be in the one in force.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import Any


class Space:
    """The folders that are searched first, and the modules that come from them while they are put aside."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.folders = folders
        self.modules: dict[str, ModuleType] = {}


HOME: ContextVar[Space] = ContextVar("HOME")
"""The space of the function that the current thread or task runs."""


class Spaces:
    """Every space of this process. There should be one such object, since the modules of a process are its own."""

    def __init__(self) -> None:
        self._usual_path = [os.path.abspath(entry) for entry in sys.path]
        self._usual_modules = frozenset(sys.modules)
        self._spaces: dict[tuple[str, ...], Space] = {(): Space(())}
        self._in_force = self._spaces[()]
        self._inside = 0
        self._counted = len(sys.modules)
        self._changed = threading.Condition()
        self._import = builtins.__import__
        self._import_module = importlib.import_module

    def install(self) -> None:
        """From now on an import in a function finds what one at the head of its module would have found."""
        builtins.__import__ = self._import_at_home
        importlib.import_module = self._import_module_at_home

    def uninstall(self) -> None:
        """Leave imports as they were."""
        with self._changed:
            self._put_in_force(self._spaces[()])
        builtins.__import__ = self._import
        importlib.import_module = self._import_module

    def space(self, folders: Iterable[str]) -> Space:
        """Return the space of some folders, of those among them that are not searched anyway."""
        key = tuple(dict.fromkeys(folder for folder in map(os.path.abspath, folders) if folder not in self._usual_path))
        with self._changed:
            return self._spaces.setdefault(key, Space(key))

    @contextlib.contextmanager
    def entered(self, space: Space) -> Iterator[None]:
        """Have a space in force, for an import."""
        with self._changed:
            while self._in_force is not space and self._inside:
                self._changed.wait()
            self._put_in_force(space)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._take_stock()
                self._changed.notify_all()

    def forget(self, space: Space, path: str) -> None:
        """Have the module that a dotted path begins with read anew at its next import.

        With it go the rest of its package or, if it is in none, what else was imported from its folder. It waits until
        nobody imports anything: who is about to would miss what it takes away.
        """
        with self._changed:
            while self._inside:
                self._changed.wait()
            self._put_in_force(space)
            names = path.split(".")
            loaded = (".".join(names[:count]) for count in range(len(names), 0, -1))
            found = next((name for name in loaded if name in sys.modules), None)
            for name in self._companions(found, space) if found else ():
                sys.modules.pop(name, None)
                space.modules.pop(name, None)
            self._take_stock()
        importlib.invalidate_caches()

    def _companions(self, found: str, space: Space) -> list[str]:
        searched = [*space.folders, *self._usual_path]
        folder = _folder_of(sys.modules[found], searched)
        # Packages that were installed are no part of what somebody has just changed, and some load only once.
        whole = "." not in found and os.path.basename(folder or "") not in ("site-packages", "dist-packages", "")
        top = found.partition(".")[0]
        return [
            name
            for name, module in list(sys.modules.items())
            if name not in self._usual_modules
            and (name.partition(".")[0] == top or (whole and _folder_of(module, searched) == folder))
        ]

    def _put_in_force(self, space: Space) -> None:
        before = self._in_force
        if before is space:
            return
        self._take_stock()
        for name in before.modules:
            sys.modules.pop(name, None)
        sys.path[:] = [*space.folders, *self._usual_path]
        sys.modules.update(space.modules)
        importlib.invalidate_caches()
        self._in_force = space
        self._counted = len(sys.modules)

    def _take_stock(self) -> None:
        """Note which modules belong to the space in force."""
        if len(sys.modules) == self._counted:
            return
        self._counted = len(sys.modules)
        space = self._in_force
        searched = [*space.folders, *self._usual_path]
        for name, module in list(sys.modules.items()):
            if name not in self._usual_modules and _folder_of(module, searched) in space.folders:
                space.modules[name] = module

    def _import_at_home(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        space = (self._home_of(globals) if globals else None) or HOME.get(None)
        with self.entered(space) if space is not None else contextlib.nullcontext():
            return self._import(name, globals, locals, fromlist, level)

    def _import_module_at_home(self, name: str, package: str | None = None) -> ModuleType:
        space = HOME.get(None)
        with self.entered(space) if space is not None else contextlib.nullcontext():
            return self._import_module(name, package)

    def _home_of(self, globals: Mapping[str, Any]) -> Space | None:
        name = globals.get("__name__")
        for space in list(self._spaces.values()):
            module = space.modules.get(name) if isinstance(name, str) else None
            if module is not None and vars(module) is globals:
                return space
        return None


def _folder_of(module: ModuleType, searched: Sequence[str]) -> str | None:
    """The folder, of those that are searched, in which a module lies; None if it is in none."""
    place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", None) or ()), None)
    if not isinstance(place, str):
        return None
    holders = [folder for folder in searched if place.startswith(os.path.join(folder, ""))]
    return max(holders, key=len, default=None)
