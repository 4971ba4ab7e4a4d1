"""The streams of a watcher: how they are written, and what is wrong with one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from circus import kinds
from circus.exc import MessageError
from circus.hooks.references import ACCEPTED, is_file, is_path, path_fault

STREAMS = ("stdout_stream", "stderr_stream")

JOINED = "stdout"
"""The class of a ``stderr_stream`` that is one pipe with stdout."""

RUNNER = "plugin:streams"
"""The plugin that runs streams whose classes are not circusd's own."""


def complete_stream(options: dict[str, str]) -> dict[str, str]:
    """Give a stream that has only a file name its class."""
    if "filename" in options:
        options.setdefault("class", "FileStream")
    return options


def faults(stream: str, options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a stream that has any options: the full name of an option, and a sentence."""
    from circus.hooks.registry import registry

    if "class" not in options:
        accepted = f"{stream}.class = one of {', '.join(registry().streams)}, or a path"
        yield f"{stream}.{next(iter(options))}", f"the stream has no class; accepted: {accepted}"
        return
    name = options["class"]
    found = registry().find_stream(name)
    if found is None:
        fault = path_fault(name)
        if not is_path(name):
            fault = registry().missing("stream", name, registry().streams, ACCEPTED)
        if fault:
            yield f"{stream}.class", fault
        return
    fault = _misplaced(stream, name)
    if fault:
        yield f"{stream}.class", fault
        return
    declared = {option.name: option for option in found.spec.options}
    for option in declared.values():
        if option.required and not options.get(option.name):
            accepted = f"{stream}.{option.name} = {option.doc}"
            yield f"{stream}.class", f"{found.spec.name} needs {option.name}; accepted: {accepted}"
    for key, text in options.items():
        try:
            if key in declared:
                declared[key].read(text)
        except ValueError as error:
            yield f"{stream}.{key}", str(error)


def _misplaced(stream: str, name: str) -> str:
    """What is wrong with a registered class of this name for a stream; empty if nothing is."""
    if name != JOINED or stream == "stderr_stream":
        return ""
    return f"{JOINED} is for stderr_stream alone, which then goes where stdout does; accepted: {_others()}"


def for_programs(stream: str, options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a stream that did not come from a program; as :func:`faults` returns them."""
    module, _, name = options.get("class", "").replace(":", ".").rpartition(".")
    if name == "QueueStream" and (not module or f"{module}.".startswith("circus.stream.")):
        message = f"QueueStream is for programs that circusd is embedded in; accepted: {_others()}, or {ACCEPTED}"
        yield f"{stream}.class", message


def _others() -> str:
    from circus.hooks.registry import registry

    return ", ".join(other for other in registry().streams if other not in ("QueueStream", JOINED))


def unknown(stream: str, options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Options that the class of a stream, which is registered, does not declare; as :func:`faults` returns them."""
    name = options.get("class", "")
    declared = _declared(name)
    for key in options:
        if declared is not None and key not in ("class", *declared):
            accepted = f"accepted: {', '.join(declared) or 'none'}{kinds.nearest(key, declared)}"
            yield f"{stream}.{key}", f"{name} has no option {key!r}; {accepted}"


def changed_to(stream: str, value: object) -> dict[str, str]:
    """The options of a stream that a program sets as a whole. Raise ``MessageError`` for what is none."""
    if not isinstance(value, Mapping):
        raise MessageError(f"{stream!r} isn't a valid object")
    options = complete_stream({str(name): str(content) for name, content in value.items()})
    if "class" not in options:
        raise MessageError(f"{stream!r} must have a 'class' key")
    return options


def changed(options: Mapping[str, str], key: str, value: object) -> dict[str, str]:
    """The options of a stream with one changed. Those that another class does not know are left behind."""
    result = complete_stream({**options, key: str(value)})
    declared = _declared(result.get("class", "")) if key == "class" else None
    if declared is not None:
        result = {name: text for name, text in result.items() if name in ("class", *declared)}
    return result


def require_valid(stream: str, options: Mapping[str, str]) -> None:
    """Raise ``MessageError`` for what is wrong with a stream that came without a file."""
    for option, fault in faults(stream, options) if options else ():
        raise MessageError(f"{option!r}: {fault}")
    path = options.get("class", "")
    if is_file(path) and not os.path.isabs(path):
        accepted = "accepted: the whole path of the file"
        raise MessageError(f"'{stream}.class': {path!r} is relative to nothing; {accepted}")


def _declared(name: str) -> list[str] | None:
    """The options that a class declares; None if it is not registered."""
    from circus.hooks.registry import registry

    found = registry().find_stream(name)
    return [option.name for option in found.spec.options] if found is not None else None
