from __future__ import annotations

from circus.commands.base import ADMIN, WAITING, Command, Json, Property, accepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class ReloadConfig(Command):
    """Read the configuration file again and apply what changed

    The change is planned and checked first. A file with faults changes nothing, and the error lists every one of them.
    ``circusctl reloadconfig --dry-run`` shows the plan.
    """

    name = "reloadconfig"
    properties = (WAITING,)
    role = ADMIN
    cli_options = (Property("dry_run", "boolean", "only show what would be done, as 'plan' does"),)

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        return accepted(arbiter.reload_config(), properties)


COMMAND = ReloadConfig()
