from __future__ import annotations

from circus.commands.base import ANY_NAME, Command, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class List(Command):
    """List the watchers, or the processes of one"""

    name = "list"
    properties = (ANY_NAME,)
    replies = "watchers (names in lower case, sorted), or pids (in order of spawning)"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        if properties["name"] is None:
            return {"watchers": sorted(arbiter.watchers)}
        return {"pids": arbiter.get_watcher(properties["name"]).pids()}

    def render(self, reply: Json) -> str:
        return ",".join(map(str, reply["pids"] if "pids" in reply else reply["watchers"]))


COMMAND = List()
