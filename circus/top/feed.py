"""How it gets here: what circusd answers, the events as they come, and the statistics."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Final

from circus.async_client import AsyncCircusClient
from circus.client import raise_if_unreachable
from circus.consumer import SYNC, TICK, Delivery, Snapshot, Stream
from circus.events import Event
from circus.exc import CallError
from circus.stats.client import split
from circus.top.listening import Listening
from circus.top.places import NO_STATS, NOBODY, OLD, UNRELATED, Places

if TYPE_CHECKING:
    from circus.top.model import Json, Model

TURN: Final = 0.25
"""Seconds between two looks at what has changed."""
SILENCE: Final = 3.0
"""Seconds after which one that speaks each second is gone."""
_ROUND: Final = 5.0
"""Seconds after which everything is asked for anew, though no event has told of a change."""
_PAST: Final = 50
"""Events from before circus-top was started that are shown."""
_REPLY: Final = 3.0
"""Seconds to wait for a reply."""


class Feed:
    """Keeps a model up to date from within an event loop, until :meth:`close`. Whoever is gone is waited for."""

    def __init__(self, model: Model, places: Places) -> None:
        self.model = model
        self.places = places
        self._client = AsyncCircusClient(endpoint=places.command_endpoint, timeout=_REPLY, ssh_server=places.ssh)
        self._sync = f"{SYNC}{os.urandom(16).hex()}"
        self._stream = Stream(snapshots=True)
        self._events: Listening | None = None
        self._stats: Listening | None = None
        self._changed = True
        self._asked = 0.0
        self._begun = time.time()
        self._task: asyncio.Task[None] | None = None

    @property
    def stats_endpoint(self) -> str | None:
        """Where the statistics are listened to, once that is known."""
        return self._stats.endpoint if self._stats is not None else None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Let go of all connections."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for listening in (self._events, self._stats):
            if listening is not None:
                listening.close()
        self._client.stop()

    async def ask(self, command: str, **properties: Any) -> Json:
        """Send a command and return its reply. Raise ``CallError`` if circusd is not there, or refuses.

        A command for one that is gone is not sent: it would be done when circusd comes back.
        """
        if self.places.ssh is None:
            await asyncio.get_running_loop().run_in_executor(None, raise_if_unreachable, self.places.command_endpoint)
        elif not self.model.daemon.up and command != "globaloptions":
            raise CallError("circusd is gone", "no-daemon")
        reply = await self._client.send_message(command, **properties)
        if reply.get("status") == "error":
            raise CallError(str(reply.get("reason")), "error")
        return reply

    async def _run(self) -> None:
        if self.places.stats is not None:
            self._listen_to_stats(self.places.stats)
        while True:
            try:
                await self._turn(time.time())
            except CallError as error:
                self._lose_daemon(self._absence(error), keep=error.kind != "no-daemon")
                await asyncio.sleep(1)
            except (KeyError, TypeError, ValueError) as error:
                place = self.places.command_endpoint
                self._lose_daemon(f"what answers at {place} is no circusd that can be understood: {error!r}")
                await asyncio.sleep(1)
            now = time.time()
            self.model.forget(now)
            self._look_after_stats(now)
            await asyncio.sleep(TURN)

    async def _turn(self, now: float) -> None:
        """Find out where everything is, until that is known; then ask what is to be asked."""
        link = self.model.daemon
        if self._events is None or not link.up or now - min(link.heard + _ROUND - SILENCE, self._asked) > _ROUND:
            await self._meet()
        if self._events is None:
            return
        if (question := self._stream.question) is not None:
            self._deliver(self._stream.answer(await self.ask(question[0], **question[1])))
        if self._changed or now - self._asked > _ROUND:
            self._changed, self._asked = False, now
            self.model.take_status(await self.ask("status", detail=True))
            self.model.take_sockets(await self.ask("listsockets"))
            self.model.daemon.hear(time.time())

    async def _meet(self) -> None:
        options = (await self.ask("globaloptions")).get("options", {})
        if not self.places.is_related(options):
            self._lose_daemon(UNRELATED.format(command=self.places.command_endpoint))
            await asyncio.sleep(_ROUND)
            return
        pubsub, stats = self.places.told(options)
        if self._stats is None or self._stats.endpoint != stats:
            self._listen_to_stats(stats)
        if self._events is None or self._events.endpoint != pubsub:
            if self._events is not None:
                self._events.close()
            elif not self.model.events:
                for entry in (await self.ask("events", limit=_PAST))["events"]:
                    self.model.take_event(Event(entry["topic"], entry["data"]))
            topics = ("watcher.", TICK, self._sync)
            self._events = Listening(pubsub, self.places.ssh, topics, self._hear, self._lose_events)
        self.model.daemon.hear(time.time())
        self._changed = True

    def _listen_to_stats(self, endpoint: str) -> None:
        if self._stats is not None:
            self._stats.close()
        self._stats = Listening(endpoint, self.places.ssh, ["stat."], self._hear_stats, self._lose_stats)

    def _hear(self, topic: str, data: Json) -> None:
        if topic == self._sync:
            self._stream.live()
        self.model.daemon.hear(time.time())
        if topic != self._sync:
            self._deliver(self._stream.take(topic, data))

    def _deliver(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._changed = True
            if isinstance(delivery, Event):
                self.model.take_event(delivery)
            elif isinstance(delivery, Snapshot):
                self._asked = 0.0

    def _hear_stats(self, topic: str, data: Json) -> None:
        self.model.take_stats(*split(topic, data), time.time())

    def _lose_events(self) -> None:
        self._lose_daemon(f"circusd is gone from {self.places.command_endpoint}; waiting for it")

    def _lose_daemon(self, trouble: str, *, keep: bool = False) -> None:
        """Tell it; ``keep`` what was known of one that is there, and does not answer."""
        self.model.daemon.lose(trouble)
        if not keep:
            self.model.forget_daemon()
        self._changed = True

    def _lose_stats(self) -> None:
        if self._stats is not None:
            self.model.stats.lose(f"circusd-stats is gone from {self._stats.endpoint}; waiting for it")

    def _look_after_stats(self, now: float) -> None:
        """Tell that the statistics have fallen silent, or have never been there, and look where they are now."""
        link = self.model.stats
        if now - max(link.heard, self._begun) <= SILENCE or self._stats is None:
            return
        if link.up or not link.trouble or now - link.heard > 2 * _ROUND:
            link.lose(NO_STATS.format(endpoint=self._stats.endpoint))

    def _absence(self, error: CallError) -> str:
        """Say what to do about it: options of circus-top have names of their own."""
        endpoint = self.places.command_endpoint
        if str(error).startswith("unknown command"):
            return OLD.format(command=endpoint)
        if error.kind != "no-daemon":
            return str(error)
        if self._events is not None:
            return f"circusd is gone from {endpoint}; waiting for it"
        return NOBODY.format(command=endpoint)
