"""The kinds of values that options have, and how each is read from the text of a file.

An option names its kind and arguments as a check of ConfigObj's configspec: ``integer(min=0)``, ``keyword(a, b)``.
Each function of ``READERS`` gets the text and these arguments, texts too. It raises ``ValueError`` with what is wrong
and what is accepted.
"""

from __future__ import annotations

import math
import re
import resource
from collections.abc import Callable, Iterable
from typing import NamedTuple

from circus.util import to_bool, to_signum

HOOKS = (
    *("before_start", "after_start", "before_spawn", "after_spawn", "before_stop", "after_stop"),
    *("before_signal", "after_signal", "before_reap", "after_reap", "extended_stats"),
)

RLIMITS = tuple(sorted(name[7:].lower() for name in dir(resource) if name.startswith("RLIMIT_")))


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x' or 'y'?`` for the known names that are like ``name``, else an empty text."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def closest(name: str, known: Iterable[str], edits: int) -> str | None:
    """The known name that is the fewest edits from ``name``, if at most ``edits``. Letter case does not count."""
    distances = {
        other: _distance(name.lower(), other.lower()) for other in known if abs(len(other) - len(name)) <= edits
    }
    best = min(distances, key=distances.__getitem__, default=None)
    return best if best is not None and distances[best] <= edits else None


def _distance(left: str, right: str) -> int:
    row = list(range(len(right) + 1))
    for i, char in enumerate(left, 1):
        above, row = row, [i]
        for j, other in enumerate(right, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (char != other)))
    return row[-1]


def text(value: str) -> str:
    return value


def optional(value: str) -> str | None:
    """An empty text counts as not given."""
    return value or None


def boolean(value: str) -> bool:
    try:
        return to_bool(value)
    except ValueError:
        raise ValueError(f"{value!r} is neither yes nor no; accepted: yes, no, true, false, on, off, 1, 0") from None


def _range(low: str | None, high: str | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" of at least {low}" if low is not None else ""


def _outside(number: float, low: str | None, high: str | None) -> bool:
    return (low is not None and number < float(low)) or (high is not None and number > float(high))


def integer(value: str, min: str | None = None, max: str | None = None) -> int:
    accepted = f"a whole number{_range(min, max)}"
    try:
        number = int(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a whole number; accepted: {accepted}") from None
    if _outside(number, min, max):
        raise ValueError(f"{value} is out of range; accepted: {accepted}")
    return number


def number(value: str, min: str | None = None, max: str | None = None) -> float:
    accepted = f"a number{_range(min, max)}"
    try:
        result = float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number; accepted: {accepted}") from None
    if not math.isfinite(result) or _outside(result, min, max):
        raise ValueError(f"{value} is out of range; accepted: {accepted}")
    return result


def octal(value: str) -> int | None:
    return _octal(value, 0o777, "a umask")


def file_mode(value: str) -> int | None:
    """A file's mode in octal; nothing leaves it to the umask."""
    return _octal(value, 0o7777, "a file's mode")


def _octal(value: str, most: int, noun: str) -> int | None:
    if not value:
        return None
    try:
        number = int(value, 8)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise ValueError(f"{value!r} is not {noun}; accepted: an octal number from 0 to {most:o}")
    return number


def signum(value: str) -> int:
    try:
        return to_signum(value)
    except ValueError:
        accepted = "a signal's number or name, such as 15, TERM, SIGQUIT or SIGRTMIN+1"
        raise ValueError(f"{value!r} is not a signal; accepted: {accepted}") from None


def keyword(value: str, *accepted: str) -> str:
    """One of ``accepted`` in any letter case; the result is spelled as there."""
    for name in accepted:
        if name.lower() == value.lower():
            return name
    shown = ", ".join(name or "nothing" for name in accepted)
    raise ValueError(f"{value!r} is unknown; accepted: {shown}{nearest(value, filter(None, accepted))}")


def user(value: str) -> int | str | None:
    """A number, or the name of a user that the system knows."""
    if not value or value.isdigit():
        return int(value) if value else None
    import pwd

    try:
        pwd.getpwnam(value)
    except KeyError:
        raise ValueError(f"there is no user {value!r}; accepted: the name or number of a user of this system") from None
    return value


def user_name(value: str) -> str | None:
    """The name of a user that the system knows, as written."""
    return value if user(value) is not None else None


def group(value: str) -> int | str | None:
    """A number, or the name of a group that the system knows."""
    if not value or value.isdigit():
        return int(value) if value else None
    import grp

    try:
        grp.getgrnam(value)
    except KeyError:
        raise ValueError(
            f"there is no group {value!r}; accepted: the name or number of a group of this system"
        ) from None
    return value


def owner(value: str) -> str:
    """``user``, ``user:group`` or ``:group`` that the system knows, as written."""
    name, _, group_name = value.partition(":")
    user(name)
    group(group_name)
    return value


def log_address(value: str) -> str:
    """Where syslog is: the whole path of its socket, or ``HOST:PORT``."""
    host, _, port = value.rpartition(":")
    if value.startswith("/") or (host and port.isdigit() and 0 < int(port) < 65536):
        return value
    raise ValueError(f"{value!r} is no address of syslog; accepted: the whole path of a socket, or HOST:PORT for UDP")


def endpoint(value: str) -> str:
    """A ZeroMQ address, or nothing."""
    transport, mark, address = value.partition("://")
    if value and not (mark and address and transport in ("tcp", "ipc", "inproc")):
        raise ValueError(f"{value!r} is not an endpoint; accepted: tcp://HOST:PORT or ipc://PATH")
    if transport == "tcp":
        port = address.rpartition(":")[2]
        if ":" not in address or not (port == "*" or (port.isdigit() and int(port) < 65536)):
            raise ValueError(f"{value!r} names no port from 0 to 65535; accepted: tcp://HOST:PORT")
    return value


def multicast(value: str) -> str:
    """``udp://GROUP:PORT``, or nothing."""
    transport, _, address = value.partition("://")
    if value and (transport != "udp" or not address.rpartition(":")[2].isdigit()):
        raise ValueError(
            f"{value!r} is not a multicast endpoint; accepted: udp://GROUP:PORT, such as udp://237.219.251.97:12027"
        )
    return value


def rlimit(value: str) -> int | None:
    """A number of the resource's unit; nothing, or a negative number, means infinity."""
    if not value:
        return None
    try:
        limit = int(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a limit; accepted: a whole number, or nothing for infinity") from None
    return limit if limit >= 0 else None


def hook(value: str) -> tuple[str, bool]:
    """``NAME`` or ``NAME, BOOL``: the function, and whether its errors are ignored."""
    function, comma, flag = value.rpartition(",")
    if not comma or flag.rstrip().endswith(")"):
        function, flag = value, "false"
    if not function.strip():
        raise ValueError(
            "names no function; accepted: dotted.path.function or a registered hook, then perhaps ', true'"
        )
    return function.strip(), boolean(flag.strip())


def regex(value: str) -> str:
    """A regular expression, as written."""
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}; accepted: one as Python writes them") from None
    return value


class Memory(NamedTuple):
    """How much memory: percent of the machine's, or where ``absolute`` bytes."""

    amount: float
    absolute: bool


_UNITS = {"B": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def memory(value: str) -> Memory:
    """Percent (``90``, ``90%``), or a size (``512B``, ``250M``, ``1.5G``) in powers of 1024."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?)\s*(%|[BKMGT]?)", value.strip().upper())
    if match is None:
        raise ValueError(f"{value!r} is no amount of memory; accepted: percent such as 90, or a size such as 250M")
    number, unit = float(match[1]), match[2]
    if unit in ("", "%"):
        return Memory(number, absolute=False)
    return Memory(number * 1024 ** _UNITS[unit], absolute=True)


READERS: dict[str, Callable[..., object]] = {
    "text": text,
    "optional": optional,
    "boolean": boolean,
    "integer": integer,
    "number": number,
    "octal": octal,
    "file_mode": file_mode,
    "signum": signum,
    "keyword": keyword,
    "user": user,
    "user_name": user_name,
    "group": group,
    "owner": owner,
    "log_address": log_address,
    "endpoint": endpoint,
    "multicast": multicast,
    "rlimit": rlimit,
    "hook": hook,
    "regex": regex,
    "memory": memory,
}


def split_type(type: str) -> tuple[str, list[str], dict[str, str]]:
    """Return the kind, the words and the named arguments of a type such as ``integer(min=0)`` or ``keyword(a, b)``."""
    kind, _, rest = type.partition("(")
    parts = [part.strip() for part in rest.rstrip(")").split(",") if part.strip()]
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    words = [part.strip("'") for part in parts if "=" not in part]
    return kind, words, {name.strip(): value.strip() for name, value in named.items()}


def read(type: str, value: str) -> object:
    """Return the typed value of a text. Raise ``ValueError`` with what is wrong and what is accepted."""
    kind, words, named = split_type(type)
    return READERS[kind](value, *words, **named)
