from __future__ import annotations

from circus.commands.base import MATCH, OPERATOR, PATTERN, WAITING, Command, Json
from circus.commands.selection import act

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Restart(Command):
    """Restart watchers, one, those that match a pattern, or all

    Without a name, everything is stopped, the configuration file is read again, and everything that it has is started.
    """

    name = "restart"
    properties = (PATTERN, MATCH, WAITING)
    role = OPERATOR
    replies = "with waiting and one watcher: info {stopped, started, kept}"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        return act("restart", arbiter, properties)


COMMAND = Restart()
