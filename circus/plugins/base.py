"""What a plugin is: the class that all of them are derived from.

A plugin runs in a process of its own. It hears every event and acts by sending commands; it takes part in a hook by
implementing it. See :class:`circus.hooks.specs.Lifecycle` for what it can implement.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from circus.events import split_topic
from circus.exc import CallError
from circus.plugins.link import Link
from circus.plugins.loading import one_line
from circus.util import to_bool

if TYPE_CHECKING:
    from tornado.ioloop import IOLoop

    from circus.plugins.hooked import Hooked

log = logging.getLogger("circus")

Json = dict[str, Any]


class CircusPlugin:
    """Base of all plugins.

    ``config`` holds the options of the plugin's section as texts, whatever characters they have. What a subclass does
    in its constructor, in ``handle_init`` and in hooks that are not ``async def`` should be quick: until it returns,
    the plugin hears nothing else.
    """

    name: str = ""
    watchers: ClassVar[str] = "*"
    """Pattern of the watchers at whose hooks it is asked; it hears the events of all of them nevertheless."""
    resumed: bool = False
    """Whether it goes on where the process before it has ended: it is told what it has missed, then how all is now."""
    channel: int | None = None
    """The descriptor by which circusd hands streams over to what runs them."""
    functions: ClassVar[bool] = False
    """Whether it is what runs the functions that watchers name as their hooks."""

    def __init__(
        self,
        endpoint: str,
        pubsub_endpoint: str,
        check_delay: float,
        ssh_server: str | None = None,
        **config: Any,
    ) -> None:
        self.endpoint = endpoint
        self.pubsub_endpoint = pubsub_endpoint
        self.check_delay = check_delay
        self.ssh_server = ssh_server
        self.config = config
        self.active = to_bool(config.get("active", True))
        self._tasks: set[asyncio.Task[None]] = set()

    @cached_property
    def loop(self) -> IOLoop:
        """The loop that the plugin runs on, as tornado knows it; it is an asyncio loop."""
        from tornado.ioloop import IOLoop

        return IOLoop.current()

    @cached_property
    def link(self) -> Link:
        """Its line to circusd."""
        return Link(self.endpoint, self.ssh_server)

    @cached_property
    def hooked(self) -> Hooked:
        """What it implements of the lifecycle specs."""
        from circus.plugins.hooked import Hooked

        return Hooked(self)

    # To be overridden.

    def handle_init(self) -> Any:
        """Get ready, before the first event; it may be ``async def``."""

    def handle_stop(self) -> Any:
        """Clean up, after the last event; it may be ``async def``."""

    def handle_recv(self, data: list[bytes]) -> Any:
        """Hear of an event, as topic and JSON; :meth:`split_data` and :meth:`load_message` read them.

        New plugins implement the hook ``on_event`` instead.
        """

    async def gate(self, gate: Json) -> tuple[bool, str | None, Json | None]:
        """Answer a gate, an event ``gate`` with what it holds: whether it is allowed, an error, and a result.

        By default the hook of that name decides. What this raises counts as an error of the hook.
        """
        from circus.hooks.proxies import ArbiterProxy

        arbiter = ArbiterProxy(self.link, self.pubsub_endpoint, self.check_delay)
        allowed, added = await self.hooked.ask(gate, arbiter)
        return allowed, None, added

    # To be called.

    @staticmethod
    def split_data(data: Sequence[bytes | str]) -> tuple[str, str, bytes | str]:
        """Return the watcher, the action and the message of what ``handle_recv`` got."""
        topic, message = data
        watcher, action = split_topic(topic.decode() if isinstance(topic, bytes) else topic)
        return watcher, action, message

    @staticmethod
    def load_message(msg: bytes | str) -> Any:
        """Return the object that a message stands for."""
        return json.loads(msg)

    def call(self, command: str, **props: Any) -> Json:
        """Send a command and return the reply, an error reply too. Until it comes, the plugin stands still.

        With ``waiting=True`` that may take long; else raise :class:`~circus.exc.CallError` after 5 seconds.
        A plugin that implements hooks should have ``await self.acall`` for what waits: as long as it stands still it
        answers at no gate, and what it waits for may be just that answer.
        """
        return self.link.call(command, props)

    def cast(self, command: str, **props: Any) -> None:
        """Send a command and go on; should it fail, the log says so."""
        self.link.cast(command, props)

    async def acall(self, command: str, **props: Any) -> Json:
        """Send a command and return the reply, as :meth:`call` does, while the plugin goes on with everything else."""
        return await self.link.acall(command, props)

    def every(self, seconds: float, function: Callable[[], Any]) -> None:
        """Call a function, which may be ``async def``, each ``seconds`` until the plugin ends, never twice at once.

        It must be called on the loop, as from ``handle_init``. An exception is logged, and the next time comes.
        """
        task = asyncio.get_running_loop().create_task(self._repeat(seconds, function))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _repeat(self, seconds: float, function: Callable[[], Any]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + seconds, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                await finished(function())
            except CallError as error:
                # It says what is wrong with circusd, which no line of the plugin's code explains.
                log.error("%s, called each %g s, failed: %s", _name_of(function), seconds, error)
            except Exception as error:
                log.exception("%s, called each %g s, raised %s", _name_of(function), seconds, one_line(error))


async def finished(result: Any) -> Any:
    """Return what a function returned; if that is to be awaited, what comes of it."""
    return await result if inspect.isawaitable(result) else result


def _name_of(function: Callable[[], Awaitable[Any] | Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
