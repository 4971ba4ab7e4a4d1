"""From the words of a command line to the properties of a request."""

from __future__ import annotations

import os
from typing import Any

from circus.exc import ArgumentError
from circus.util import to_bool, to_signum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.commands.base import Command, Json, Property

_INFINITE = ("", "null", "none", "unlimited", "infinity")
_NEEDED = {
    "integer": "a whole number is needed",
    "number": "a number is needed",
    "rlimit": "a whole number is needed, or 'unlimited'",
}
WRONG_NUMBER = "Invalid number of arguments"


def positional_message(command: Command, arguments: list[str], options: Json) -> Json:
    """Return the properties that positional arguments and ``--options`` give.

    Raise ``ArgumentError`` when an argument is missing, one is too many, or one is no number where a number is meant.
    """
    declared = [item for item in command.properties if item.positional]
    words = list(arguments)
    if command.variadic and len(words) >= len(declared):
        last = len(declared) - 1
        words[last:] = [words[last:]]  # type: ignore[list-item]
    if len(words) > len(declared) or any(item.required for item in declared[len(words) :]):
        raise ArgumentError(WRONG_NUMBER)
    properties = {item.name: argument(item, word) for item, word in zip(declared, words, strict=False)}
    local = {item.name for item in command.cli_options}
    properties.update((name, value) for name, value in options.items() if name not in local)
    return properties


def argument(declared: Property, word: Any) -> Any:
    """Return the value that a word stands for. Raise ``ArgumentError`` for a word of the wrong form."""
    if declared.kind not in ("integer", "number", "pid"):
        return word
    try:
        number = float(word) if declared.kind == "number" else int(word)
        if declared.kind == "number" and not number >= 0:
            raise ValueError
        return number
    except ValueError:
        expected = "a number of 0 or more" if declared.kind == "number" else "a whole number"
        raise ArgumentError(f"{declared.name.upper()} is {word!r}; {expected} is needed") from None


def option_value(key: str, word: str) -> Any:
    """Return the typed value of a watcher's option that ``set`` is to send.

    An option that is unknown here is sent as text, for the daemon to judge. Raise ``ArgumentError`` for a word of the
    wrong form.
    """
    from circus.config.options import find
    from circus.config.schema import WATCHER

    if key.startswith(("hooks.", "stdout_stream.class", "stderr_stream.class")) and word.startswith(("./", "../")):
        return os.path.abspath(word)  # relative to where the user is, and not to where circusd was started
    if key == "hooks":
        return _pairs(key, word, ":", "before_start:module.function,after_stop:module.function")
    if key in ("stdout_stream", "stderr_stream"):
        return _pairs(key, word, "=", "class=FileStream,filename=/var/log/web.log")
    row = find(WATCHER, key)
    kind = row.kind if row else ("number" if key == "retry_in" else "text")
    try:
        return _converted(key, kind, word)
    except ValueError as error:
        needed = _NEEDED.get(kind)
        raise ArgumentError(f"{key} is {word!r}; {needed}" if needed else f"{key}: {error}") from None


def _converted(key: str, kind: str, word: str) -> Any:
    match kind:
        case "integer":
            return int(word)
        case "number":
            return int(word) if word.lstrip("+-").isdigit() else float(word)
        case "boolean":
            return to_bool(word)
        case "signum":
            return to_signum(word)
        case "user" | "group":
            return int(word) if word.isdigit() else word
        case "env":
            return _pairs(key, word, "=", "A=b,C=d")
        case "rlimit":
            return None if word.lower() in _INFINITE else int(word)
    return word


def _pairs(key: str, word: str, mark: str, example: str) -> dict[str, str]:
    pairs = [pair.partition(mark) for pair in word.split(",") if pair]
    if not all(found for _, found, _ in pairs):
        raise ArgumentError(f"{key} is {word!r}; write it as {example}")
    return {name.strip(): value for name, _, value in pairs}
