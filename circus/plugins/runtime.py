"""The process that hosts one plugin: it follows the events, and calls what the plugin implements."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from circus.consumer import SYNC, Delivery, Snapshot, Stream
from circus.events import Event
from circus.exc import CallError, CircusError
from circus.plugins.base import CircusPlugin, finished
from circus.plugins.briefing import MOST_ENDS, Briefing, Progress
from circus.plugins.gatekeeping import Gatekeeper
from circus.plugins.lifeline import follow_into_death, say_ready
from circus.plugins.loading import PluginError, load_factory, make_plugin, one_line
from circus.plugins.subscription import Subscription
from circus.protocol import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger("circus")

BACKLOG: Final = 10_000
"""Events that wait until the plugin has time; those beyond are left out, and asked for later."""

BUDGET: Final = 0.01
"""Seconds of events in a row before timers, gates and signals get their share."""

SILENCE: Final = 5.0
"""Seconds without any message after which circusd is asked whether it is still there: it sends one each second."""

RETRY: Final = 1.0

LAST_WORD: Final = 1.0
"""Seconds within which circusd tells what it has published until the end; else the plugin ends without that."""


def run(briefing: Briefing) -> int:
    """Run a plugin until it is told to end; return the status with which its process should exit.

    Raise ``PluginError`` if it cannot be run at all.
    """
    factory = load_factory(briefing.factory)
    return asyncio.run(_host(factory, briefing))


async def _host(factory: Any, briefing: Briefing) -> int:
    runtime = Runtime(make_plugin(factory, briefing), briefing, say_ready)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, runtime.end)
    return await runtime.run()


class Runtime:
    """Runs one plugin on the running loop; calls ``on_ready`` when it takes part.

    That is when it is asked at the hooks that it implements, and has been told how everything was: it hears of all that
    happens from then on.
    """

    def __init__(self, plugin: CircusPlugin, briefing: Briefing, on_ready: Callable[[], None]) -> None:
        self.plugin = plugin
        self.briefing = briefing
        self.hooked = plugin.hooked
        self.gatekeeper = Gatekeeper(plugin, briefing.name, self.hooked.hooks)
        self.progress = Progress(briefing.progress)
        known = self.progress.seq
        self.stream = Stream(known, briefing.boot, snapshots=True) if known else Stream(snapshots=True)
        plugin.resumed = bool(known)
        plugin.channel = briefing.channel
        self._loop = asyncio.get_running_loop()
        self._link = plugin.link
        self._sync = f"{SYNC}{self._link.token}"
        self._backlog: deque[Delivery] = deque()
        self._something = asyncio.Event()
        self._unregistered = False
        self._on_ready = on_ready
        self._missing = {"registration"} if known else {"registration", "snapshot"}
        self._heard = time.monotonic()
        self._ending: asyncio.Future[int] = self._loop.create_future()
        self._hears_bytes = type(plugin).handle_recv is not CircusPlugin.handle_recv

    @property
    def takes_part(self) -> bool:
        """Whether it has been ready."""
        return not self._missing

    async def run(self) -> int:
        """Run it to the end."""
        if self.briefing.daemon is not None:
            follow_into_death(self.briefing.daemon, self._on_daemons_death)
        self._link.attach(self._loop)
        if not await self._call("handle_init", self.plugin.handle_init):
            self._link.close()
            return 1
        subscription = Subscription(
            self._loop, self.briefing.pubsub_endpoint, self.briefing.ssh_server, self._sync, self._receive
        )
        tasks = [self._loop.create_task(self._follow()), self._loop.create_task(self._listen_for_silence())]
        for task in tasks:
            task.add_done_callback(self._on_end)
        try:
            status = await self._ending
            self.progress.leave()
        finally:
            for task in (*tasks, *self.plugin._tasks):
                task.cancel()
            # What it was asked already it may answer still, as long as it is subscribed.
            await self._hear_the_last()
            self.gatekeeper.pause()
            await self._call("handle_stop", self.plugin.handle_stop)
            self.gatekeeper.close()
            subscription.close()
            self._link.close()
        return status

    async def _hear_the_last(self) -> None:
        """Take on the gates that circusd has opened already, though their events are still on their way."""
        if self.stream.seq is None:
            return
        try:
            async with asyncio.timeout(LAST_WORD):
                self._extend(self.stream.answer(await self._link.acall("events", {"since": self.stream.seq})))
        except (CallError, TimeoutError) as error:
            log.debug("what was published last is not known: %s", error)
        await asyncio.sleep(0)  # each of them begins

    def end(self, status: int = 0) -> None:
        """End it soon."""
        if not self._ending.done():
            self._ending.set_result(status)

    def _on_daemons_death(self) -> None:
        """In another thread."""
        self._loop.call_soon_threadsafe(self.end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._ending.done():
            return
        error = task.exception()
        if error is not None:
            self._ending.set_exception(error)

    # What comes in.

    def _receive(self, topic: str, data: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        if topic == self._sync:
            self._unregistered = True
            self.stream.live()
        elif len(self._backlog) < BACKLOG:
            self._extend(self.stream.take(topic, data))
        self._something.set()

    async def _listen_for_silence(self) -> None:
        while True:
            await asyncio.sleep(SILENCE)
            if time.monotonic() - self._heard > SILENCE:
                self.stream.live()
                self._something.set()

    # What is done about it.

    async def _follow(self) -> None:
        busy_since = time.monotonic()
        while True:
            if self._unregistered:
                await self._register()
            elif self.stream.question is not None and len(self._backlog) < BACKLOG:
                await self._ask(*self.stream.question)
            elif self._backlog:
                await self._deliver(self._backlog.popleft())
                if time.monotonic() - busy_since > BUDGET:
                    await asyncio.sleep(0)
                    busy_since = time.monotonic()
            else:
                self._something.clear()
                await self._something.wait()
                busy_since = time.monotonic()

    def _extend(self, deliveries: list[Delivery]) -> None:
        self._backlog.extend(deliveries)
        self.gatekeeper.hear(deliveries)  # whoever waits at a gate does not wait for the events before it

    async def _register(self) -> None:
        self._unregistered = False
        try:
            await self.gatekeeper.register()
        except CallError as error:
            await self._cope(error)
            self._unregistered = True
        else:
            self._has("registration")

    def _has(self, what: str) -> None:
        """Take note of what it needs to be ready."""
        if what in self._missing:
            self._missing.discard(what)
            if self.takes_part:
                self._on_ready()

    async def _ask(self, command: str, properties: dict[str, Any]) -> None:
        boot = self.stream.boot
        try:
            self._extend(self.stream.answer(await self._link.acall(command, properties)))
        except CallError as error:
            await self._cope(error)
        if boot not in (None, self.stream.boot):
            self._link.forget("circusd was started anew")

    async def _cope(self, error: CallError) -> None:
        """What circusd was asked has no answer now: it is to be asked again."""
        if self.briefing.daemon is not None and error.kind == "no-daemon":
            # circusd lives, or this process would not: it listens elsewhere now, and tells the next process where.
            raise PluginError(f"circusd is no longer at {self.briefing.endpoint}")
        log.warning("%s", error)
        await asyncio.sleep(RETRY)

    async def _deliver(self, delivery: Delivery) -> None:
        if isinstance(delivery, Snapshot):
            await self._call("on_resync", self.hooked.on_resync, delivery.data)
            self.progress.seq = delivery.seq
            self._has("snapshot")
        elif isinstance(delivery, Event):
            await self._tell(delivery)
            self.progress.seq = delivery.seq

    async def _tell(self, event: Event) -> None:
        ends = self.progress.begin(event.seq)
        if ends >= MOST_ENDS:
            log.error(
                "%s (%d) is passed over: %d processes have ended while they handled it", event.topic, event.seq, ends
            )
            return
        await self._call(f"on_event, told of {event.topic} ({event.seq}),", self.hooked.on_event, event)
        if self._hears_bytes:
            await self._call("handle_recv", self.plugin.handle_recv, [event.topic.encode(), encode(event.data)])

    async def _call(self, what: str, function: Callable[..., Awaitable[Any] | Any], *arguments: Any) -> bool:
        """Call what the plugin's author wrote; return whether it ended without an error."""
        try:
            await finished(function(*arguments))
        except CircusError as error:  # it says what is wrong, which no line of code explains
            log.error("%s failed: %s", what, error)
            return False
        except Exception as error:
            log.exception("%s raised %s", what, one_line(error))
            return False
        return True
