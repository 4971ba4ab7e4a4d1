from __future__ import annotations

from circus.commands.base import ANY_NAME, OPERATOR, WAITING, Command, Json, Property, accepted
from circus.exc import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Reload(Command):
    """Replace the processes of a watcher, or of all, without a gap

    New processes come up first, then the old ones are stopped; with ``sequential`` one after the other is replaced. A
    watcher with ``send_hup`` gets SIGHUP instead. A stopped watcher is started. Without a name, log files are opened
    again too.
    """

    name = "reload"
    properties = (
        ANY_NAME,
        Property("graceful", "boolean", "false: a restart instead", default=True, cli=False),
        Property("sequential", "boolean", "replace one process after the other", default=False),
        WAITING,
    )
    role = OPERATOR
    replies = "with name and waiting: info {stopped, started, kept} (sorted process ids)"
    cli_options = (Property("terminate", "boolean", "stop the processes first: a restart"),)

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        how = {"graceful": properties["graceful"], "sequential": properties["sequential"]}
        if properties["name"] is None:
            return accepted(arbiter.reload(**how), properties)
        return accepted(arbiter.get_watcher(properties["name"]).reload(**how), properties)

    def message(self, arguments: list[str], options: Json) -> Json:
        if len(arguments) > 1:
            raise ArgumentError("invalid number of arguments")
        return {**super().message(arguments, options), "graceful": not options.get("terminate", False)}


COMMAND = Reload()
