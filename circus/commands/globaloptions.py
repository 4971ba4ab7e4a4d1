from __future__ import annotations

from circus.commands.base import Command, Json, Property
from circus.commands.rendering import option_lines
from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter

_OPTIONS = ("endpoint", "stats_endpoint", "pubsub_endpoint", "check_delay", "multicast_endpoint")


class GlobalOptions(Command):
    """Show where circusd can be reached, and how often it checks"""

    name = "globaloptions"
    properties = (Property("option", "text", "one of them; without it, all", positional=True),)
    replies = "options: endpoint, stats_endpoint, pubsub_endpoint, check_delay (seconds), multicast_endpoint"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        option = properties["option"]
        if option and option not in _OPTIONS:
            raise MessageError(f"{option!r} not an existing option")
        return {"options": {name: getattr(arbiter, name) for name in ((option,) if option else _OPTIONS)}}

    def render(self, reply: Json) -> str:
        return option_lines(reply["options"])


COMMAND = GlobalOptions()
