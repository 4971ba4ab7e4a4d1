from __future__ import annotations

from circus.commands.base import NAME, Command, Json
from circus.commands.rendering import option_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class Options(Command):
    """Show all options of a watcher"""

    name = "options"
    properties = (NAME,)
    replies = "options: {key: value}, the free-form ones too"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        return {"options": arbiter.find_watcher(properties["name"]).settings.as_options()}

    def render(self, reply: Json) -> str:
        return option_lines(dict(sorted(reply["options"].items())))


COMMAND = Options()
