"""What is wrong with a configuration, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from circus.config.ini import Document


class Place(NamedTuple):
    """A line of a file; line 0 is the file as a whole."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault or warning. Its text is ``FILE:LINE: [section] option: message`` without what does not apply."""

    file: str
    line: int
    section: str
    option: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        section = f" [{self.section}]" if self.section else ""
        option = f" {self.option}:" if self.option else ":" if section else ""
        return f"{place}:{section}{option} {self.message}"


@dataclass(slots=True)
class Report:
    """Gathers the faults and warnings of a configuration, and the order of its files."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def fault(self, place: Place, section: str, option: str, message: str) -> None:
        self.faults.append(Fault(place.file, place.line, section, option, message))

    def warn(self, place: Place, section: str, option: str, message: str) -> None:
        self.warnings.append(Fault(place.file, place.line, section, option, message))

    def close(self, strict: bool) -> None:
        """Order everything as in the files. With ``strict`` warnings are faults."""
        if strict:
            self.faults += self.warnings
            self.warnings = []
        order = {file: position for position, file in enumerate(self.files)}
        for found in (self.faults, self.warnings):
            found.sort(key=lambda fault: (order.get(fault.file, len(order)), fault.line))


class Subject(NamedTuple):
    """A section, and where to say what is wrong with it."""

    section: str
    document: Document
    report: Report

    def place(self, option: str = "") -> Place:
        return self.document.place(self.section, option)

    def fault(self, option: str, message: str) -> None:
        self.report.fault(self.place(option), self.section, option, message)

    def warn(self, option: str, message: str) -> None:
        self.report.warn(self.place(option), self.section, option, message)
