"""The arbiter on a loop of its own, without what circusd puts around it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

from circus.config.schema import WatcherSettings
from circus.kernel.arbiter import Arbiter
from circus.launch.outfit import Outfit
from tests.support import DEADLINE


class BareHost:
    """A daemon without plugins, sockets and streams."""

    def outfit(self, settings: WatcherSettings, wid: int) -> Outfit:
        return Outfit()

    def launched(self, outfit: Outfit, pid: int) -> None:
        pass

    def died(self, pid: int, *, failed: bool) -> list[str]:
        return []

    def restream(self, before: WatcherSettings, after: WatcherSettings) -> bool:
        return False

    def awaited(self, settings: WatcherSettings) -> list[str]:
        return []

    def sockets(self) -> list[dict[str, Any]]:
        return []

    def logs(self, watchers: Sequence[str], lines: int, only: str, *, pieces: bool) -> list[dict[str, Any]]:
        return []

    def progress(self, name: str) -> int | None:
        return None


def test_the_sweep_collects_what_no_signal_told_of() -> None:
    """Nothing listens to SIGCHLD here, so that only the sweep can notice a death."""

    async def scenario() -> None:
        arbiter = Arbiter(asyncio.get_running_loop(), BareHost())
        watcher = arbiter.create(WatcherSettings(name="w", cmd="sleep 300"))
        await watcher.start().wait()
        (pid,) = watcher.pids()
        arbiter.check_delay = 0.05
        arbiter.sweep()
        replaced = asyncio.Event()
        arbiter.journal.subscribe(lambda topic, data: replaced.set() if topic.endswith(".spawn") else None)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(DEADLINE):
            await replaced.wait()
        assert pid not in watcher.pids()
        arbiter.quit()
        await arbiter.ended
        assert watcher.pids() == []
        arbiter.close()

    asyncio.run(scenario())
