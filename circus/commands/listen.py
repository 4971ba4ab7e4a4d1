from __future__ import annotations

from circus.commands.base import Command, Json, Property
from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class Listen(Command):
    """Print events as they happen

    Not a request: a client subscribes to the endpoint of the events. A topic is the beginning of an event's name, such
    as ``watcher.web.``; without one, all events are printed.

    circusctl asks circusd where it publishes them; an ``--endpoint`` is here that of the events.
    """

    name = "listen"
    properties = (Property("topic", "list", "beginnings of topics", positional=True),)
    variadic = True

    def check(self, properties: object) -> Json:
        return {}

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        raise MessageError("invalid message. use a pub/sub socket")


COMMAND = Listen()
