"""What a distribution declares: each object checks itself, so that a mistake shows where its author made it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from circus import kinds

_NAME: Final = re.compile(r"[A-Za-z_][\w-]*\Z")
_OPTION: Final = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*\Z")
_FACTORY: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """An option of a plugin or a stream, or, with its plugin's name before a dot, one that watchers may have.

    ``type`` is a kind of value with its limits, as in :mod:`circus.kinds`: ``text``, ``boolean``, ``integer(min=0)``,
    ``number(min=0)``, ``signum``, ``keyword(a, b)`` … ``default`` is typed, None for none. ``doc`` is one sentence.
    """

    name: str
    type: str = "text"
    default: Any = None
    doc: str = ""
    required: bool = False

    def __post_init__(self) -> None:
        _require(_OPTION.match(self.name), f"{self.name!r} is no name of an option; write words, with dots between")
        _require(
            self.type.partition("(")[0] in kinds.READERS,
            f"option {self.name}: {self.type!r} is no type{kinds.nearest(self.type, kinds.READERS)}; "
            f"accepted: {', '.join(kinds.READERS)}",
        )
        _require(self.doc.strip(), f"option {self.name}: doc is empty; say in one sentence what it means")

    def read(self, text: str) -> Any:
        """Return the typed value of a text. Raise ``ValueError`` with what is wrong and what is accepted."""
        return kinds.read(self.type, text)


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """A plugin: the name for ``[plugin:NAME]`` and ``use = NAME``, and ``module:attribute`` of what makes it.

    circusd never imports the factory, the plugin's own process does. ``options`` are those of its section that are
    checked; others reach the plugin as they are.
    """

    name: str
    factory: str
    options: tuple[OptionSpec, ...] = ()
    doc: str = ""

    def __post_init__(self) -> None:
        _check(self, "plugin", self.factory)
        _freeze_options(self)


@dataclass(frozen=True, slots=True)
class HookSpec:
    """A function for ``hooks.before_start = NAME`` or ``NAME(argument, key=value)``; ``function`` is its path."""

    name: str
    function: str
    doc: str = ""

    def __post_init__(self) -> None:
        _check(self, "hook", self.function)


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A class for ``stdout_stream.class = name``; ``factory`` is its ``module:attribute``."""

    name: str
    factory: str
    options: tuple[OptionSpec, ...] = ()
    doc: str = ""

    def __post_init__(self) -> None:
        _check(self, "stream", self.factory)
        _freeze_options(self)


def _check(spec: PluginSpec | HookSpec | StreamSpec, noun: str, path: str) -> None:
    _require(_NAME.match(spec.name), f"{spec.name!r} is no name of a {noun}; write letters, digits, _ and -")
    _require(_FACTORY.match(path), f"{noun} {spec.name}: {path!r} is no path; write it as package.module:attribute")
    _require(spec.doc.strip(), f"{noun} {spec.name}: doc is empty; say in one sentence what it does")


def _freeze_options(spec: PluginSpec | StreamSpec) -> None:
    object.__setattr__(spec, "options", tuple(spec.options))
    for option in spec.options:
        _require(isinstance(option, OptionSpec), f"{spec.name}: {option!r} is no OptionSpec")


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)
