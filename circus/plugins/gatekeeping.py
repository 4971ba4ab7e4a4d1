"""A plugin as a gatekeeper: it registers for the hooks that it implements, and answers each gate once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from circus.events import Event
from circus.exc import CallError
from circus.plugins.loading import one_line

if TYPE_CHECKING:
    from collections.abc import Collection

    from circus.consumer import Delivery
    from circus.plugins.base import CircusPlugin

log = logging.getLogger("circus")

GATE: Final = "gate"
"""Action of the events that ask gatekeepers."""

_REMEMBERED: Final = 20_000
"""Gates after which an old one is forgotten: more than circusd keeps events, so it cannot be asked again."""


class Gatekeeper:
    """Answers the gates that ask one plugin: at ``hooks``, and where it runs the functions of hooks.

    ``name`` is that of its watcher.
    """

    def __init__(self, plugin: CircusPlugin, name: str, hooks: Collection[str]) -> None:
        self._plugin = plugin
        self._name = name
        self._hooks = list(hooks)
        self._since: int | None = None
        self._answered: deque[int] = deque(maxlen=_REMEMBERED)
        self._tasks: set[asyncio.Task[None]] = set()

    async def register(self) -> None:
        """Say that the plugin is there, and take on the gates that wait for it. Raise ``CallError`` if that fails.

        Without hooks too: circusd then knows who sends commands with this token.
        """
        plugin = self._plugin
        reply = await plugin.acall(
            "register",
            plugin=self._name,
            sync=plugin.link.token,
            hooks=self._hooks,
            watchers=plugin.watchers,
            functions=plugin.functions,
        )
        if reply.get("status") == "error":
            raise CallError(f"circusd refuses {self._name} as a gatekeeper: {reply.get('reason')}")
        self._since = reply["seq"]
        self._answered.clear()
        for gate in reply["gates"]:
            self._take(gate)

    def hear(self, deliveries: Collection[Delivery]) -> None:
        """Take on the gates among events, whether they have come at once or were asked for."""
        for event in deliveries if self._since is not None else ():
            if isinstance(event, Event) and event.action == GATE and event.seq > (self._since or 0):
                self._take(event.data)

    def pause(self) -> None:
        """Take on no more gates."""
        self._since = None

    def close(self) -> None:
        """Answer nothing more."""
        for task in self._tasks:
            task.cancel()

    def _take(self, gate: dict[str, Any]) -> None:
        if self._name not in gate["gatekeepers"] or gate["gate"] in self._answered:
            return
        self._answered.append(gate["gate"])
        task = asyncio.get_running_loop().create_task(self._answer(gate))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, gate: dict[str, Any]) -> None:
        try:
            allow, error, result = await self._plugin.gate(gate)
        except Exception as failure:
            error = one_line(failure)
            log.exception("the hook %s of %s raised %s", gate["hook"], gate["watcher"], error)
            allow, result = False, None
        verdict: dict[str, Any] = {"gate": gate["gate"], "sync": self._plugin.link.token, "allow": allow}
        if error is not None:
            verdict["error"] = error
        if result:
            verdict["result"] = result
        try:
            reply = await self._plugin.acall("verdict", **verdict)
        except CallError as failure:
            log.warning("the verdict on %s of %s did not arrive: %s", gate["hook"], gate["watcher"], failure)
            return
        if reply.get("status") == "error":
            # Nobody waits any more: its time was up, or the watcher was told to do something else.
            log.info("the verdict on %s of %s came too late: %s", gate["hook"], gate["watcher"], reply.get("reason"))
