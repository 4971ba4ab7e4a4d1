from __future__ import annotations

from circus.commands.base import ANY_NAME, Command, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class NumProcesses(Command):
    """Count the processes that run, of one watcher or of all"""

    name = "numprocesses"
    properties = (ANY_NAME,)
    replies = "numprocesses; with name also watcher_name"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        name = properties["name"]
        if name is None:
            return {"numprocesses": sum(len(watcher.pids()) for watcher in arbiter.watchers.values())}
        return {"numprocesses": len(arbiter.get_watcher(name).pids()), "watcher_name": name}

    def render(self, reply: Json) -> str:
        return str(reply["numprocesses"])


COMMAND = NumProcesses()
