from __future__ import annotations

from circus.commands.base import MATCH, OPERATOR, PATTERN, WAITING, Command, Json
from circus.commands.selection import act

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Start(Command):
    """Start watchers, one, those that match a pattern, or all

    A start of an active watcher spawns the processes that it lacks. Several watchers are started in order of priority,
    highest first, without those that have ``autostart = False``; one that is named alone is started whatever it has.
    """

    name = "start"
    properties = (PATTERN, MATCH, WAITING)
    role = OPERATOR
    replies = "with waiting and one watcher: info {started, kept}"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        return act("start", arbiter, properties)


COMMAND = Start()
