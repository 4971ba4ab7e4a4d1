from __future__ import annotations

from circus.commands.base import Command, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class ListSockets(Command):
    """List the sockets that circusd holds for its processes"""

    name = "listsockets"
    replies = "sockets: [{fd (-1: circusd holds none), name, backlog, host and port or path}], ordered by fd"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        return {"sockets": sorted(arbiter.host.sockets(), key=lambda item: int(item["fd"]))}

    def render(self, reply: Json) -> str:
        return "\n".join(f"{item['fd']}:socket '{item['name']}' at {_address(item)}" for item in reply["sockets"])


def _address(item: Json) -> str:
    return str(item["path"]) if "path" in item else f"{item['host']}:{item['port']}"


COMMAND = ListSockets()
