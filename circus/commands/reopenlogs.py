from __future__ import annotations

from circus.commands.base import ANY_NAME, OPERATOR, Command, Json
from circus.exc import CommandFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class ReopenLogs(Command):
    """Open log files again, after they have been moved away

    For logrotate and its like. What was read before is in the old file by the time of the reply, what comes later in
    the new one, and nothing is lost in between. Without a name it is the files of all streams, and circusd's own log.
    SIGHUP and a ``reload`` of everything do the same.
    """

    name = "reopenlogs"
    properties = (ANY_NAME,)
    role = OPERATOR

    async def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        watcher = arbiter.get_watcher(properties["name"]).name if properties["name"] is not None else None
        failures = await arbiter.host.reopen(watcher)
        if failures:
            raise CommandFailed("not reopened, so that the old file is written on: " + "; ".join(failures))
        return {}


COMMAND = ReopenLogs()
