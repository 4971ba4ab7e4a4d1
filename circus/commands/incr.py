from __future__ import annotations

from circus.commands.base import NAME, OPERATOR, WAITING, Command, Json, Property, accepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter

_SINGLETON = "This watcher is a Singleton - not changing the number of processes"


class Incr(Command):
    """Increment the number of processes of a watcher

    ``nb`` may be negative. The number of processes of a singleton does not change.
    """

    name = "incr"
    properties = (NAME, Property("nb", "integer", "how many processes more", default=1, positional=True), WAITING)
    role = OPERATOR
    replies = "numprocesses with waiting; numprocesses and singleton (true) of a singleton"
    sign = 1

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        watcher = arbiter.get_watcher(properties["name"])
        settings = watcher.next_settings
        wanted = settings.numprocesses
        if settings.singleton:
            return {"numprocesses": wanted, "singleton": True}
        wanted = max(0, wanted + self.sign * properties["nb"])
        # The same limits as for set.
        settings, _ = settings.with_option("numprocesses", wanted)
        return accepted(watcher.resize(settings.numprocesses), properties)

    def render(self, reply: Json) -> str:
        if reply.get("singleton"):
            return _SINGLETON
        return str(reply.get("numprocesses", "ok"))


COMMAND = Incr()
