from __future__ import annotations

from typing import Any

from circus.commands.base import ANY_NAME, Command, Json, Property
from circus.events import is_plugin
from circus.exc import MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.config.schema import WatcherSettings
    from circus.kernel.arbiter import Arbiter


class Logs(Command):
    """Show the last lines that processes have printed

    circusd keeps the last 64 KiB of each process whose output it captures, and of the last dead process of each slot,
    which comes first. A reply holds at most 1 MiB and 5000 lines, in which the processes share.

    circusctl puts ``web.1 |`` before the lines where there are several processes, with ``!`` for those of standard
    error. With ``--follow`` what is printed comes as it is printed, until Ctrl-C; what is printed faster than it can be
    shown is skipped, and its size is told. With ``--json`` too, each line is an object.
    """

    name = "logs"
    properties = (
        ANY_NAME,
        Property("lines", "integer", "at most that many lines of each process", default=10, short="n"),
        Property("stderr", "boolean", "only what was printed to standard error", default=False),
        Property(
            "pieces",
            "boolean",
            "with the places of all bytes, instead of lines, to go on from",
            default=False,
            cli=False,
        ),
    )
    replies = (
        "logs: [{watcher, wid, pid, started, alive, offset, lines: [{stream, text, partial}]}], boot; "
        "uncaptured: {watcher: why}. Bytes that are no UTF-8 stand as lone surrogates, as Python's surrogateescape has "
        "it; offset is how many bytes there were"
    )
    cli_options = (Property("follow", "boolean", "go on with what is printed from now on", short="f"),)

    def check(self, properties: Mapping[str, Any]) -> Json:
        checked = super().check(properties)
        if checked["lines"] < 0:
            raise MessageError(f"message invalid 'lines' is {checked['lines']}; a number of 0 or more is needed")
        return checked

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        name = properties["name"]
        watchers = arbiter.in_order() if name is None else [arbiter.get_watcher(name)]
        watchers = sorted(watchers, key=lambda watcher: watcher.name)
        only = "stderr" if properties["stderr"] else ""
        reply: Json = {
            "logs": arbiter.host.logs(
                [watcher.name for watcher in watchers], properties["lines"], only, pieces=properties["pieces"]
            ),
            "boot": arbiter.journal.boot,
        }
        missing = {
            watcher.name: text
            for watcher in watchers
            if (name is not None or not is_plugin(watcher.name)) and (text := _missing(watcher.settings, only))
        }
        return {**reply, "uncaptured": missing} if missing else reply


def _missing(settings: WatcherSettings, only: str) -> str:
    """Say what of a watcher's output is not captured, and what to do about it; nothing if all of it is."""
    wanted = [only] if only else ["stdout", "stderr"]
    closed = [stream for stream in wanted if getattr(settings, f"close_child_{stream}")]
    if closed == wanted:
        options = " and ".join(f"close_child_{stream}" for stream in closed)
        return f"{settings.name}: what it prints is thrown away: unset {options} to have it"
    missing = [stream for stream in wanted if stream not in closed and not getattr(settings, f"{stream}_stream")]
    if not missing:
        return ""
    remedies = {
        "stdout": "stdout_stream.class = StdoutStream",
        "stderr": f"stderr_stream.class = {'stdout' if settings.stdout_stream else 'StdoutStream'}",
    }
    what = {"stdout": "standard output", "stderr": "standard error"}[missing[0]] if len(missing) == 1 else "output"
    return (
        f"{settings.name}: its {what} is not captured and goes where circusd's own goes; set "
        f"{' and '.join(remedies[stream] for stream in missing)} to have it here as well"
    )


COMMAND = Logs()
