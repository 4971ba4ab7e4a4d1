from __future__ import annotations

from circus.commands.base import MATCH, OPERATOR, PATTERN, WAITING, Command, Json, Property, accepted
from circus.commands.selection import act
from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Stop(Command):
    """Stop watchers, one, those that match a pattern, or all

    A process is stopped when everything that it started is gone too; what outlives the graceful timeout gets SIGKILL.
    Watchers of low priority are stopped first, plugins last.
    """

    name = "stop"
    properties = (
        PATTERN,
        MATCH,
        Property("failure", "text", "the watcher that is named counts as failed for good, for this reason"),
        Property("reason", "text", "why the watcher that is named is stopped: explain tells it, and the event stop"),
        WAITING,
    )
    role = OPERATOR
    replies = "with waiting and one watcher: info (null)"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        failure, reason = properties["failure"] or "", properties["reason"] or ""
        if not failure and not reason:
            return act("stop", arbiter, properties)
        if properties["name"] is None:
            what = "have failed" if failure else "have a reason of its own"
            raise MessageError(f"message invalid 'name' is missing: only a watcher that is named can {what}")
        return accepted(arbiter.get_watcher(properties["name"]).stop(failure, reason), properties)


COMMAND = Stop()
