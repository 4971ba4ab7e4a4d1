from __future__ import annotations

from circus.commands.base import MATCH, OPERATOR, PATTERN, WAITING, Command, Json
from circus.commands.selection import act

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Stop(Command):
    """Stop watchers, one, those that match a pattern, or all

    A process is stopped when everything that it started is gone too; what outlives the graceful timeout gets SIGKILL.
    Watchers of low priority are stopped first.
    """

    name = "stop"
    properties = (PATTERN, MATCH, WAITING)
    role = OPERATOR
    replies = "with waiting and one watcher: info (null)"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        return act("stop", arbiter, properties)


COMMAND = Stop()
