"""The sections of a document: what each is, what its options are, and their texts turned into typed values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from configobj import ConfigObj, flatten_errors
from configobj.validate import ValidateError, Validator

from circus import kinds
from circus.config.faults import Report
from circus.config.ini import Document, quote_name
from circus.config.installed import near_watcher_option, plugin_options
from circus.config.options import Option, find
from circus.config.schema import OPTIONS, WATCHER

_NAMED = ("watcher", "socket", "plugin", "env")
_SECTIONS = ("circus", *_NAMED)

# The environment of a watcher is written in sections of its own.
WATCHER_OPTIONS = {name: row for name, row in WATCHER.items() if name != "env"}
# A plugin's process runs the plugin, whatever options with these names its section has: they are the plugin's.
_WHAT_IS_RUN = ("cmd", "args", "executable", "shell", "shell_args")
PLUGIN_OPTIONS = {name: row for name, row in WATCHER_OPTIONS.items() if name not in _WHAT_IS_RUN}
TABLES: dict[str, dict[str, Option]] = {
    **OPTIONS,
    "watcher": WATCHER_OPTIONS,
    "plugin": {**PLUGIN_OPTIONS, **OPTIONS["plugin"]},
}


def split_section(section: str) -> tuple[str, str] | None:
    """The kind and the name of a section, ``("watcher", "web")``; None if there are no such sections."""
    kind, _, name = section.partition(":")
    if (kind in _NAMED and name) or section in ("circus", "env"):
        return kind, name
    return None


def describe_unknown_section(section: str) -> str:
    """What is wrong with a section that ``split_section`` does not know."""
    kind, _, name = section.partition(":")
    if kind in _NAMED and not name:
        return f"the section has no name and is skipped; accepted: [{kind}:NAME]"
    close = kinds.closest(kind, _SECTIONS, 3)
    suggestion = close if close in (None, "circus") else f"{close}:{name or 'NAME'}"
    hint = f"; did you mean [{suggestion}]?" if suggestion else ""
    accepted = "[circus], [watcher:NAME], [socket:NAME], [plugin:NAME], [env] and [env:PATTERN]"
    return f"unknown section, skipped; accepted: {accepted}{hint}"


def typed_sections(
    texts: Mapping[str, Mapping[str, str]], document: Document, report: Report
) -> dict[str, dict[str, Any]]:
    """Type the options of each section; one at fault is reported and left out, an unknown one stays a text."""
    values = ConfigObj({section: dict(options) for section, options in texts.items()}, interpolation=False)
    spec = []
    for section, options in texts.items():
        split = split_section(section)
        assert split is not None
        others = plugin_options(section, options)
        spec += [f"[{quote_name(section)}]", *configspec(split[0], [name for name in options if name not in others])]
    values.configspec = ConfigObj(spec, interpolation=False, list_values=False, _inspec=True)
    outcome = values.validate(_validator(), preserve_errors=True)
    for (section,), option, error in flatten_errors(values, outcome):
        report.fault(document.place(section, option), section, option, str(error))
        del values[section][option]
    for section in texts:
        _report_unknown(section, values[section], document, report)
    return {section: dict(values[section]) for section in texts}


def configspec(kind: str, options: Iterable[str]) -> list[str]:
    """The lines of a ConfigObj configspec that type those of ``options`` that sections of this kind know."""
    table = TABLES[kind]
    return [f"{quote_name(option)} = {row.type}" for option in options if (row := find(table, option)) is not None]


def _report_unknown(section: str, options: dict[str, Any], document: Document, report: Report) -> None:
    """Options that are unknown to the table: members of families are faults and are removed, others may be misspelt."""
    kind = section.partition(":")[0]
    table = TABLES[kind]
    for option in tuple(options):
        place = document.place(section, option)
        row = find(table, option)
        if row is None:
            message = _unknown_option(kind, option)
            if message:
                report.warn(place, section, option, message)
        elif row.prefix and row.names and (member := option[len(row.prefix) :].lower()) not in row.names:
            hint = kinds.nearest(member, row.names)
            noun = row.prefix.rstrip("._").removesuffix("s")
            report.fault(
                place, section, option, f"there is no {noun} {member!r}; accepted: {', '.join(row.names)}{hint}"
            )
            del options[option]


@cache
def _unknown_option(kind: str, option: str) -> str | None:
    close = kinds.closest(option, TABLES[kind], 2)
    hint = f"; did you mean {close}?" if close else ""
    if kind in ("circus", "socket"):
        return f"unknown option, ignored{hint or '; accepted: ' + ', '.join(TABLES[kind])}"
    # Other options are for plugins to read, which mark them as theirs with a dot; a plugin's own section has its own.
    prefix, dot, member = option.partition(".")
    if kind == "watcher" and dot:
        close = kinds.closest(prefix, ("hooks", "stdout_stream", "stderr_stream"), 2)
        hint = f"; did you mean {close}.{member}?"
        if close is None:
            close = near_watcher_option(option)
            hint = f"; did you mean {close}?"
    return f"unknown option, kept for plugins{hint}" if kind == "watcher" and close else None


@cache
def _validator() -> Validator:
    return Validator({name: _check(reader) for name, reader in kinds.READERS.items()})


def _check(reader: Callable[..., object]) -> Callable[..., object]:
    def check(value: str, *arguments: str, **named: str) -> object:
        try:
            return reader(value, *arguments, **named)
        except ValueError as error:
            raise ValidateError(str(error)) from None

    return check
