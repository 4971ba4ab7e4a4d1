from __future__ import annotations

from circus.commands.base import ADMIN, WAITING, Command, Json, accepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Quit(Command):
    """Stop all watchers, then circusd"""

    name = "quit"
    properties = (WAITING,)
    role = ADMIN

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        return accepted(arbiter.quit(), properties)


COMMAND = Quit()
