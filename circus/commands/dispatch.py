"""From the bytes of a request to the bytes of its reply. The one place that turns errors into replies."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from circus.commands import lookup, origin
from circus.commands.base import VIEWER
from circus.commands.matching import match
from circus.commands.ownership import Ownership
from circus.exc import CircusError, CommandFailed, SystemFailure, UnknownCommand
from circus.hooks.foreign import FAULTS
from circus.hooks.registry import registry
from circus.protocol import Request, decode_request, encode, error_reply, ok_reply, salvage

if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter
    from circus.kernel.watcher import Watcher

log = logging.getLogger("circus")

Reply = Callable[[bytes], None]

_OF_PLUGINS = frozenset(("notify", "register", "verdict"))
"""Commands that are part of what plugins do all the time, and of which events tell: the log has no line of them."""
_NAME_LIMIT = 200
"""Most characters of a watcher's name that a client sends which the log repeats."""
ADDED_LIMIT = 10_000
"""Most watchers that clients may have added at one time."""


class Dispatcher:
    """Runs the commands that clients send.

    ``owner`` is the ``endpoint_owner`` of the configuration, if there is one: what that user must not do is refused
    here. With ``debug`` the reply to a command that met a defect carries the traceback.
    """

    def __init__(self, arbiter: Arbiter, owner: str | None = None, *, debug: bool = False) -> None:
        self.arbiter = arbiter
        self.debug = debug
        self.added_limit = ADDED_LIMIT
        self._has_rules = registry().has_rules
        self._ownership: Ownership | None
        self.set_owner(owner)
        self._added: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def set_owner(self, owner: str | None) -> None:
        """From now on refuse what that user must not do; without one, nothing."""
        self._ownership = Ownership(owner) if owner else None

    def handle(self, payload: bytes, reply: Reply) -> None:
        """Answer one request by a call of ``reply``, now or, where a command waits, later. Nothing is raised."""
        try:
            request = decode_request(payload)
        except CircusError as error:
            id, cast = salvage(payload)
            if not cast:
                reply(_encoded(error_reply(error, id)))
            return
        try:
            result = self._execute(request)
        except FAULTS as error:
            self._answer(request, reply, self._error(request, error))
            return
        if isawaitable(result):
            task = asyncio.get_running_loop().create_task(self._finish(request, reply, result))
            # The loop itself holds tasks weakly.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._answer(request, reply, self._success(request, result))

    def _execute(self, request: Request) -> Any:
        try:
            command = lookup(request.command)
        except UnknownCommand:
            raise UnknownCommand(f"unknown command: {request.sent_as!r}") from None
        properties = command.check(request.properties)
        if self._ownership is not None:
            self._ownership.check(self.arbiter, command.name, properties)
        if self._has_rules:
            identity = self.arbiter.gates.plugin(request.sync) if request.sync else ""
            registry().authorize(identity, command.name, properties.get("name"))
        if request.sync and properties.get("waiting"):
            self.arbiter.gates.refuse_deadlock(request.sync, self._targets(properties))
        if command.role != VIEWER and command.name not in _OF_PLUGINS:
            log.info("command %s%s", command.name, _name_for_log(properties.get("name")))
        if command.name != "add":
            return command.execute(self.arbiter, properties)
        self._check_room()
        result = command.execute(self.arbiter, properties)
        self._added.add(properties["name"].lower())
        return result

    def _targets(self, properties: dict[str, Any]) -> list[Watcher]:
        """Return the watchers that a request is about."""
        name = properties.get("name")
        if name is None:
            return list(self.arbiter.watchers.values())
        try:
            return match(self.arbiter, name, properties.get("match") or "simple")
        except CircusError:
            return []  # the command itself says what is wrong

    def _check_room(self) -> None:
        if len(self._added) >= self.added_limit:
            self._added.intersection_update(self.arbiter.watchers)
        if len(self._added) >= self.added_limit:
            raise CircusError(
                f"clients have added {self.added_limit} watchers, which is the limit; remove some with rm"
            )

    async def _finish(self, request: Request, reply: Reply, result: Awaitable[Any]) -> None:
        try:
            answer = self._success(request, await result)
        except FAULTS as error:
            answer = self._error(request, error)
        self._answer(request, reply, answer)

    def _success(self, request: Request, result: Any) -> dict[str, Any]:
        if not isinstance(result, dict):
            log.error("the command %s returned %r instead of an object", request.command, result)
            return error_reply(CommandFailed("server error"), request.id)
        return ok_reply(result, request.id)

    def _error(self, request: Request, error: BaseException) -> dict[str, Any]:
        if isinstance(error, OSError):
            error = SystemFailure(str(error))
        if isinstance(error, CircusError):
            return error_reply(error, request.id)
        # The properties may hold secrets, so neither the log nor the reply repeats them.
        blamed = origin(request.command) or "circusd"
        log.error("the command %s met a defect of %s", request.command, blamed, exc_info=error)
        tb = "".join(traceback.format_exception(error)) if self.debug else None
        reason = f"command {request.command!r}: {type(error).__name__}: {error} (circusd's log has the details)"
        return error_reply(CircusError(reason), request.id, tb)

    def _answer(self, request: Request, reply: Reply, answer: dict[str, Any]) -> None:
        if not request.cast:
            reply(_encoded(answer))
        elif answer["status"] == "error":
            log.warning("the command %s, for which nobody waits, failed: %s", request.command, answer["reason"])


def _name_for_log(name: str | None) -> str:
    """Who reads the log of last night wants to know that somebody did it, and to what; the rest may be secret."""
    if name is None:
        return ""
    return f" {name}" if name.isprintable() and len(name) <= _NAME_LIMIT else f" {name[:_NAME_LIMIT]!r}"


def _encoded(answer: dict[str, Any]) -> bytes:
    try:
        return encode(answer)
    except (RecursionError, ValueError):
        # An id that is nested as deeply as can just be read is too deep to be written.
        return encode({**answer, "id": None})
