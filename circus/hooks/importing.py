"""From a path in a configuration to what it leads to: modules and files, each watcher's in a space of its own."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

from circus.exc import CircusError
from circus.hooks.references import ACCEPTED, is_file
from circus.hooks.spaces import Space, Spaces
from circus.kinds import nearest

Json = dict[str, Any]


class LoadError(CircusError):
    """Something that cannot be loaded; the message says what and why."""


class Importer:
    """Imports what paths name. Any thread may ask."""

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def find(self, path: str, folders: tuple[str, ...], *, anew: bool = False) -> tuple[Any, Space]:
        """Return what a path names where ``folders`` are searched first, and the space that it is in.

        ``anew`` reads its module again. Raise ``LoadError`` with the reason; what its module raises while it is
        imported comes through as it is.
        """
        if is_file(path):
            file = os.path.abspath(path.rpartition(":")[0])
            space = self._spaces.space((os.path.dirname(file), *folders))
            found = self._from_file(file, path.rpartition(":")[2], space, anew)
        else:
            space = self._spaces.space(folders)
            found = self._from_module(path, space, anew)
        if not callable(found):
            raise LoadError(f"{path} is a {type(found).__name__}, nothing that can be called; accepted: {ACCEPTED}")
        return found, space

    def _from_file(self, file: str, names: str, space: Space, anew: bool) -> Any:
        # Not the file's own name, which may be that of any module.
        name = "circus_file" + re.sub(r"\W", "_", file)
        if anew:
            self._spaces.forget(space, name)
        # As with modules of other names, who comes while one is imported waits until all of it is there.
        with self._spaces.entered(space), self._locks[name]:
            module = sys.modules.get(name) or _import_file(name, file)
        return _attribute(module, names, file)

    def _from_module(self, path: str, space: Space, anew: bool) -> Any:
        if anew:
            self._spaces.forget(space, path.replace(":", "."))
        module, colon, names = path.partition(":")
        with self._spaces.entered(space):
            if colon:
                return _attribute(_import(module, module, space), names, module)
            parts = path.split(".")
            for count in range(len(parts) - 1, 0, -1):
                module = ".".join(parts[:count])
                # A class in a module may come before the name of the function.
                if count == 1 or _exists(module):
                    break
            return _attribute(_import(module, path, space), ".".join(parts[count:]), module)


def _exists(module: str) -> bool:
    try:
        return module in sys.modules or importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _import(name: str, path: str, space: Space) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        searched = ", ".join(space.folders) or "none is set"
        raise LoadError(
            f"{path} cannot be imported: there is no module {error.name!r}, neither in the watcher's PYTHONPATH "
            f"({searched}) nor among those of circusd; accepted: {ACCEPTED}"
        ) from None


def _import_file(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not os.path.isfile(file):
        raise LoadError(f"there is no file {file}; accepted: {ACCEPTED}")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _attribute(module: ModuleType, names: str, place: str) -> Any:
    found: Any = module
    for name in names.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise LoadError(f"{place} has no {name!r}{nearest(name, dir(found))}; accepted: {ACCEPTED}") from None
    return found


def search_folders(options: Json) -> tuple[str, ...]:
    """Return the folders that a watcher's own Python would search first: its PYTHONPATH, and its virtualenv's."""
    folders = [folder for folder in str(options["env"].get("PYTHONPATH", "")).split(os.pathsep) if folder]
    if options["virtualenv"]:
        version = options["virtualenv_py_ver"] or f"{sys.version_info.major}.{sys.version_info.minor}"
        packages = Path(options["virtualenv"], "lib", f"python{version}", "site-packages")
        folders.append(str(packages))
        for file in sorted(packages.glob("*.pth")):
            lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            # Lines that are code are meant for that Python, not for this one.
            folders += [str(packages / line) for line in map(str.strip, lines) if (packages / line).is_dir()]
    return tuple(folders)
