"""From the text of ini files to one ConfigObj that holds every section as text, includes merged.

Existing files follow rules that ConfigObj does not share: ``;`` begins a comment, ``#`` within a value does not,
values go on in indented lines, options and sections may be repeated. ``normalise`` writes such a text in ConfigObj's
own terms.
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field

from configobj import ConfigObj

from circus.config.faults import Place, Report
from circus.config.variables import environment_lookup, expand

_SECTION = re.compile(r"\[([^\]]*)\]")
_OPTION = re.compile(r"([^:=\s][^:=]*?)\s*[:=]\s*(.*)$", re.DOTALL)
_QUOTED = re.compile(r"['\"#\n]")


@dataclass(slots=True)
class Document:
    """The text of a file and all that it includes.

    ``places`` has the line of each (section, option), and that of the section itself as (section, "").
    """

    path: str
    text: ConfigObj
    places: dict[tuple[str, str], Place] = field(default_factory=dict)

    def place(self, section: str, option: str = "") -> Place:
        return self.places.get((section, option)) or self.places.get((section, "")) or Place(self.path, 0)


def read(path: str, report: Report) -> Document:
    """Read ``path`` and the files it includes. What was set first stays, so the main file wins over included ones."""
    document = Document(path, _parse([]))
    _include(path, document, report, ())
    return document


def normalise(text: str, file: str, report: Report) -> tuple[list[str], dict[tuple[str, str], Place]]:
    """The lines of ``text`` for ConfigObj, what was repeated merged, and the place of each option and section."""
    sections, places = _Scanner(file, report).scan(text)
    lines = []
    for section, options in sections.items():
        lines.append(f"[{quote_name(section)}]")
        for option, parts in options.items():
            value = "\n".join(parts)
            if "'''" in value and '"""' in value:
                report.fault(
                    places[section, option], section, option, "both ''' and \"\"\" in a value; accepted: one of them"
                )
                continue
            lines += f"{quote_name(option)} = {_quote(value)}".split("\n")
    return lines, places


class _Scanner:
    """Splits a text into sections, options and the lines of their values, as existing files are meant."""

    def __init__(self, file: str, report: Report) -> None:
        self.file = file
        self.report = report
        self.sections: dict[str, dict[str, list[str]]] = {}
        self.places: dict[tuple[str, str], Place] = {}
        self.section: str | None = None
        # Where continuation lines go; None at the start and below a line that is at fault.
        self.value: list[str] | None = None

    def scan(self, text: str) -> tuple[dict[str, dict[str, list[str]]], dict[tuple[str, str], Place]]:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip() or line[0] in "#;" or line.split(None, 1)[0].lower() == "rem":
                continue
            place = Place(self.file, number)
            if line[0].isspace() and self.value is not None:
                self.value.append(line.strip())
            elif line[0] == "[":
                self._begin_section(line, place)
            else:
                self._begin_option(line, place)
        return self.sections, self.places

    def _begin_section(self, line: str, place: Place) -> None:
        match = _SECTION.match(line)
        kind, colon, name = match[1].partition(":") if match else ("", "", "")
        name = kind.strip() + colon + name.strip()
        self.value = self.section = None
        if not name or not _quotable(name):
            self.report.fault(
                place, "", "", f"{line.strip()!r} is not a section; accepted: [circus], [watcher:NAME] and the like"
            )
            # What follows belongs to it, and is no fault of its own.
            self.section = ""
            return
        self.section = name
        self.sections.setdefault(name, {})
        self.places.setdefault((name, ""), place)

    def _begin_option(self, line: str, place: Place) -> None:
        match = _OPTION.match(line)
        self.value = []
        if self.section == "":
            return
        if not match or not _quotable(match[1]):
            message = f"{line.strip()!r} is not an option; accepted: KEY = VALUE, or an indented line below one"
            self.report.fault(place, self.section or "", "", message)
        elif self.section is None:
            self.report.fault(
                place, "", match[1], "an option before the first section; accepted: a section such as [circus] above it"
            )
        else:
            self.value.append(_value(match[2]))
            self.sections[self.section].setdefault(match[1], self.value)
            self.places.setdefault((self.section, match[1]), place)


def _value(text: str) -> str:
    # Only the first semicolon can begin a comment: `sh -c "a;b ; c"` has always been read whole.
    position = text.find(";")
    if position > 0 and text[position - 1].isspace():
        text = text[:position]
    text = text.strip()
    return "" if text == '""' else text


def _quotable(name: str) -> bool:
    return not ('"' in name and "'" in name)


def quote_name(name: str) -> str:
    """The name of a section or option as ConfigObj reads it, whatever characters it has but both kinds of quotes."""
    return f"'{name}'" if '"' in name else f'"{name}"'


def _quote(value: str) -> str:
    if not _QUOTED.search(value):
        return value
    return f'"""{value}"""' if "'''" in value else f"'''{value}'''"


def _parse(lines: list[str]) -> ConfigObj:
    return ConfigObj(lines, list_values=False, interpolation=False)


def _include(path: str, document: Document, report: Report, chain: tuple[str, ...]) -> None:
    """Merge ``path`` and what it includes into ``document``. ``chain`` are the files that led here."""
    report.files.append(path)
    text = _read_text(path, report)
    if text is None:
        return
    lines, places = normalise(text, path, report)
    content = _parse(lines)
    for section in content.sections:
        target = document.text.setdefault(section, {})
        document.places.setdefault((section, ""), places[section, ""])
        for option, value in content[section].items():
            if option not in target:
                target[option] = value
                document.places[section, option] = places[section, option]
    chain += (os.path.realpath(path),)
    circus = content.get("circus", {})
    for option in ("include", "include_dir"):
        value = expand(circus.get(option, ""), environment_lookup(document.text.get("env", {}), os.environ))
        for pattern in value.split():
            _include_pattern(pattern, option, path, places["circus", option], document, report, chain)


def _include_pattern(
    pattern: str, option: str, path: str, place: Place, document: Document, report: Report, chain: tuple[str, ...]
) -> None:
    full = os.path.join(os.path.dirname(path), os.path.expanduser(pattern))
    found = sorted(glob.glob(os.path.join(full, "*.ini") if option == "include_dir" else full))
    if not found:
        report.warn(
            place,
            "circus",
            option,
            f"{pattern!r} matches no file; accepted: globs relative to {os.path.dirname(path) or '.'}",
        )
    for file in found:
        if os.path.realpath(file) in chain:
            report.fault(place, "circus", option, f"{file} includes itself; accepted: files that do not lead back here")
        elif file not in report.files:
            _include(file, document, report, chain)


def _read_text(path: str, report: Report) -> str | None:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except OSError as error:
        report.fault(
            Place(path, 0), "", "", f"cannot be read: {error.strerror}; accepted: a file that circusd's user may read"
        )
    except UnicodeDecodeError as error:
        report.fault(
            Place(path, 0), "", "", f"is not text: byte {error.start} is not UTF-8; accepted: a text file in UTF-8"
        )
    return None
