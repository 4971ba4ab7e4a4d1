from __future__ import annotations

from circus.commands.base import ANY_NAME, Command, Json, Property
from circus.exc import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class Status(Command):
    """Show the state of a watcher, or of all: active, stopped, starting or stopping"""

    name = "status"
    properties = (
        ANY_NAME,
        Property("detail", "boolean", "add what 'explain' tells of each watcher", default=False, cli=False),
    )
    replies = "statuses {name: state}; with name, status itself is the state; with detail: details {name: {…}}"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        from circus.commands.explanation import explain

        if properties["name"] is not None:
            watcher = arbiter.get_watcher(properties["name"])
            reply: Json = {"status": watcher.status()}
            return {**reply, "details": {watcher.name: explain(watcher)}} if properties["detail"] else reply
        watchers = list(arbiter.watchers.values())
        reply = {"statuses": {watcher.name: watcher.status() for watcher in watchers}}
        if properties["detail"]:
            reply["details"] = {watcher.name: explain(watcher) for watcher in watchers}
        return reply

    def message(self, arguments: list[str], options: Json) -> Json:
        if len(arguments) > 1:
            raise ArgumentError("message invalid")
        return super().message(arguments, options)

    def render(self, reply: Json) -> str:
        if "statuses" not in reply:
            return str(reply["status"])
        return "\n".join(f"{name}: {state}" for name, state in sorted(reply["statuses"].items()))


COMMAND = Status()
