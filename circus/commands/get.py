from __future__ import annotations

from circus.commands.base import NAME, Command, Json, Property
from circus.commands.rendering import option_lines
from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class Get(Command):
    """Show some options of a watcher

    Those of streams have their names as in a file too, such as stdout_stream.filename.
    """

    name = "get"
    properties = (NAME, Property("keys", "list", "names of options", required=True, positional=True))
    replies = "options: {key: value}"
    variadic = True

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        from circus.config.change import stream_options

        settings = arbiter.get_watcher(properties["name"]).settings
        options = {**stream_options(settings), **settings.as_options()}
        for key in properties["keys"]:
            if not isinstance(key, str) or key not in options:
                raise MessageError(f"{key!r} option not found")
        return {"options": {key: options[key] for key in properties["keys"]}}

    def render(self, reply: Json) -> str:
        return option_lines(reply["options"])


COMMAND = Get()
