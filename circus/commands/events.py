from __future__ import annotations

from typing import Any

from circus.commands.base import Command, Json, Property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter

_OWN_KEYS = ("seq", "boot", "mono", "time")


class Events(Command):
    """Show the events that circusd keeps

    Events are numbered from 1 for the life of a daemon. ``truncated`` is true when the oldest ones asked for are no
    longer kept.
    """

    name = "events"
    properties = (
        Property("since", "integer", "the oldest events with a larger number; without it, the latest"),
        Property("limit", "integer", "at most that many, and at most 1000", default=1000),
    )
    replies = "events: [{topic, data}], last_seq, boot; truncated"
    cli_options = (Property("follow", "boolean", "go on with new events until interrupted", short="f"),)

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        since, limit = properties["since"], max(0, properties["limit"])
        if since is not None:
            return arbiter.journal.since(max(0, since), limit)
        reply = arbiter.journal.since(max(0, arbiter.journal.seq - limit), limit)
        reply.pop("truncated", None)
        return reply

    def render(self, reply: Json) -> str:
        lines = [event_line(event["topic"], event["data"]) for event in reply["events"]]
        if reply.get("truncated"):
            lines.insert(0, "(older events are no longer kept)")
        return "\n".join(lines)


def event_line(topic: str, data: Json) -> str:
    """Return an event as a line: time, number, topic and the keys that are its own."""
    from time import localtime, strftime

    moment = data.get("time", 0.0)
    clock = strftime("%Y-%m-%d %H:%M:%S", localtime(moment))
    details = " ".join(f"{key}={_short(key, value)}" for key, value in data.items() if key not in _OWN_KEYS)
    return f"{clock}.{int(moment % 1 * 1000):03d} {data.get('seq', '-')} {topic} {details}".rstrip()


def _short(key: str, value: Any) -> Any:
    """Return a value, or of the output of a process how long it is: ``explain`` shows it."""
    if key != "output" or not isinstance(value, list):
        return value
    return f"{len(value)} {'line' if len(value) == 1 else 'lines'}"


COMMAND = Events()
