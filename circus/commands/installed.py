"""The commands that distributions register. Only here is it known what a command has to be."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

from circus.commands.base import ADMIN, KINDS, OPERATOR, VIEWER, Command, Property
from circus.hooks.foreign import FAULTS, describe
from circus.hooks.registry import registry

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
_ROLES: Final = (VIEWER, OPERATOR, ADMIN)


def installed(taken: Collection[str]) -> dict[str, Command]:
    """Return the registered commands. One that can be none, or has a name of ``taken``, is rejected with its reason."""
    found = {}
    for name, registered in list(registry().commands.items()):
        try:
            found[name] = _command(name, registered.spec, taken)
        except FAULTS as error:
            reason = str(error) if isinstance(error, ValueError) else describe(error)
            registry().reject_command(name, reason)
    return found


def _command(name: str, kind: type, taken: Collection[str]) -> Command:
    if not issubclass(kind, Command):
        raise ValueError(f"{kind.__module__}.{kind.__qualname__} is not derived from circus.commands.base.Command")
    if name in taken:
        raise ValueError("circus has that name already")
    if not _NAME.fullmatch(name):
        raise ValueError("a name has lower-case letters, digits, _ and -")
    if kind.role not in _ROLES:
        raise ValueError(f"its role is {kind.role!r}; {', '.join(_ROLES)} are possible")
    for declared in (*kind.properties, *kind.cli_options):
        _check_property(declared)
    if not (kind.__doc__ or "").strip() or kind.__doc__ == Command.__doc__:
        raise ValueError("it has no docstring, whose first line is its help")
    return kind()


def _check_property(declared: Any) -> None:
    if not isinstance(declared, Property):
        raise ValueError(f"{declared!r:.80} among its properties is no Property")
    if declared.kind not in KINDS:
        raise ValueError(f"the kind of {declared.name} is {declared.kind!r}; {', '.join(KINDS)} are possible")
