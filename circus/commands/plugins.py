from __future__ import annotations

from typing import Any

from circus.commands.base import Command, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.hooks.registry import Registered
    from circus.kernel.arbiter import Arbiter
    from circus.kernel.watcher import Watcher

HEAD = ("NAME", "KIND", "STATE", "SEQ", "LAG", "RESTARTS", "DISTRIBUTION", "WHAT IT DOES")
_GAP = "  "


class Plugins(Command):
    """Show what is installed, and how far each running plugin is behind the events

    Each plugin, function for hooks, stream and command that a distribution registers, and the plugins that run without
    being registered. ``seq`` is the number of the last event that a plugin has finished, ``lag`` how many have come
    since. ``problems`` has what could not be registered, and whose it is.
    """

    name = "plugins"
    replies = "plugins: [{name, kind, distribution, version, doc, state, seq, lag, restarts}], problems (list of texts)"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        from circus.commands import problems
        from circus.hooks.registry import registry

        found = registry()
        watchers = {w.name.removeprefix("plugin:"): w for w in arbiter.watchers.values() if w.settings.is_plugin}
        rows = [
            {**_row("plugin", name, _registered(watchers.get(name), name)), **_running(arbiter, watchers.get(name))}
            for name in sorted({*found.plugins, *watchers})
        ]
        rows += [_row("hook", name, one) for name, one in sorted(found.hooks.items())]
        rows += [_row("stream", name, one) for name, one in sorted(found.streams.items())]
        rows += [_row("command", name, one) for name, one in sorted(found.commands.items())]
        return {"plugins": rows, "problems": problems()}

    def render(self, reply: Json) -> str:
        rows = [HEAD, *(cells(row) for row in reply["plugins"])]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *problem_lines(reply)])


def _registered(watcher: Watcher | None, name: str) -> Registered[Any] | None:
    """What a plugin's watcher runs, if that is registered; without a watcher what has the name."""
    import json

    from circus.hooks.registry import registry

    briefing = watcher.settings.briefing if watcher is not None else ""
    return registry().find_plugin(json.loads(briefing)["factory"] if briefing else name)


def _row(kind: str, name: str, registered: Registered[Any] | None) -> Json:
    doc = ""
    if registered is not None:
        doc = registered.spec.__doc__.strip().partition("\n")[0] if kind == "command" else registered.spec.doc
    return {
        "name": name,
        "kind": kind,
        "distribution": registered.distribution if registered is not None else None,
        "version": registered.version if registered is not None else None,
        "doc": doc,
        **dict.fromkeys(("state", "seq", "lag", "restarts")),
    }


def _running(arbiter: Arbiter, watcher: Watcher | None) -> Json:
    if watcher is None:
        return {}
    seq = arbiter.host.progress(watcher.name)
    lag = None if seq is None else arbiter.journal.seq - seq
    return {"state": watcher.status(), "seq": seq, "lag": lag, "restarts": watcher.restarts}


def problem_lines(reply: Json) -> list[str]:
    """Return a line for each thing that could not be registered."""
    return [f"problem: {problem}" for problem in reply["problems"]]


def cells(row: Json) -> tuple[str, ...]:
    """Return the texts of a row, as under :data:`HEAD`."""
    numbers = ["-" if row.get(key) is None else str(row[key]) for key in ("state", "seq", "lag", "restarts")]
    origin = f"{row.get('distribution')} {row.get('version')}" if row.get("distribution") else "-"
    return (str(row.get("name")), str(row.get("kind")), *numbers, origin, " ".join(str(row.get("doc") or "").split()))


COMMAND = Plugins()
