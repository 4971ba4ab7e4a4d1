"""The lines around the table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.text import Text

from circus.top.model import OWN, Link, Model
from circus.top.text import harmless, percent, size

if TYPE_CHECKING:
    from circus.events import Event
    from circus.top.rows import Row, View

_OWN_KEYS: Final = ("seq", "boot", "mono", "time", "output")
_GRAPH: Final = 24


def head(model: Model, view: View, *, read_only: bool) -> Text:
    """The first line: who is there, how much there is of what, and what is chosen of it."""
    running = sum(int(detail.get("running", 0)) for detail in model.watchers.values())
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("circus-top ", "bold")
    for name, link in (("circusd", model.daemon), ("stats", model.stats)):
        line.append(f" {name} ").append(*_state(link))
    if view.filter:
        line.append(f"  filter: {view.filter}", "bold yellow")
    if read_only:
        line.append("  read-only", "bold")
    line.append(f"  {len(model.watchers)} watchers, {running} processes")
    own = model.totals.get(OWN)
    if model.fresh(own, time.time()) and own is not None:
        line.append(f"  circusd {percent(own.cpu)}% {size(own.rss)}", "dim")
    return line


def _state(link: Link) -> tuple[str, str]:
    if link.up:
        return "up", "green"
    return ("gone", "bold red") if link.trouble else ("…", "yellow")


def trouble(model: Model) -> str:
    """What is wrong, and what to do about it; nothing if nothing is. Without circusd nobody asks for statistics."""
    return harmless(model.daemon.trouble or model.stats.trouble)


def chosen(row: Row | None, width: int) -> Text:
    """What there is to tell of the line with the cursor."""
    if row is None:
        return Text("nothing here yet")
    text = Text(no_wrap=True, overflow="ellipsis")
    graphs = min(_GRAPH, max(8, (width - 36) // 2))
    what = f"process {row.pid} of {row.watcher}" if row.pid else row.watcher
    text.append(harmless(what), "bold").append(f"  {row.state}").append(f"  {row.reason}\n", "italic")
    usage = row.usage
    text.append(f"CPU {percent(usage.cpu if usage else None):>6}% ").append(row.cpu_graph(graphs), "cyan")
    text.append(f"  MEM {size(usage.rss if usage else None):>8} ").append(row.mem_graph(graphs), "magenta")
    return text


def event_lines(model: Model, count: int, width: int) -> Text:
    """The latest events, the newest below."""
    lines = [event_line(event)[: max(10, width)] for event in list(model.events)[-count:]]
    return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")


def event_line(event: Event) -> str:
    """An event as a line: when, whose, what, and the keys that are its own."""
    details = " ".join(f"{key}={value}" for key, value in event.data.items() if key not in _OWN_KEYS)
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    return harmless(f"{clock} {event.watcher} {event.action} {details}").rstrip()
