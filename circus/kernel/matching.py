"""Which names a pattern selects."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from circus.exc import MessageError


def matching(names: Iterable[str], pattern: str, method: str) -> list[str]:
    """Return the names, all in lower case, that a pattern matches in any letter case.

    ``method`` is simple, glob or regex (anchored at the start only). Raise ``MessageError`` if there is none.
    """
    wanted = pattern.lower()
    if method == "simple":
        found = [name for name in names if name == wanted]
    elif method == "glob":
        found = [name for name in names if fnmatch.fnmatchcase(name, wanted)]
    elif method == "regex":
        try:
            expression = re.compile(wanted)
        except (re.error, OverflowError, RecursionError) as error:
            raise MessageError(f"{pattern!r} is not a regular expression: {error}") from None
        found = [name for name in names if expression.match(name)]
    else:
        raise MessageError(f"unknown match method {method}")
    if not found:
        raise MessageError(f"program {pattern} not found")
    return found
