from __future__ import annotations

from circus.commands.base import ADMIN, NAME, WAITING, Command, Json, Property, accepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Rm(Command):
    """Stop a watcher and remove it

    The configuration file is not changed: what it has comes back when it is read again.
    """

    name = "rm"
    properties = (NAME, Property("nostop", "boolean", "let the processes live on", default=False), WAITING)
    role = ADMIN

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        watcher = arbiter.get_watcher(properties["name"])
        return accepted(arbiter.remove(watcher, nostop=properties["nostop"]), properties)


COMMAND = Rm()
