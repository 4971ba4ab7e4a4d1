from __future__ import annotations

from circus.commands.base import Command, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class NumWatchers(Command):
    """Count the watchers

    Plugins count: each runs under a watcher of its own.
    """

    name = "numwatchers"
    replies = "numwatchers"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        return {"numwatchers": len(arbiter.watchers)}

    def render(self, reply: Json) -> str:
        return str(reply["numwatchers"])


COMMAND = NumWatchers()
