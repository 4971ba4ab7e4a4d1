from __future__ import annotations

from circus.commands.base import MATCH, OPERATOR, PATTERN, WAITING, Command, Json, Property, accepted
from circus.commands.selection import act
from circus.exc import CircusError, MessageError

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
    properties = (
        PATTERN,
        MATCH,
        Property("after", "text", "only if the watcher is still down for this reason, given by a stop", cli=False),
        Property("reason", "text", "why the watcher that is named is started: the event start tells it", cli=False),
        WAITING,
    )
    role = OPERATOR
    replies = "with waiting and one watcher: info {started, kept}"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        after, reason = properties["after"], properties["reason"] or ""
        if after is None and not reason:
            return act("start", arbiter, properties)
        if properties["name"] is None:
            raise MessageError("message invalid 'name' is missing: a reason is that of a watcher that is named")
        watcher = arbiter.get_watcher(properties["name"])
        if after is not None and (watcher.up or watcher.goal.reason != after):
            raise CircusError(f"{watcher.name} is not stopped for that reason any more: somebody has decided otherwise")
        return accepted(watcher.start(reason), properties)


COMMAND = Start()
