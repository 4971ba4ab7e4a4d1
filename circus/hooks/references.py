"""How a configuration names code: by a registered name, by a path to import, or by a file and what is in it."""

from __future__ import annotations

import os
import re
from typing import Final

_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?")
_NAMES: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

ACCEPTED: Final = "a dotted path, module:attribute, ./file.py:attribute"
"""The forms that are no registered name, for messages."""


def is_path(reference: str) -> bool:
    """Whether it is a path to import or a file, and no registered name."""
    return "." in reference or ":" in reference or "/" in reference


def is_file(reference: str) -> bool:
    """Whether it is ``FILE.py:attribute``."""
    place, colon, _ = reference.rpartition(":")
    return bool(colon) and place.endswith(".py")


def in_folder(reference: str, folder: str) -> str:
    """The same with the whole path of the file, if it names one that is relative to ``folder``."""
    return os.path.normpath(os.path.join(os.path.abspath(folder), reference)) if is_file(reference) else reference


def path_fault(reference: str) -> str:
    """What is wrong with the form of a path; empty if nothing is."""
    ending = reference.rpartition(":")[2] if is_file(reference) else ""
    if (ending and _NAMES.fullmatch(ending)) or _DOTTED.fullmatch(reference):
        return ""
    return f"{reference!r} is no path; accepted: {ACCEPTED}"
