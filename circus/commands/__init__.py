"""The commands that a daemon understands, one a module, and those that distributions register.

A command's module is imported when it is first asked for, and what is installed is looked through when somebody asks
for a command that does not come with Circus, or for all of them.
"""

from __future__ import annotations

from importlib import import_module

from circus.exc import UnknownCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.commands.base import Command

BUILT_IN = (
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
    "logs",
    "notify",
    "numprocesses",
    "numwatchers",
    "options",
    "plan",
    "plugins",
    "quit",
    "register",
    "reload",
    "reloadconfig",
    "reopenlogs",
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

LOCAL = ("completion", "help")
"""Words that circusctl itself knows beside the commands of the protocol."""

_imported: dict[str, Command] = {}
_installed: dict[str, Command] | None = None


def names() -> list[str]:
    """Return the names of all commands, sorted."""
    return sorted((*BUILT_IN, *_of_distributions()))


def load() -> None:
    """Import every command, so that a daemon needs no file and no free descriptor to do what it is told."""
    for name in BUILT_IN:
        lookup(name)


def lookup(name: str) -> Command:
    """Return the command of that name, in any letter case. Raise ``UnknownCommand`` if there is none."""
    lower = name.lower()
    if lower not in _imported:
        if lower not in BUILT_IN:
            return _of_distribution(lower, name)
        _imported[lower] = import_module(f"circus.commands.{lower}").COMMAND
    return _imported[lower]


def origin(name: str) -> str:
    """Return the distribution that a command comes from and its version; empty for one that comes with Circus."""
    if name in BUILT_IN or name not in _of_distributions():
        return ""
    from circus.hooks.registry import registry

    return registry().commands[name].origin


def problems() -> list[str]:
    """Return one line for each distribution, or object of one, that was left out, commands included."""
    _of_distributions()
    from circus.hooks.registry import registry

    return registry().problems


def _of_distribution(lower: str, name: str) -> Command:
    found = _of_distributions().get(lower)
    if found is None:
        raise UnknownCommand(f"unknown command: {name!r}")
    return found


def _of_distributions() -> dict[str, Command]:
    global _installed
    if _installed is None:
        from circus.commands.installed import installed

        _installed = installed((*BUILT_IN, *LOCAL))
    return _installed
