"""What a distribution declares: each object checks itself, so that a mistake shows where its author made it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
        if self.type.partition("(")[0] not in kinds.READERS:
            accepted = f"accepted: {', '.join(kinds.READERS)}{kinds.nearest(self.type, kinds.READERS)}"
            raise ValueError(f"option {self.name}: {self.type!r} is no type; {accepted}")
        _require(self.doc.strip(), f"option {self.name}: doc is empty; say in one sentence what it means")

    def read(self, text: str) -> Any:
        """Return the typed value of a text. Raise ``ValueError`` with what is wrong and what is accepted."""
        return kinds.read(self.type, text)


def read_options(options: Iterable[OptionSpec], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return each of ``options`` by its name: the typed value of its text, else its default.

    Raise ``ValueError`` for a text of the wrong type, or a required option that is missing.
    """
    values = {}
    for option in options:
        if option.name in texts:
            try:
                values[option.name] = option.read(texts[option.name])
            except ValueError as error:
                raise ValueError(f"{option.name}: {error}") from None
        elif option.required:
            raise ValueError(f"{option.name} is missing: {option.doc}")
        else:
            values[option.name] = option.default
    return values


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """A plugin: the name for ``[plugin:NAME]`` and ``use = NAME``, and ``module:attribute`` of what makes it.

    circusd never imports the factory, the plugin's own process does. ``options`` are those of its section that are
    checked; others reach the plugin as they are. ``aliases`` are dotted paths of earlier days that mean it too.
    """

    name: str
    factory: str
    options: tuple[OptionSpec, ...] = ()
    doc: str = ""
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self, "plugin", self.factory)
        _freeze_options(self)

    def read(self, config: Mapping[str, str]) -> dict[str, Any]:
        """Return the typed value of each option of a plugin's ``config``, see :func:`read_options`."""
        return read_options(self.options, config)


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
    """A class for ``stdout_stream.class = name``; ``factory`` is its ``module:attribute``.

    circusd never imports the factory of another distribution; the process that runs streams does. ``options`` are those
    that are checked, and reach its constructor typed; others reach it as texts. The object is called with ``{"pid",
    "name", "data", "timestamp"}``, and may have ``open()``, ``reopen()`` and ``close()``.
    """

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
