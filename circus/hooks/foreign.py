"""Code of distributions, which may be broken: it is imported, looked through and asked here."""

from __future__ import annotations

import itertools
from importlib import import_module
from typing import Any, Final

import pluggy

from circus import kinds
from circus.hooks.specs import GROUP, Lifecycle, Registration

FAULTS: Final = (Exception, SystemExit, GeneratorExit)
"""What such code may raise without harm. A KeyboardInterrupt is of the person at the keyboard."""
_MOST: Final = 1000
"""Most objects that one implementation may return: who returns more returns them without end."""


def describe(error: BaseException) -> str:
    """Say in one line what was raised."""
    text = one_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(error).split())


def manager() -> pluggy.PluginManager:
    """Return a manager that knows the registration specs."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Registration)
    return manager


def imported(value: str) -> Any:
    """Import what an entry point names: ``module`` or ``module:object``."""
    module, _, names = value.partition(":")
    found: Any = import_module(module.strip())
    for name in filter(None, names.strip().split(".")):
        found = getattr(found, name)
    return found


def validate(plugin: object) -> None:
    """Raise ``PluginValidationError`` for implementations of hooks that do not exist, or with unknown arguments."""
    trial = manager()
    trial.register(plugin)
    callers = trial.get_hookcallers(plugin) or []
    if not callers:
        raise pluggy.PluginValidationError(plugin, "it implements no hook; mark each of its functions with @hookimpl")
    known = [name for name in dir(Registration) if name.startswith("circus_")]
    for caller in callers:
        if caller.has_spec() or all(implementation.optionalhook for implementation in caller.get_hookimpls()):
            continue
        text = f"there is no hook {caller.name}{kinds.nearest(caller.name, known)}"
        if hasattr(Lifecycle, caller.name):
            text = f"{caller.name} belongs to the class of a plugin, and not to what registers it"
        raise pluggy.PluginValidationError(plugin, text)


def items(results: list[Any]) -> list[Any]:
    """The objects that an implementation returned. Raise ``TypeError`` if that is no iterable of objects."""
    returned = results[0] if results else None
    if returned is None or isinstance(returned, (str, bytes, dict)):
        raise TypeError(f"it returned {shown(returned)}; an iterable of objects is needed, such as a list")
    items = list(itertools.islice(iter(returned), _MOST + 1))
    if len(items) > _MOST:
        raise TypeError(f"it returned more than {_MOST} objects")
    return items


def shown(item: object) -> str:
    """An object as an author writes it, cut off where it is long."""
    try:
        return f"{item!r:.80}"
    except FAULTS:
        return f"an object of the class {type(item).__name__}"
