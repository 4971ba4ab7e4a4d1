from __future__ import annotations

from typing import Any

from circus.commands.base import Command, Json
from circus.commands.explanation import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter
    from circus.kernel.watcher import Watcher


class Snapshot(Command):
    """Show how everything is, and which event is the last that this takes into account

    Who follows the events begins here: whatever happens afterwards has a larger number than ``seq``.
    """

    name = "snapshot"
    replies = (
        "boot, seq, watchers: {name: {state, detail, reason, numprocesses, autostart, "
        "processes: [{pid, wid, state, started}]}}"
    )

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        watchers = {watcher.name: _picture(watcher) for watcher in arbiter.watchers.values()}
        return {"boot": arbiter.journal.boot, "seq": arbiter.journal.seq, "watchers": watchers}

    def render(self, reply: Json) -> str:
        import json

        return json.dumps({key: reply[key] for key in ("boot", "seq", "watchers")}, indent=2)


def _picture(watcher: Watcher) -> Json:
    explained = explain(watcher)
    picture: dict[str, Any] = {key: explained[key] for key in ("state", "detail", "reason")}
    picture["numprocesses"] = watcher.count
    picture["autostart"] = watcher.settings.autostart
    picture["processes"] = [
        {"pid": process.pid, "wid": process.wid, "state": process.state, "started": process.started_at}
        for process in watcher.processes.values()
    ]
    return picture


COMMAND = Snapshot()
