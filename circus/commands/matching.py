"""Which watchers a pattern selects."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from circus.kernel.arbiter import Arbiter
    from circus.kernel.watcher import Watcher


def match(arbiter: Arbiter, pattern: str, method: str) -> list[Watcher]:
    """Return the watchers whose name matches, the highest priority first; see :func:`matching`."""
    chosen = set(matching(arbiter.watchers, pattern, method))
    return [watcher for watcher in arbiter.in_order() if watcher.name.lower() in chosen]


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
