"""Stop a watcher whose processes end again and again, and start it again later."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from circus.events import is_plugin, split_topic, topic_name
from circus.exc import CallError
from circus.plugins import CircusPlugin, hookimpl
from circus.plugins.exits import Detector, Flap, Limits, attempt_of
from circus.plugins.registration import FLAPPING

if TYPE_CHECKING:
    from circus.events import Event

log = logging.getLogger(__name__)


class Flapping(CircusPlugin):
    """Stop a watcher whose processes end again and again, and start it again later.

    A watcher flaps when ``attempts`` of its processes have ended unexpectedly within ``window`` seconds. It is stopped,
    and started again ``retry_in`` seconds later. This is done ``max_retry`` times (-1: for ever). When it flaps once
    more, it is stopped for good: it has failed, ``circusctl explain`` says so, and its option ``on_failure`` acts.

    .. code-block:: ini

       [plugin:flapping]
       retry_in = 30

       [watcher:web]
       cmd = bin/web
       flapping.attempts = 3
       flapping.window = 10

    Each option can be given for a single watcher, with ``flapping.`` before its name, also while it runs: ``circusctl
    set web flapping.window 20`` counts from the next exit on. With ``flapping.active = False`` it is left alone.

    *What counts.* An exit is unexpected when nobody has commanded it, whatever its exit code: stop, restart, reload,
    decr, kill and max_age are commands, ``kill -9`` from a shell is none. The exits of all processes of a watcher count
    together, also those from before this plugin was started, as far as circusd keeps the events. circusd itself waits
    before it replaces a process that dies young, longer each time; that time is not part of the window, so that a
    program that ends at once flaps whatever ``attempts`` is. These do not count:

    * a process that could not be started at all: circusd tries ``max_retry`` times (an option of the watcher itself),
      and gives up;
    * the new processes of a reload that do not come up: circusd keeps the old ones;
    * those of watchers with ``respawn = False``: nobody starts them again;
    * plugins: circusd starts one that crashes again, and one that is stopped could not answer for its hooks.

    *What others decide stays so.* A watcher that somebody stops while it waits for its retry stays stopped; one that
    somebody starts, restarts or reloads is counted anew. It is counted anew as well when it has run for ``window`` and
    ``retry_in`` together without an exit.

    *When this plugin itself ends* while a watcher waits, its successor finds the watcher, since circusd knows why it is
    stopped, and waits for ``retry_in`` once more. Exits and attempts until then are read from the events again.

    Others hear of it by the event ``flapping`` with ``attempt``, ``retry_in`` and ``max_retry``; when the watcher is
    given up, ``retry_in`` is null.
    """

    name = "flapping"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.options = FLAPPING.read(self.config)
        self.detector: Detector | None = None
        self._learned = 0
        self._names: dict[str, str] = {}
        self._timers: dict[str, object] = {}

    @hookimpl
    async def on_resync(self, snapshot: Mapping[str, Any]) -> None:
        """Learn how everything is."""
        if self.detector is not None:
            # What was decided since that snapshot was taken is in a new one only.
            snapshot = await self.acall("snapshot")
        await self._learn(snapshot["seq"], snapshot["watchers"])

    @hookimpl
    async def on_event(self, event: Event) -> None:
        """Count an exit, and act if it is one too many."""
        # Without a snapshot it goes on where its predecessor has ended, whose memory it needs.
        detector = self.detector or await self._learn(event.seq - 1, {})
        watcher = event.watcher
        if is_plugin(watcher):
            return
        if event.seq <= self._learned:  # it was taken in with all the others, and nobody has judged it yet
            counts = event.action == "reap"
        else:
            counts = detector.take(watcher, event.action, event.data)
            if not detector.is_held(watcher):
                self._cancel(watcher)
        limits = await self._limits(watcher) if counts else None
        flap = detector.judge(watcher, limits) if limits is not None else None
        if limits is None or flap is None:
            return
        if not await (self._give_up(watcher, limits) if flap.give_up else self._hold(watcher, flap, limits)):
            detector.release(watcher)

    async def _learn(self, seq: int, watchers: Mapping[str, Any]) -> Detector:
        """Take in the events up to a number and what a snapshot says beside them; go on with waits for a retry."""
        self.detector = detector = Detector()
        self._learned = seq
        self._names = {topic_name(name): name for name in watchers}
        async for entry in self._past(seq):
            detector.take(*split_topic(entry["topic"]), entry["data"])
        detector.adjust(watchers)
        held = detector.held()
        for watcher in self._timers.keys() - held.keys():
            self._cancel(watcher)
        for watcher in held.keys() - self._timers.keys():
            limits = await self._limits(watcher)
            if limits is not None:
                self._retry_later(watcher, held[watcher], limits.retry_in)
        return detector

    async def _hold(self, watcher: str, flap: Flap, limits: Limits) -> bool:
        name = self._names[watcher]
        text = f"retry in {limits.retry_in:g}s (attempt number {flap.attempt})"
        log.warning("%s: flapping detected: %s", name, text)
        reason = f"flapping: {text}"
        if not await self._command("stop", name=name, reason=reason):
            return False
        self._retry_later(watcher, reason, limits.retry_in)
        return await self._tell(name, flap.attempt, limits.retry_in, limits.max_retry)

    async def _give_up(self, watcher: str, limits: Limits) -> bool:
        name = self._names[watcher]
        log.error("%s: flapping detected: reached max retry limit", name)
        exits = "1 unexpected exit" if limits.attempts == 1 else f"{limits.attempts} unexpected exits"
        retries = "1 retry has" if limits.max_retry == 1 else f"{limits.max_retry} retries have"
        failure = f"flapping: {exits} within {limits.window:g} s, and {retries} not helped"
        if not await self._command("stop", name=name, failure=failure):
            return False
        return await self._tell(name, limits.max_retry, None, limits.max_retry)

    async def _tell(self, name: str, attempt: int, retry_in: float | None, max_retry: int) -> bool:
        """Let others know."""
        data = {"attempt": attempt, "retry_in": retry_in, "max_retry": max_retry}
        await self._command("notify", name=name, action="flapping", data=data)
        return True

    def _retry_later(self, watcher: str, reason: str, seconds: float) -> None:
        self._cancel(watcher)
        self._timers[watcher] = self.loop.call_later(seconds, self._retry, watcher, reason)

    def _cancel(self, watcher: str) -> None:
        timer = self._timers.pop(watcher, None)
        if timer is not None:
            self.loop.remove_timeout(timer)

    async def _retry(self, watcher: str, reason: str) -> None:
        """Start a watcher again, unless somebody has decided otherwise: then circusd no longer has that reason."""
        self._timers.pop(watcher, None)
        attempt = attempt_of(reason)
        await self._command(
            "start", name=self._names[watcher], after=reason, reason=f"flapping: retry (attempt number {attempt})"
        )

    async def _command(self, command: str, **properties: Any) -> bool:
        """Send a command, and return whether circusd has accepted it."""
        try:
            reply = await self.acall(command, **properties)
        except CallError as error:
            reply = {"status": "error", "reason": str(error)}
        if reply["status"] == "error":
            log.warning("%s: the command %s is not carried out: %s", properties["name"], command, reply["reason"])
        return bool(reply["status"] != "error")

    async def _limits(self, watcher: str) -> Limits | None:
        """Return the options as they are now; None for a watcher that is gone, or whose processes are not replaced."""
        if watcher not in self._names:
            self._names |= {topic_name(name): name for name in (await self.acall("status"))["statuses"]}
        reply = await self.acall("options", name=self._names.get(watcher, watcher))
        if reply["status"] == "error" or not reply["options"]["respawn"]:
            return None
        values = dict(self.options)
        for option in FLAPPING.options:
            text = reply["options"].get(f"flapping.{option.name}")
            try:
                values[option.name] = option.read(str(text)) if text is not None else values[option.name]
            except ValueError as error:
                log.warning("%s: flapping.%s: %s", self._names.get(watcher, watcher), option.name, error)
        return Limits(**values)

    async def _past(self, until: int) -> AsyncIterator[dict[str, Any]]:
        """Yield the events that circusd still has, up to a number."""
        since = 0
        while since < until:
            reply = await self.acall("events", since=since)
            for entry in reply["events"]:
                since = entry["data"]["seq"]
                if since <= until:
                    yield entry
            if not reply["events"]:
                return
