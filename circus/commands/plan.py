from __future__ import annotations

from circus.commands.base import Command, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Plan(Command):
    """Show what reloadconfig would do

    The configuration file is read and checked; nothing is changed. An error lists every fault of the file.
    """

    name = "plan"
    replies = (
        "steps (texts), restart_all, add, remove, replace, resize, reasons {watcher: what changed}, sockets_add, "
        "sockets_remove, sockets_change, sockets_adjust"
    )

    def execute(self, arbiter: Arbiter, properties: Json) -> Awaitable[Json]:
        return arbiter.plan_reload()

    def render(self, reply: Json) -> str:
        return "\n".join(reply["steps"])


COMMAND = Plan()
