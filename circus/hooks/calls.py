"""The function that ``hooks.NAME`` names, and the arguments that may stand after it: ``name(argument, key=value)``."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

RESERVED: Final = frozenset(
    "watcher arbiter hook_name pid signum process_pid time exit_code process_status stats".split()
)
"""What the hooks themselves pass by name, so that no argument in a file may be called so."""

_KEYWORD: Final = re.compile(r"([A-Za-z_]\w*)\s*=")
_ACCEPTED: Final = (
    "accepted: a name, a dotted path or ./file.py:function, then perhaps its arguments, as in "
    "wait_for_port(localhost:6379, timeout=10); a text with a comma or a bracket stands in quotes"
)
_QUOTES: Final = "\"'"


class Call(NamedTuple):
    """A function's name or path, and the arguments given to it in the file: all of them are texts."""

    name: str
    args: tuple[str, ...]
    kwargs: dict[str, str]


def parse_call(text: str) -> Call:
    """Read ``name``, or ``name(argument, key=value)``. Raise ``ValueError`` with what is wrong and what is accepted.

    An argument that stands in quotes as a whole loses them. In one that does not they stay, and a comma or bracket
    between them is as good as any other character: ``run_command(sh -c "date, time")`` has one argument.

    >>> parse_call("wait_for_port(localhost:6379, timeout=10)")
    Call(name='wait_for_port', args=('localhost:6379',), kwargs={'timeout': '10'})
    """
    text = text.strip()
    name, bracket, rest = text.partition("(")
    name = name.strip()
    if not name:
        raise ValueError(f"{text!r} names no function; {_ACCEPTED}")
    args: list[str] = []
    kwargs: dict[str, str] = {}
    for argument in _split(text, rest) if bracket else ():
        keyword = _KEYWORD.match(argument)
        if keyword is None:
            if kwargs:
                raise ValueError(f"{text!r}: {argument} stands after key=value; write arguments without a key first")
            args.append(_unquoted(text, argument))
            continue
        key = keyword[1]
        if key in RESERVED:
            raise ValueError(f"{text!r}: {key} is what the hook itself passes; call the argument otherwise")
        if key in kwargs:
            raise ValueError(f"{text!r}: {key} is given twice; leave one out")
        kwargs[key] = _unquoted(text, argument[keyword.end() :].strip())
    return Call(name, tuple(args), kwargs)


def _split(text: str, rest: str) -> list[str]:
    """The arguments in ``rest``, which begins after the opening bracket."""
    found: list[str] = []
    depth, quote, begin = 1, "", 0
    for place, char in enumerate(rest):
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                if rest[place + 1 :].strip():
                    raise ValueError(
                        f"{text!r}: {rest[place + 1 :].strip()} stands after the last bracket; {_ACCEPTED}"
                    )
                last = rest[begin:place].strip()
                return [*found, last] if found or last else []
        elif char == "," and depth == 1:
            found.append(rest[begin:place].strip())
            begin = place + 1
    missing = f"the quote {quote} is" if quote else "the bracket is"
    raise ValueError(f"{text!r}: {missing} not closed; {_ACCEPTED}")


def _unquoted(text: str, argument: str) -> str:
    if not argument:
        raise ValueError(f'{text!r}: an argument is empty; leave out the comma, or write "" for an empty text')
    if argument[0] in _QUOTES and argument.find(argument[0], 1) == len(argument) - 1:
        return argument[1:-1]
    return argument
