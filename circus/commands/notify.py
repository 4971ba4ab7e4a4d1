from __future__ import annotations

import re

from circus.commands.base import NAME, OPERATOR, Command, Json, Property
from circus.events import ACTIONS
from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter

_ACTION = re.compile(r"[A-Za-z_][\w-]{0,63}\Z")
_OWN_KEYS = ("seq", "boot", "mono", "time")


class Notify(Command):
    """Publish an event of a watcher

    This is how plugins and hooks tell others of what they have found. The events of circusd itself cannot be published
    in this way.
    """

    name = "notify"
    properties = (
        NAME,
        Property("action", "text", "what has happened: one word", required=True, positional=True),
        Property("data", "object", "keys of the event", cli=False),
    )
    role = OPERATOR
    replies = "seq: number of the event"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        watcher, action = arbiter.get_watcher(properties["name"]), properties["action"]
        if action in ACTIONS:
            raise MessageError(f"{action!r} is an event of circusd itself; choose another word")
        if not _ACTION.match(action):
            raise MessageError(f"{action!r} is no word; write letters, digits, _ and -, at most 64")
        data = {key: value for key, value in (properties["data"] or {}).items() if key not in _OWN_KEYS}
        return {"seq": watcher.publish(action, **data)["seq"]}


COMMAND = Notify()
