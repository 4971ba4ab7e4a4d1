"""The plain table of ``circus-top --once``, for scripts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from circus.client import CircusClient
from circus.events import HELPERS, topic_name
from circus.exc import CallError
from circus.stats.client import StatsClient
from circus.top.model import Model
from circus.top.places import NO_STATS, NOBODY, OLD, UNRELATED, Places
from circus.top.rows import HEAD, View

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 1.0
"""Seconds to wait for a circusd that is not there."""
_LEFT = 2


def gather(places: Places, timeout: float) -> tuple[Model, list[str]]:
    """Look once, and return what was found, with remarks on what was not.

    The statistics get ``timeout`` seconds to tell of everything twice: the first CPU figure of a process is 0. Raise
    ``CallError`` if neither circusd nor circusd-stats is there.
    """
    model, remarks = Model(timeout), []
    stats = places.told({})[1]
    try:
        stats, old = _ask(model, places)
        remarks += old
    except CallError as error:
        absent = error.kind == "no-daemon" and places.ssh is None
        remarks.append(NOBODY.format(command=places.command_endpoint) if absent else str(error))
    with StatsClient(stats, places.ssh) as client:
        _listen(model, client, timeout)
    if not model.stats.up:
        remarks.append(NO_STATS.format(endpoint=stats))
    if not model.stats.up and not model.daemon.up:
        raise CallError("; ".join(remarks), "no-daemon")
    return model, remarks


def _ask(model: Model, places: Places) -> tuple[str, list[str]]:
    """Ask circusd how everything is, and where the statistics are; return that, and what it cannot tell."""
    with CircusClient(endpoint=places.command_endpoint, ssh_server=places.ssh, patience=_PATIENCE) as client:
        options = client.send_message("globaloptions").get("options", {})
        if not places.is_related(options):
            raise CallError(UNRELATED.format(command=places.command_endpoint))
        reply = client.send_message("status", detail=True)
        model.take_status(reply)
        model.daemon.hear(time.time())
    old = [] if "details" in reply else [OLD.format(command=places.command_endpoint)]
    return places.told(options)[1], old


def _listen(model: Model, client: StatsClient, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        message = client.receive(left)
        if message is not None:
            model.take_stats(*message, time.time())
        wanted = {topic_name(name) for name in model.watchers if name not in HELPERS} or {*model.totals}
        if wanted and all(name in model.totals and len(model.totals[name].cpus.values) > 1 for name in wanted):
            return


def table(model: Model) -> Iterator[str]:
    """Return the lines of the table: a head, then each watcher with its processes."""
    view = View()
    now = time.time()
    view.open = {row.watcher for row in view.rows(model, now)}
    lines = [HEAD, *(row.cells() for row in view.rows(model, now))]
    # The sign of an open watcher is for a screen.
    lines = [(line[0].removeprefix("▾ "), *line[1:]) for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    for line in lines:
        cells = zip(line, widths, range(len(HEAD)), strict=True)
        yield "  ".join(cell.ljust(width) if at < _LEFT else cell.rjust(width) for cell, width, at in cells).rstrip()
