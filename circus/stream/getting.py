"""From options to a stream."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from circus.config.streams import complete_stream
from circus.exc import CircusError
from circus.hooks.references import ACCEPTED, is_path
from circus.hooks.registry import registry
from circus.stream.base import Stream


def make(options: Mapping[str, Any]) -> Stream:
    """Make a registered stream of its ``class`` and the options that it knows: texts, as in a file, or typed values.

    Nothing is opened. Raise ``ValueError`` for a class that is not there and for wrong options.
    """
    name = options["class"]
    found = registry().find_stream(name)
    if found is None:
        raise ValueError(registry().missing("stream", name, registry().streams, ACCEPTED))
    values = {}
    for option in found.spec.options:
        value = options.get(option.name)
        if value is not None and value != "":
            values[option.name] = _read(option.name, option.read, value)
        elif option.required:
            raise ValueError(f"{name} needs {option.name}: {option.doc}")
    stream: Stream = resolve_name(found.spec.factory)(**values)
    return stream


def _read(name: str, read: Any, value: object) -> object:
    try:
        return read(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def get_stream(conf: Mapping[str, Any] | None, reload: bool = False) -> Any:
    """Return the stream of a program's ``conf``: what is to be called with ``{"pid", "name", "data"}``.

    That is the object under ``stream``, or one of the ``class`` that a registered name or a dotted path means, made
    with the other options; with a ``filename`` alone a ``FileStream``. None for an empty ``conf``. ``reload`` has no
    effect. Raise ``ValueError`` for a ``conf`` that is none of this, ``CircusError`` for a class that is not there.
    """
    if not conf or "stream" in conf:
        return conf["stream"] if conf else None
    options = complete_stream(dict(conf))
    if "class" not in options:
        raise ValueError("stream configuration invalid: it has neither a class nor a filename nor a stream")
    name = options["class"]
    if registry().find_stream(name) is not None:
        return make(options)
    if not is_path(name):
        raise CircusError(registry().missing("stream", name, registry().streams, ACCEPTED))
    try:
        factory = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CircusError(f"the stream {name!r} cannot be imported: {type(error).__name__}: {error}") from None
    del options["class"]
    return factory(**options)
