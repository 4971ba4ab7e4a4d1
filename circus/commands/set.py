from __future__ import annotations

from circus.commands.arguments import WRONG_NUMBER, option_value
from circus.commands.base import ADMIN, NAME, WAITING, Command, Json, Property, accepted
from circus.commands.checking import require_possible
from circus.exc import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Set(Command):
    """Change options of a watcher

    What a process was started with (its command, environment, user …) reaches the running ones by a graceful reload.
    Another stream gets their output from the next line on; they are replaced only if they had none.
    Either all options are changed or, if one is unknown or has a value of the wrong type, none. The configuration file
    is not changed.

    On the command line: ``set NAME KEY VALUE [KEY VALUE ...]``, with ``env`` as ``A=b,C=d``, and a
    whole stream as ``class=FileStream,filename=/var/log/web.log``.
    """

    name = "set"
    properties = (NAME, Property("options", "object", "options and their new values", required=True), WAITING)
    role = ADMIN
    variadic = True

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        watcher, options = arbiter.get_watcher(properties["name"]), properties["options"]
        require_possible(arbiter, watcher.settings.with_options(options)[0], options)
        return accepted(watcher.set_options(options), properties)

    def usage(self) -> str:
        return "set NAME KEY VALUE [KEY VALUE ...] [--waiting]"

    def options(self) -> list[Property]:
        return [WAITING]

    def message(self, arguments: list[str], options: Json) -> Json:
        if len(arguments) < 3:
            raise ArgumentError(WRONG_NUMBER)
        if len(arguments) % 2 == 0:
            raise ArgumentError("List of key/values is invalid")
        pairs = zip(arguments[1::2], arguments[2::2], strict=True)
        return {"name": arguments[0], "options": {key: option_value(key, word) for key, word in pairs}, **options}


COMMAND = Set()
