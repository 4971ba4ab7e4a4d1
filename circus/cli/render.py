"""What people see where a script would get plain lines: a coloured table, and JSON that can be read."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from importlib import import_module
from shutil import get_terminal_size

from circus.commands import plugins
from circus.commands.explain import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.commands.base import Json

_GREEN, _YELLOW, _RED, _GREY, _BOLD = "32", "33", "31", "90", "1"
_COLOURS = {"active": _GREEN, "starting": _YELLOW, "stopping": _YELLOW, "stopped": _GREY, "-": _GREY}
_BAD = ("backoff", "degraded", "failed")
_HEAD = ("NAME", "STATE", "PROCESSES", "RESTARTS", "AGE", "PIDS", "REASON")
_SHOWN_PIDS = 4
_GAP = "  "


def as_json(reply: Json, *, prettify: bool) -> str:
    """Return a reply as JSON text; with ``prettify`` indented, sorted and, on a terminal with Pygments, coloured."""
    if not prettify:
        return json.dumps(reply)
    text = json.dumps(reply, indent=2, sort_keys=True)
    if not coloured():
        return text
    try:
        pygments, formatters, lexers = map(import_module, ("pygments", "pygments.formatters", "pygments.lexers"))
    except ImportError:
        return text
    return str(pygments.highlight(text, lexers.JsonLexer(), formatters.TerminalFormatter())).rstrip("\n")


def coloured() -> bool:
    """Say whether standard output is a terminal whose user has not asked for no colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def status_table(reply: Json, *, colour: bool | None = None, width: int | None = None) -> str:
    """Return the table of a ``status`` reply with details: a line for each watcher.

    Where a line has no room in ``width`` columns (those of the terminal), fewer process ids are shown, and the reason
    stands in a line of its own.
    """
    columns = get_terminal_size().columns if width is None else width
    now = reply.get("time") or time.time()
    details = sorted(reply["details"].items())
    for shown in range(_SHOWN_PIDS, 0, -1):
        rows = [_HEAD, *(_row(name, detail, now, shown) for name, detail in details)]
        if _width([row[:-1] for row in rows]) <= columns:
            break
    return _table(rows, columns, colour)


def plugins_table(reply: Json, *, colour: bool | None = None, width: int | None = None) -> str:
    """Return the table of a ``plugins`` reply, and what could not be registered.

    Where there is no room in ``width`` columns (those of the terminal), what a plugin does stands in a line of its own.
    """
    columns = get_terminal_size().columns if width is None else width
    rows = [plugins.HEAD, *map(plugins.cells, reply["plugins"])]
    return "\n".join([_table(rows, columns, colour), *plugins.problem_lines(reply)])


def _table(rows: list[tuple[str, ...]], columns: int, colour: bool | None) -> str:
    """Lay out rows, the first of which is the head; where the last cells have no room, each is put below its row."""
    paint = coloured() if colour is None else colour
    widths = _widths(rows)
    state = rows[0].index("STATE")
    remarks = any(row[-1] for row in rows[1:])
    beside = remarks and _width(rows) <= columns
    lines = []
    for number, row in enumerate(rows):
        shown_cells = row if beside else row[:-1]
        cells = [cell.ljust(size) for cell, size in zip(shown_cells, widths, strict=False)]
        if number:
            cells[state] = _painted(cells[state], _colour(row[state]), paint)
        line = _GAP.join(cells).rstrip()
        lines.append(line if number else _painted(line, _BOLD, paint))
        if number and not beside:
            size = max(columns - len(_GAP), 20)
            lines += [f"{_GAP}{part}" for part in textwrap.wrap(row[-1], size, break_on_hyphens=False)]
    return "\n".join(lines)


def _widths(rows: list[tuple[str, ...]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _width(rows: list[tuple[str, ...]]) -> int:
    """The width of the longest line of a table."""
    widths = _widths(rows)
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _row(name: str, detail: Json, now: float, shown_pids: int) -> tuple[str, ...]:
    processes = [process for process in detail.get("processes", ()) if process.get("pid")]
    pids = [str(process["pid"]) for process in processes]
    shown = " ".join(pids[:shown_pids]) + (f" +{len(pids) - shown_pids}" if len(pids) > shown_pids else "")
    since = [process["since"] for process in processes if process.get("since")]
    state = str(detail.get("state", ""))
    return (
        name,
        f"{state} ({detail['detail']})" if detail.get("detail") else state,
        f"{detail.get('running', len(pids))}/{detail.get('wanted', '?')}",
        str(detail.get("restarts", "")),
        duration(now - min(since)) if since else "-",
        shown or "-",
        " ".join(str(detail.get("reason") or "").split()),
    )


def _colour(state: str) -> str:
    if any(f"({bad})" in state for bad in _BAD):
        return _RED
    return _COLOURS.get(state.partition(" ")[0], _YELLOW)


def _painted(text: str, colour: str, paint: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if paint else text
