from __future__ import annotations

from typing import Any

from circus.commands.base import ANY_NAME, Command, Json, Property
from circus.commands.rendering import process_lines
from circus.exc import ArgumentError, MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Mapping

    from circus.kernel.arbiter import Arbiter
    from circus.kernel.gates import Outcome
    from circus.kernel.watcher import Watcher


_HOOK_TIME = 3.0
"""Seconds that the hook extended_stats has where the watcher has no hook_timeout: somebody waits for the reply."""


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
            return _of_watcher(arbiter, watcher, properties)
        return _of_process(arbiter, watcher, properties)

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


async def _of_watcher(arbiter: Arbiter, watcher: Watcher, properties: Json) -> Json:
    infos = await _infos(_spawned(watcher))
    if properties["extended"]:
        await _extend(arbiter, watcher, infos)
    return {"name": properties["name"], "info": {str(pid): info for pid, info in infos.items()}}


async def _of_process(arbiter: Arbiter, watcher: Watcher, properties: Json) -> Json:
    pid, spawned = properties["process"], _spawned(watcher)
    if pid not in spawned:
        raise MessageError(f"process {pid} not found in {properties['name']!r}")
    infos = await _infos({pid: spawned[pid]})
    if properties["extended"]:
        await _extend(arbiter, watcher, infos)
    return {"process": properties["sent"], "info": infos[pid]}


async def _extend(arbiter: Arbiter, watcher: Watcher, infos: dict[int, Json | str]) -> None:
    """Let the hook add keys to what is known of each process."""
    from asyncio import gather

    known = {pid: info for pid, info in infos.items() if isinstance(info, dict)}
    await gather(*(_extend_one(arbiter, watcher, pid, info) for pid, info in known.items()))


async def _extend_one(arbiter: Arbiter, watcher: Watcher, pid: int, info: Json) -> None:
    answered: Future[Outcome] = arbiter.loop.create_future()
    timeout = watcher.settings.hook_timeout or _HOOK_TIME
    if arbiter.gates.ask(watcher, "extended_stats", answered.set_result, timeout, pid=pid, stats=dict(info)):
        info.update((await answered).result)


def _spawned(watcher: Watcher) -> dict[int, Json]:
    """What circusd itself knows of the processes."""
    return {process.pid: {"started": process.started_at, "wid": process.wid} for process in watcher.processes.values()}


async def _infos(spawned: dict[int, Json]) -> dict[int, Json | str]:
    from circus.commands.procinfo import collect

    infos = await collect(list(spawned), children=True)
    return {pid: {**info, **spawned[pid]} if isinstance(info, dict) else info for pid, info in infos.items()}


COMMAND = Stats()
