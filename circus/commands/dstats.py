from __future__ import annotations

import os

from circus.commands.base import Command, Json
from circus.commands.rendering import info_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Dstats(Command):
    """Show what circusd itself uses of the machine"""

    name = "dstats"
    replies = "info: circusd's process, its children left out"

    def execute(self, arbiter: Arbiter, properties: Json) -> Awaitable[Json]:
        return _info(os.getpid())

    def render(self, reply: Json) -> str:
        return f"Main Process:\n    {info_line(reply['info'])}"


async def _info(pid: int) -> Json:
    from circus.commands.procinfo import collect

    return {"info": (await collect([pid], children=False))[pid]}


COMMAND = Dstats()
