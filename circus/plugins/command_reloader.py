"""Restart a watcher when the file of its command has changed."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from circus.events import is_plugin, topic_name
from circus.plugins import CircusPlugin, hookimpl
from circus.plugins.command_files import Change, Command, Look, command_of, is_older, look
from circus.plugins.registration import COMMAND_RELOADER

if TYPE_CHECKING:
    from circus.events import Event

log = logging.getLogger(__name__)


class Target:
    """One watcher whose command is looked at."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.command: Command | None = None
        self.change = Change(())
        self.is_down = False
        """Whether nothing of it runs: what is started next runs the files as they are then."""


class CommandReloader(CircusPlugin):
    """Restart a watcher when the file of its command has changed.

    Each ``loop_rate`` seconds, the files of all commands are looked at: the program, as it is found from the watcher's
    ``working_dir`` and in its ``PATH``, and where that is an interpreter (Python, Ruby, node, a shell …) the script
    that is named first in its arguments. Modules that a program imports and files that it reads are not looked at.

    A file has changed when it was written, when another one was put in its place, or when it, or a folder on the way to
    it, is a link that leads elsewhere now. It may be missing in between: the watcher is restarted when all of its files
    are there, can be run, and have stayed the same for one look more. That is one restart for one change, however many
    writes it takes, and none if somebody has restarted the watcher meanwhile.

    .. code-block:: ini

       [plugin:command_reloader]
       loop_rate = 0.5

    A watcher that is stopped stays so. Plugins are not restarted. What has changed before this plugin is added is not
    looked at; what changes while it is restarted is.
    """

    name = "command_reloader"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.loop_rate: float = COMMAND_RELOADER.read(self.config)["loop_rate"]
        self._targets: dict[str, Target] | None = None

    def handle_init(self) -> None:
        """Begin to look."""
        self.every(self.loop_rate, self.look_after)

    @hookimpl
    async def on_resync(self, snapshot: Mapping[str, Any]) -> None:
        """Learn what there is to look at."""
        await (self._resume(snapshot) if self.resumed and self._targets is None else self._learn(snapshot))

    @hookimpl
    async def on_event(self, event: Event) -> None:
        """Notice other commands, and who is started anew anyway."""
        targets = self._targets
        if targets is None:  # what its predecessor has missed: how all is now comes behind it
            return
        if event.action in ("add", "updated", "reload", "start"):
            await self._read_command(event.watcher)
        target = targets.get(event.watcher)
        if target is None:
            return
        if event.action == "remove":
            del targets[event.watcher]
        elif event.action == "stop":
            target.is_down = True
        elif event.action == "spawn" and target.is_down:
            target.is_down = False
            if target.command is not None:
                target.change.accept_before(look(target.command), event.time)

    async def look_after(self) -> None:
        """Look once at everything."""
        for target in list((self._targets or {}).values()):
            if target.command is not None:
                seen = look(target.command)
                if target.change.has_settled(seen) and await self._restart(target, seen):
                    target.change.accept(seen)

    async def _learn(self, snapshot: Mapping[str, Any]) -> dict[str, Target]:
        targets = {topic_name(name): Target(name) for name in snapshot["watchers"] if not is_plugin(name)}
        for name, watcher in snapshot["watchers"].items():
            if topic_name(name) in targets:
                targets[topic_name(name)].is_down = watcher["state"] == "stopped"
        # Those that were known before have changes that nobody has acted on.
        self._targets = targets | {name: known for name, known in (self._targets or {}).items() if name in targets}
        for watcher in list(self._targets):
            await self._read_command(watcher)
        return self._targets

    async def _resume(self, snapshot: Mapping[str, Any]) -> dict[str, Target]:
        """As :meth:`_learn`; what has changed since its processes were started, nobody has noticed yet."""
        targets = await self._learn(snapshot)
        for name, watcher in snapshot["watchers"].items():
            started = [process["started"] for process in watcher["processes"]]
            if topic_name(name) in targets and started:
                targets[topic_name(name)].change.doubt(min(started))
        return targets

    async def _read_command(self, watcher: str) -> None:
        """Ask for the command of a watcher; the files of another one than before are taken as they are."""
        targets = self._targets or {}
        if is_plugin(watcher):
            return
        if watcher not in targets:
            names = {topic_name(name): name for name in (await self.acall("status"))["statuses"]}
            targets[watcher] = Target(names.get(watcher, watcher))
        target = targets[watcher]
        reply = await self.acall("options", name=target.name)
        if reply["status"] == "error":  # it is removed already
            targets.pop(watcher, None)
            return
        command = command_of(reply["options"], os.environ)
        if command != target.command:
            target.command, target.change = command, Change(look(command) if command is not None else ())

    async def _restart(self, target: Target, seen: Look) -> bool:
        """Restart a watcher that runs, unless somebody else has; return whether the change is dealt with."""
        reply = await self.acall("status", name=target.name, detail=True)
        if reply["status"] not in ("active", "starting"):
            return bool(reply["status"] != "stopping")  # it may come up with the files of before
        processes = reply["details"][target.name]["processes"]
        if all(process["pid"] and is_older(seen, process["since"]) for process in processes):
            return True
        log.info("%s is restarted: its command has changed", target.name)
        reply = await self.acall("restart", name=target.name, match="simple")
        if reply["status"] == "error":
            log.error("%s cannot be restarted: %s", target.name, reply.get("reason"))
        return bool(reply["status"] != "error")
