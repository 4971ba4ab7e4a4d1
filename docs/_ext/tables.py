"""Directives that make the reference from the tables that the code itself works by, so that the two cannot differ."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import circus.commands
from circus import events, exc, kinds
from circus.commands.base import Command, Property
from circus.config.options import Option
from circus.config.schema import OPTIONS
from circus.config.unserved import NOT_YET_SERVED
from circus.hooks import OptionSpec

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SECTIONS = {"circus": "circus", "watcher": "watcher:NAME", "socket": "socket:NAME", "plugin": "plugin:NAME"}

KINDS = {
    "any": "text",
    "boolean": "yes or no",
    "endpoint": "ZeroMQ endpoint",
    "file_mode": "octal number",
    "hook": "dotted path or registered name",
    "log_address": "path, or ``HOST:PORT``",
    "memory": "percent of the machine's memory, or a size such as ``250M``",
    "multicast": "UDP multicast endpoint",
    "number": "number",
    "octal": "octal number",
    "optional": "text",
    "owner": "``user`` or ``user:group``",
    "regex": "regular expression",
    "rlimit": "integer",
    "signum": "signal",
    "user": "user",
    "user_name": "user",
}
EFFECTS = {
    "none": "",
    "reload": "replaces the processes",
    "stream": "replaces the stream",
    "hook": "replaces the hook",
}


def type_text(type: str) -> str:
    """What a value may be, in words."""
    kind, words, named = kinds.split_type(type)
    if kind == "keyword":
        return "one of " + ", ".join(f"``{word}``" for word in words if word)
    text = KINDS.get(kind, kind.replace("_", " "))
    low, high = named.get("min"), named.get("max")
    if low is not None and high is not None:
        return f"{text} from {low} to {high}"
    return text if low is None else f"{text}, at least {low}"


def default_text(option: Option | OptionSpec) -> str:
    """The default as it would stand in a file, empty when there is none."""
    value = option.default
    if value is None or value == "" or isinstance(value, dict):
        return ""
    if isinstance(value, kinds.Memory):
        return f"{value.amount:g}"
    if kinds.split_type(option.type)[0] == "signum":
        import signal

        return signal.Signals(value).name
    return f"{value:g}" if isinstance(value, float) else str(value)


def plain(text: str) -> str:
    """Text of a table, in which a star is a star; literals between double backquotes stay."""
    return re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", text)


def option_lines(section: str) -> Iterator[str]:
    for option in OPTIONS[section].values():
        default = default_text(option)
        yield f".. ini:: [{SECTIONS[section]}] {option.name}"
        yield ""
        yield f"   {plain(option.doc)}"
        yield ""
        yield f"   :Value: {type_text(option.type)}"
        if default:
            yield f"   :Default: ``{default}``"
        if EFFECTS[option.effect]:
            yield f"   :Change: {EFFECTS[option.effect]}"
        if today := NOT_YET_SERVED.get(section, {}).get(option.field):
            yield f"   :Today: no effect: {today}"
        if option.names:
            yield ""
            yield "   " + ", ".join(f"``{option.prefix}{name}``" for name in option.names)
        yield ""


def property_lines(properties: tuple[Property, ...]) -> Iterator[str]:
    yield "   .. list-table::"
    yield "      :header-rows: 1"
    yield "      :widths: 20 20 60"
    yield ""
    yield "      * - Property"
    yield "        - Type"
    yield "        - Meaning"
    for declared in properties:
        default = "" if declared.default is None else f" (default ``{str(declared.default).lower()}``)"
        yield f"      * - ``{declared.name}``{' (required)' if declared.required else ''}"
        yield f"        - {declared.kind}"
        yield f"        - {plain(declared.doc)}{default}"
    yield ""


def documentation(command: Command) -> list[str]:
    """The docstring as lines; its first one becomes a sentence."""
    summary, *rest = inspect.cleandoc(command.__doc__ or "").splitlines()
    return [summary.rstrip(".") + ".", *rest]


def command_lines() -> Iterator[str]:
    for command in map(circus.commands.lookup, circus.commands.BUILT_IN):
        yield f".. command:: {command.name}"
        yield ""
        yield from (f"   {line}" for line in documentation(command))
        yield ""
        yield f"   :Usage: ``circusctl {command.usage()}``"
        yield f"   :Role: {command.role}"
        if command.replies:
            yield f"   :Reply: {command.replies}"
        yield ""
        if command.properties:
            yield from property_lines(command.properties)


def _literals(keys: str) -> str:
    return ", ".join(f"``{key}``" for key in keys.split(", "))


def event_lines() -> Iterator[str]:
    for action, (keys, doc) in events.ACTIONS.items():
        yield f".. event:: {action}"
        yield ""
        yield f"   {doc}"
        if keys:
            yield ""
            always, _, sometimes = keys.partition("; ")
            yield f"   :Keys: {_literals(always)}" + (f"; in some cases {_literals(sometimes)}" if sometimes else "")
        yield ""


def error_lines() -> Iterator[str]:
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield "   :widths: 10 25 65"
    yield ""
    yield "   * - ``errno``"
    yield "     - Error"
    yield "     - Meaning"
    errors = [error for error in vars(exc).values() if isinstance(error, type) and issubclass(error, exc.CircusError)]
    for error in sorted(errors, key=lambda error: (error.errno, error.__name__)):
        yield f"   * - {error.errno}"
        yield f"     - ``{error.__name__}``"
        first = inspect.cleandoc(error.__doc__ or "").split("\n\n")[0]
        yield f"     - {' '.join(first.split())}"


class Generated(SphinxDirective):
    """Base of the directives: the lines that ``source`` gives are parsed as if they stood in the page."""

    has_content = False

    def source(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.source()))


class Options(Generated):
    required_arguments = 1

    def source(self) -> Iterator[str]:
        return option_lines(self.arguments[0])


class Commands(Generated):
    def source(self) -> Iterator[str]:
        return command_lines()


class Events(Generated):
    def source(self) -> Iterator[str]:
        return event_lines()


class Errors(Generated):
    def source(self) -> Iterator[str]:
        return error_lines()


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_object_type("ini", "ini", "pair: %s; option", objname="option")
    app.add_object_type("command", "command", "pair: %s; command", objname="command")
    app.add_object_type("event", "event", "pair: %s; event", objname="event")
    app.add_directive("circus-options", Options)
    app.add_directive("circus-commands", Commands)
    app.add_directive("circus-events", Events)
    app.add_directive("circus-errors", Errors)
    return {"parallel_read_safe": True}
