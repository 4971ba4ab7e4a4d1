from __future__ import annotations

from typing import Any

from circus.commands.base import ANY_NAME, Command, Json, Property
from circus.commands.rendering import process_lines
from circus.exc import ArgumentError, MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from circus.kernel.arbiter import Arbiter
    from circus.kernel.watcher import Watcher


class Stats(Command):
    """Show what processes use of the machine: of one, of a watcher, or of all

    ``cpu`` is in percent of one core since the last look, ``mem`` in percent of the machine's memory.
    """

    name = "stats"
    properties = (
        ANY_NAME,
        Property("process", "pid", "one process of the watcher", positional=True),
        Property("extended", "boolean", "with what the hook extended_stats adds", default=False),
    )
    replies = "infos {watcher: {pid: info}}; with name: name, info {pid: info}; with process: process, info"

    def check(self, properties: Mapping[str, Any]) -> Json:
        # The reply names the process as the request did, whether by a number or by its digits.
        return {**super().check(properties), "sent": properties.get("process")}

    def execute(self, arbiter: Arbiter, properties: Json) -> Awaitable[Json]:
        if properties["name"] is None:
            return _of_all(list(arbiter.watchers.values()))
        watcher = arbiter.get_watcher(properties["name"])
        if properties["process"] is None:
            return _of_watcher(watcher, properties["name"])
        return _of_process(watcher, properties)

    def message(self, arguments: list[str], options: Json) -> Json:
        if len(arguments) > 2:
            raise ArgumentError("message invalid")
        return super().message(arguments, options)

    def render(self, reply: Json) -> str:
        if "infos" in reply:
            lines = []
            for name, infos in sorted(reply["infos"].items()):
                lines += [f"{name}:", *process_lines(infos)]
            return "\n".join(lines)
        if "process" in reply:
            return "\n".join(process_lines({str(reply["process"]): reply["info"]}))
        return "\n".join([f"{reply['name']}:", *process_lines(reply["info"])])


async def _of_all(watchers: list[Watcher]) -> Json:
    known = {watcher.name: _spawned(watcher) for watcher in watchers}
    infos = await _infos({pid: spawned for group in known.values() for pid, spawned in group.items()})
    return {"infos": {name: {str(pid): infos[pid] for pid in group} for name, group in known.items()}}


async def _of_watcher(watcher: Watcher, name: str) -> Json:
    infos = await _infos(_spawned(watcher))
    return {"name": name, "info": {str(pid): info for pid, info in infos.items()}}


async def _of_process(watcher: Watcher, properties: Json) -> Json:
    pid, spawned = properties["process"], _spawned(watcher)
    if pid not in spawned:
        raise MessageError(f"process {pid} not found in {properties['name']!r}")
    return {"process": properties["sent"], "info": (await _infos({pid: spawned[pid]}))[pid]}


def _spawned(watcher: Watcher) -> dict[int, Json]:
    """What circusd itself knows of the processes."""
    return {process.pid: {"started": process.started_at, "wid": process.wid} for process in watcher.processes.values()}


async def _infos(spawned: dict[int, Json]) -> dict[int, Json | str]:
    from circus.commands.procinfo import collect

    infos = await collect(list(spawned), children=True)
    return {pid: {**info, **spawned[pid]} if isinstance(info, dict) else info for pid, info in infos.items()}


COMMAND = Stats()
