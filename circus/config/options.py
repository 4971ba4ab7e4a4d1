"""What an option is: each field of the settings in ``schema`` carries one, and everything else is derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from circus import kinds

_tables: dict[type, dict[str, Option]] = {}


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the option table.

    ``type`` is a check of ConfigObj's configspec (see ``kinds``). ``default`` is typed. ``effect`` says what a change
    by ``set`` does after the value is stored: ``none`` (the number of processes is adjusted), ``reload`` (processes
    are replaced), ``stream`` or ``hook`` (that one is replaced). A family such as ``rlimit_NAME`` has a placeholder in
    upper case at the end of its ``name``, and its ``field`` is a mapping. ``names`` are its members, empty for any.
    """

    name: str
    field: str
    type: str
    default: Any
    doc: str
    effect: str = "none"
    names: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The type without its arguments: a key of ``kinds.READERS``."""
        return kinds.split_type(self.type)[0]

    @property
    def arguments(self) -> dict[str, str]:
        """The named arguments of the type, such as ``{"min": "0"}``."""
        return kinds.split_type(self.type)[2]

    @property
    def words(self) -> list[str]:
        """The other arguments of the type, such as ``["restart", "exit", "ignore"]``."""
        return kinds.split_type(self.type)[1]

    @property
    def prefix(self) -> str:
        """What the names of a family begin with (``rlimit_``), empty for a single option."""
        return self.name.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if self.name != self.field else ""


def option(default: Any, *, type: str, doc: str, effect: str = "none") -> Any:
    """A field of settings that is an option of the same name. A mapping as default is copied for each object."""
    metadata = {"option": (None, type, doc, effect, ())}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def family(name: str, *, type: str, doc: str, effect: str, names: tuple[str, ...] = ()) -> Any:
    """A field of settings that gathers the options of a family, such as ``rlimit_NAME``, in a mapping."""
    return field(default_factory=dict, metadata={"option": (name, type, doc, effect, names)})


def options_of(settings: type) -> dict[str, Option]:
    """The options of a class of settings by their names, in the order of its fields."""
    table = _tables.get(settings)
    if table is None:
        table = _tables[settings] = _options_of(settings)
    return table


def _options_of(settings: Any) -> dict[str, Option]:
    result = {}
    for item in fields(settings):
        row = item.metadata.get("option")
        if row:
            name, type, doc, effect, names = row
            default = item.default if item.default_factory is MISSING else item.default_factory()
            result[name or item.name] = Option(name or item.name, item.name, type, default, doc, effect, names)
    return result


def find(table: Mapping[str, Option], key: str) -> Option | None:
    """The option that ``key`` is, or the family whose form it has, with that member or without."""
    row = table.get(key)
    if row is not None and not row.prefix:
        return row
    for row in table.values():
        if row.prefix and key.startswith(row.prefix) and len(key) > len(row.prefix):
            return row
    return None
