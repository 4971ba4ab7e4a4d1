"""What people see where a script would get plain lines: a coloured table, and JSON that can be read."""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module

from circus.commands.explain import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.commands.base import Json

_GREEN, _YELLOW, _RED, _GREY, _BOLD = "32", "33", "31", "90", "1"
_COLOURS = {"active": _GREEN, "starting": _YELLOW, "stopping": _YELLOW, "stopped": _GREY}
_BAD = ("backoff", "degraded", "failed")
_HEAD = ("NAME", "STATE", "PROCESSES", "RESTARTS", "AGE", "PIDS", "REASON")
_SHOWN_PIDS = 4


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


def status_table(reply: Json, *, colour: bool | None = None) -> str:
    """Return the table of a ``status`` reply with details: a line for each watcher."""
    paint = coloured() if colour is None else colour
    now = reply.get("time") or time.time()
    rows = [_row(name, detail, now) for name, detail in sorted(reply["details"].items())]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    lines = [_painted(_line(_HEAD, widths), _BOLD, paint)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[1] = _painted(cells[1], _colour(row[1]), paint)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(name: str, detail: Json, now: float) -> tuple[str, ...]:
    processes = [process for process in detail.get("processes", ()) if process.get("pid")]
    pids = [str(process["pid"]) for process in processes]
    shown = " ".join(pids[:_SHOWN_PIDS]) + (f" +{len(pids) - _SHOWN_PIDS}" if len(pids) > _SHOWN_PIDS else "")
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


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _colour(state: str) -> str:
    if any(f"({bad})" in state for bad in _BAD):
        return _RED
    return _COLOURS.get(state.partition(" ")[0], _YELLOW)


def _painted(text: str, colour: str, paint: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if paint else text
