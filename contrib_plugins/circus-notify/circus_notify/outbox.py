"""Sending, again and again until it works, while everything else goes on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from circus_notify.digest import Digest, Notice

log = logging.getLogger("circus")

LONGEST_PAUSE: Final = 300.0
"""Seconds between two tries at most, for a receiver that does not take messages."""

LAST_WORDS: Final = 3.0
"""Seconds that what still waits has to be sent when the plugin ends."""

Send = Callable[[list[Notice]], Awaitable[None]]


class Outbox:
    """What waits for one receiver. ``name`` is how the log calls it; ``send`` raises if a message is not taken."""

    def __init__(self, name: str, send: Send, digest: Digest, timeout: float) -> None:
        self._name = name
        self._send = send
        self._digest = digest
        self._timeout = timeout
        self._something = asyncio.Event()
        self._ending = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, notice: Notice) -> None:
        """Have something told."""
        self._digest.add(notice, time.monotonic())
        self._something.set()

    async def close(self) -> None:
        """Stop, when what waits has been told once more, or that takes too long."""
        self._ending.set()
        self._something.set()
        _, late = await asyncio.wait([self._task], timeout=LAST_WORDS)
        for task in late:
            task.cancel()

    async def _run(self) -> None:
        pause = 1.0
        while not self._ending.is_set():
            await self._wait()
            notices = self._digest.take(time.monotonic())
            if not notices or await self._tell(notices):
                pause = 1.0
            else:
                await _first(self._ending, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        notices = self._digest.take_all(time.monotonic())
        if notices:
            await self._tell(notices)

    async def _wait(self) -> None:
        """Wait until something is due, or something new may change when that is."""
        self._something.clear()
        due = self._digest.due()
        if not self._ending.is_set():
            await _first(self._something, None if due is None else max(0.0, due - time.monotonic()))

    async def _tell(self, notices: list[Notice]) -> bool:
        """Send a message; what cannot be sent waits again."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._send(notices)
        except TimeoutError:
            log.warning("%s has not taken a message within %g s", self._name, self._timeout)
        except Exception as error:
            log.warning("%s does not take a message: %s", self._name, " ".join(str(error).split()) or repr(error))
        else:
            return True
        self._digest.put_back(notices, time.monotonic())
        return False


async def _first(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, but no longer than so."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
