"""Variables in values: ``$(circus.NAME)`` and ``((circus.NAME))``, and ``$VAR`` in the values of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings

Lookup = Callable[[str], str | None]
"""Gives the value of a name such as ``wid`` or ``env.HOME``, as written in the text; None if it is not known."""

_CIRCUS = r"\$\(circus\.(?P<dollar>[^()\s]+)\)|\(\(circus\.(?P<paren>[^()\s]+)\)\)"
_SHELL = r"\$\{(?P<braced>[A-Za-z_]\w*)\}|\$(?P<plain>[A-Za-z_]\w*)"
_REFERENCE = re.compile(_CIRCUS, re.IGNORECASE)
_REFERENCE_OR_SHELL = re.compile(f"{_CIRCUS}|{_SHELL}", re.IGNORECASE | re.ASCII)
_WID = re.compile(r"\$WID\b")
_SOCKET = re.compile(r"\$\(circus\.sockets\.([^()\s]+)\)|\(\(circus\.sockets\.([^()\s]+)\)\)", re.IGNORECASE)


def expand(text: str, lookup: Lookup) -> str:
    """Replace every variable of ``text`` that ``lookup`` knows, in one pass; the others stay as they are."""
    if "$(" in text or "((" in text:
        text = _REFERENCE.sub(lambda match: _replacement(match, lookup, match["dollar"] or match["paren"]), text)
    if "$WID" in text:
        text = _WID.sub(lambda match: _replacement(match, lookup, "wid"), text)
    return text


def expand_environment(text: str, *layers: Mapping[str, str]) -> str:
    """As ``expand``, for a value of the environment, with ``$VAR`` and ``${VAR}`` too. Earlier layers come first."""
    if "$" not in text and "((" not in text:
        return text
    lookup = environment_lookup(*layers)

    def replace(match: re.Match[str]) -> str:
        shell = match["braced"] or match["plain"]
        if shell:
            return next((layer[shell] for layer in layers if shell in layer), match[0])
        return _replacement(match, lookup, match["dollar"] or match["paren"])

    return _REFERENCE_OR_SHELL.sub(replace, text)


def environment_lookup(*layers: Mapping[str, str]) -> Lookup:
    """Know ``env.NAME``: as spelled in the first layer that has it, else in the first that has it in another case."""

    def lookup(name: str) -> str | None:
        prefix, _, variable = name.partition(".")
        if prefix.lower() != "env":
            return None
        for layer in layers:
            if variable in layer:
                return layer[variable]
        folded = variable.lower()
        return next((layer[key] for layer in layers for key in layer if key.lower() == folded), None)

    return lookup


def process_lookup(settings: WatcherSettings, wid: int, sockets: Mapping[str, int]) -> Lookup:
    """What a process may name at its spawn: ``wid``, ``sockets.NAME`` (a descriptor), ``env.VAR``, every option."""
    environment = environment_lookup(settings.env, os.environ)

    def lookup(name: str) -> str | None:
        key = name.lower()
        if key == "wid":
            return str(wid)
        if key.startswith("sockets."):
            descriptor = sockets.get(key[8:])
            return None if descriptor is None else str(descriptor)
        if key.startswith("env."):
            return environment(name)
        value = getattr(settings, key, None)
        if value is None and key == "working_dir":
            return os.getcwd()
        return str(value) if isinstance(value, (str, int, float)) else None

    return lookup


def sockets_named(text: str) -> set[str]:
    """The names, in lower case, of the sockets that ``text`` refers to as ``circus.sockets.NAME``."""
    return {(match[1] or match[2]).lower() for match in _SOCKET.finditer(text)}


def uses_old_wid(text: str) -> bool:
    """Whether ``text`` has the deprecated ``$WID``."""
    return "$WID" in text and _WID.search(text) is not None


def _replacement(match: re.Match[str], lookup: Lookup, name: str) -> str:
    value = lookup(name)
    return match[0] if value is None else value
