"""The commands that a daemon understands, one a module. A command's module is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module

from circus.exc import UnknownCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.commands.base import Command

_NAMES = (
    "add",
    "decr",
    "dstats",
    "events",
    "explain",
    "get",
    "globaloptions",
    "incr",
    "ipython",
    "kill",
    "list",
    "listen",
    "listsockets",
    "notify",
    "numprocesses",
    "numwatchers",
    "options",
    "plan",
    "quit",
    "register",
    "reload",
    "reloadconfig",
    "restart",
    "rm",
    "set",
    "signal",
    "snapshot",
    "start",
    "stats",
    "status",
    "stop",
    "verdict",
)

_imported: dict[str, Command] = {}


def names() -> list[str]:
    """Return the names of all commands, sorted."""
    # Not list(…): a submodule of that name becomes an attribute of this package when it is imported.
    return [*_NAMES]


def load() -> None:
    """Import every command, so that a daemon needs no file and no free descriptor to do what it is told."""
    for name in _NAMES:
        lookup(name)


def lookup(name: str) -> Command:
    """Return the command of that name, in any letter case. Raise ``UnknownCommand`` if there is none."""
    lower = name.lower()
    if lower not in _imported:
        if lower not in _NAMES:
            raise UnknownCommand(f"unknown command: {name!r}")
        _imported[lower] = import_module(f"circus.commands.{lower}").COMMAND
    return _imported[lower]
