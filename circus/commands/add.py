from __future__ import annotations

from circus.commands.base import ADMIN, NAME, WAITING, Command, Json, Property, accepted
from circus.commands.checking import require_possible
from circus.exc import AlreadyExist, ArgumentError, MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Add(Command):
    """Add a watcher

    The watcher is stopped unless ``start`` is given. A name that exists, in any letter case, is an error. The watcher
    lives until circusd ends or ``rm`` removes it; the configuration file is not changed.

    On the command line everything after the name is the command that is run.
    """

    name = "add"
    properties = (
        NAME,
        Property("cmd", "text", "the command line", required=True, positional=True),
        Property("args", "text or list", "arguments, appended to cmd", cli=False),
        Property("options", "object", "options of the watcher, as in a configuration file, typed", cli=False),
        Property("start", "boolean", "start it too", default=False),
        WAITING,
    )
    role = ADMIN
    replies = "with start and waiting: started, kept (lists of process ids)"
    verbatim_after = 1
    variadic = True

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        from circus.config.schema import WatcherSettings

        name = properties["name"]
        if not name.strip():
            raise MessageError("message invalid 'name' is empty")
        if not name.isprintable():
            raise MessageError(f"message invalid 'name' has a character that cannot be shown: {name!r}")
        if name.lower() in arbiter.watchers:
            raise AlreadyExist(f"{name!r} already exist")
        options = dict(properties["options"] or {})
        if properties["args"] is not None:
            options["args"] = properties["args"]
        settings = WatcherSettings.from_options(name, properties["cmd"], options)
        require_possible(arbiter, settings, options)
        intent = arbiter.add(settings, properties["start"])
        return _flat(intent.wait()) if properties["waiting"] else accepted(intent, properties)

    def message(self, arguments: list[str], options: Json) -> Json:
        if len(arguments) < 2:
            raise ArgumentError("Invalid number of arguments")
        return {"name": arguments[0], "cmd": " ".join(arguments[1:]), **options}


async def _flat(done: Awaitable[Json]) -> Json:
    """This command alone has ``started`` and ``kept`` at the top of its reply."""
    reply = dict(await done)
    info = reply.pop("info", None)
    if isinstance(info, dict):
        info.pop("stopped", None)
        reply.update(info)
    return reply


COMMAND = Add()
