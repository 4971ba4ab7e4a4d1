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
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, notice: Notice) -> None:
        """Have something told."""
        self._digest.add(notice, time.monotonic())
        self._something.set()

    async def close(self) -> None:
        """Stop, but try once more to tell what waits."""
        self._task.cancel()
        await asyncio.wait([self._task])
        notices = self._digest.take_all(time.monotonic())
        if notices:
            await self._tell(notices, min(self._timeout, LAST_WORDS))

    async def _run(self) -> None:
        pause = 1.0
        while True:
            await self._wait()
            notices = self._digest.take(time.monotonic())
            if not notices:
                continue
            if await self._tell(notices, self._timeout):
                pause = 1.0
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _wait(self) -> None:
        """Wait until something is due, or something new may change when that is."""
        self._something.clear()
        due = self._digest.due()
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                await self._something.wait()
        except TimeoutError:
            pass

    async def _tell(self, notices: list[Notice], timeout: float) -> bool:
        """Send a message; what cannot be sent waits again."""
        try:
            async with asyncio.timeout(timeout):
                await self._send(notices)
        except TimeoutError:
            log.warning("%s has not taken a message within %g s", self._name, timeout)
        except Exception as error:
            log.warning("%s does not take a message: %s", self._name, " ".join(str(error).split()) or repr(error))
        except asyncio.CancelledError:
            self._digest.put_back(notices, time.monotonic())
            raise
        else:
            return True
        self._digest.put_back(notices, time.monotonic())
        return False
