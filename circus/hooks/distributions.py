"""Finds the entry points of the group ``circus`` in what is installed.

Not by ``importlib.metadata``: importing that costs circusd 2 MB of memory and 40 ms of its start, for what is a few
lines in text files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from circus.hooks.specs import GROUP

OWN: Final = "circus"
"""The distribution that comes first, whatever others are called."""
_FOLDERS: Final = (".dist-info", ".egg-info")
_EXTRAS: Final = re.compile(r"\s*\[[^\]]*\]\s*\Z")


class EntryPoint(NamedTuple):
    """One line of a distribution's ``entry_points.txt``; ``value`` is ``module`` or ``module:object``."""

    distribution: str
    version: str
    name: str
    value: str

    @property
    def origin(self) -> str:
        """The distribution and its version, for whom a problem is to be blamed on."""
        return f"{self.distribution} {self.version}"


class _Folder(NamedTuple):
    """Where the metadata of an installed distribution is, and what the name of that folder says of it."""

    path: str
    name: str
    version: str


def normalised(name: str) -> str:
    """The name of a distribution as it is compared: ``Circus_Redis`` is ``circus-redis``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find(path: Iterable[str], problems: list[str]) -> list[EntryPoint]:
    """Return the entry points of all distributions in the folders of ``path``: circus's own, then by names.

    Of a distribution that is there more than once the first one counts. What is wrong is appended to ``problems``.
    """
    found: dict[str, list[EntryPoint]] = {}
    seen: dict[str, _Folder] = {}
    for folder in _folders(path):
        key = normalised(folder.name)
        entries = list(_entry_points(folder, problems))
        first = seen.setdefault(key, folder)
        if first is folder:
            found[key] = entries
        elif entries and found[key] and entries[0].version != found[key][0].version:
            where = os.path.dirname(first.path)
            problems.append(
                f"{entries[0].origin} in {os.path.dirname(folder.path)}: left out, since {found[key][0].origin} in "
                f"{where} comes first; uninstall one of them"
            )
    order = sorted(found, key=lambda name: (name != OWN, name))
    return [entry for name in order for entry in sorted(found[name], key=lambda entry: entry.name)]


def _folders(path: Iterable[str]) -> Iterator[_Folder]:
    for place in dict.fromkeys(os.path.abspath(place) for place in path):
        try:
            names = sorted(os.listdir(place))
        except OSError:
            continue  # an archive, or a folder that is not there: sys.path often has such
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix in _FOLDERS:
                distribution, _, rest = stem.partition("-")
                yield _Folder(os.path.join(place, name), distribution, rest.partition("-")[0])


def _entry_points(folder: _Folder, problems: list[str]) -> Iterator[EntryPoint]:
    try:
        with open(os.path.join(folder.path, "entry_points.txt"), "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        problems.append(f"{folder.name} {folder.version}: left out: {folder.path}/entry_points.txt: {error.strerror}")
        return
    if GROUP.encode() not in text:
        return
    name, version = _identity(folder)
    section = ""
    for line in map(str.strip, text.decode(errors="replace").splitlines()):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section == GROUP and line and line[0] not in "#;":
            key, mark, value = (part.strip() for part in line.partition("="))
            if key and mark and value:
                yield EntryPoint(name, version, key, _EXTRAS.sub("", value))
            else:
                problems.append(f"{name} {version}: {line!r} of its entry points is left out: it is no NAME = MODULE")


def _identity(folder: _Folder) -> tuple[str, str]:
    """The name and version of a distribution as its author wrote them."""
    fields = {"name": folder.name, "version": folder.version or "(unknown version)"}
    for file_name in ("METADATA", "PKG-INFO"):
        try:
            with open(os.path.join(folder.path, file_name), encoding="utf-8", errors="replace") as file:
                for line in file:
                    key, mark, value = line.partition(":")
                    if not line.strip():
                        break
                    if mark and key.lower() in fields and value.strip():
                        fields[key.lower()] = value.strip()
        except OSError:
            continue
        break
    return fields["name"], fields["version"]
