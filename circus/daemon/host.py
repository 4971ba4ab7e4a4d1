"""What surrounds the kernel in circusd: who gives processes their descriptors, and takes in what they write."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from circus.daemon.plugins import STREAM_RUNNER
from circus.events import split_topic
from circus.exc import CircusError, SpawnError
from circus.launch.outfit import Outfit
from circus.listeners import Listeners
from circus.stream.handover import Remote
from circus.stream.kept import Kept
from circus.stream.live import Live

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from circus.config.schema import WatcherSettings
    from circus.daemon.plugins import PluginHost
    from circus.kernel.publisher import Publisher
    from circus.stream.capture import Capture

log = logging.getLogger("circus")


class Host:
    """The kernel's :class:`~circus.kernel.context.Host`, put together from the parts that know.

    ``publisher`` has to be set before anybody can subscribe, ``reopen_log`` before anything is reopened.
    """

    publisher: Publisher
    reopen_log: Callable[[], object]

    def __init__(self, plugins: PluginHost, loop: asyncio.AbstractEventLoop) -> None:
        self.plugins = plugins
        self._loop = loop
        self.progress = plugins.progress
        self.live = Live(loop, self._publish)
        self.kept = Kept(self.live)
        self.logs = self.kept.tell
        remote = plugins.remote = Remote(loop, partial(plugins.summon, STREAM_RUNNER), self._report)
        remote.settle = self._settle
        self._capture: Capture | None = None
        self.listeners = Listeners()

    @property
    def capture(self) -> Capture:
        """What takes in output. A daemon without streams never loads it."""
        if self._capture is None:
            from circus.stream.capture import Capture

            self._capture = Capture(self.kept, self._report, self.plugins.remote)
        return self._capture

    def outfit(self, settings: WatcherSettings, wid: int) -> Outfit:
        """Return the descriptors of a process that is about to start. Raise ``SpawnError`` if they cannot be had."""
        try:
            supply = self.listeners.supply(settings)
        except CircusError as error:
            raise SpawnError("sockets", str(error)) from None
        outfit = Outfit(stdin=supply.stdin, sockets=supply.sockets, told=supply.told)
        try:
            if settings.stdout_stream or settings.stderr_stream:
                stdout, stderr = self.capture.pipes(settings, wid, outfit.numbers)
                outfit = replace(outfit, stdout=stdout, stderr=stderr)
            if settings.briefing:
                stdin, inherited = self.plugins.brief(settings)
                outfit = replace(outfit, stdin=stdin, inherited=inherited)
        except SpawnError:
            self.launched(outfit, 0)
            raise
        return outfit

    def launched(self, outfit: Outfit, pid: int) -> None:
        """Let go of circusd's side of an outfit: a process has it now, or none came of it (``pid`` 0)."""
        self.listeners.release()
        if self._capture is not None:
            self._capture.launched(outfit.stdout, outfit.stderr, pid)
        self.plugins.remote.launched(outfit.inherited)

    def died(self, pid: int, *, failed: bool) -> list[str]:
        """Take in what a process had written when it ended; return its last lines if it has ``failed``."""
        return [] if self._capture is None else self._capture.died(pid, failed=failed)

    def restream(self, before: WatcherSettings, after: WatcherSettings) -> bool:
        """Let the output of running processes go where ``after`` says; return whether they must be replaced for that.

        Raise ``CircusError``, with nothing changed, if that is nowhere.
        """
        return self.capture.restream(before, after)

    def awaited(self, settings: WatcherSettings) -> list[str]:
        """Return the names of the sockets whose connections bring a watcher with ``on_demand`` up."""
        return list(self.listeners.awaited(settings))

    def reopen(self, watcher: str | None) -> asyncio.Future[list[str]]:
        """Have the files of a watcher's streams, or all and circusd's log, opened anew; return what failed."""
        failures = []
        if watcher is None:
            try:
                self.reopen_log()
            except CircusError as error:
                log.error("%s", error)
                failures.append(str(error))
        reopened: asyncio.Future[list[str]] = self._loop.create_future()

        def finish(others: list[str]) -> None:
            if not reopened.done():
                reopened.set_result(failures + others)

        self.capture.reopen(watcher, lambda others: self._loop.call_soon_threadsafe(finish, others))
        return reopened

    def sockets(self) -> list[dict[str, Any]]:
        """Return the sockets that are held for processes, as the command ``listsockets`` shows them."""
        return [listener.describe() for listener in self.listeners]

    def follow(self, topic: str, data: dict[str, Any]) -> None:
        """Take note of an event: of a watcher that is removed, nothing is kept."""
        if topic.endswith(".remove") and self._capture is not None:
            self._capture.forget(split_topic(topic)[0])

    def close(self) -> None:
        """Write everything that processes have said, and tell nobody of output any more."""
        if self._capture is not None:
            self._capture.close()
        self.live.close()

    def _settle(self, act: Callable[[], None]) -> None:
        """Call a function, on the loop, when what has been said so far was handed to the streams."""
        self.capture.settle(partial(self._loop.call_soon_threadsafe, act))

    def _publish(self, topic: str, data: dict[str, Any]) -> None:
        self.publisher.publish(topic, data)

    def _report(self, watcher: str, action: str, data: dict[str, Any]) -> None:
        """Have it published what went wrong with output. Any thread may call this."""
        self._loop.call_soon_threadsafe(partial(self.plugins.arbiter.journal.publish, watcher, action, **data))
        if action == "log_dropped":
            text = "%s: %d bytes (%d lines) of %s were lost: %s"
            log.warning(text, watcher, data["bytes"], data["lines"], data["stream"], data["reason"])
        else:
            log.warning("%s: %s_stream failed (%d times): %s", watcher, data["stream"], data["count"], data["error"])
