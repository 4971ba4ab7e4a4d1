"""Work that takes several turns: each piece is a task, and its intent tells how it ended, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from circus.exc import CircusError, CommandFailed
from circus.kernel.intents import Intent

if TYPE_CHECKING:
    from circus.kernel.journal import Journal
    from circus.kernel.order import Operation


class Tasks:
    """The tasks of one arbiter."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, journal: Journal, on_defect: Callable[[None, BaseException], None]
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._on_defect = on_defect
        self._running: set[asyncio.Task[None]] = set()

    def run(self, kind: str, work: Callable[[], Awaitable[dict[str, Any]]]) -> Intent:
        """Run work whose result is the keys of the reply. A ``CircusError`` becomes the failure of the intent."""
        intent = Intent(kind, self._journal.seq)

        async def follow() -> None:
            try:
                intent.finish(**await work())
            except CircusError as error:
                intent.fail(str(error))

        self._start(follow, intent)
        return intent

    def operate(self, kind: str, operation: Operation, work: Callable[[], Awaitable[None]]) -> Intent:
        """Run an operation on many watchers; the intent fails with the reasons of all that failed."""

        async def follow() -> dict[str, Any]:
            await work()
            failures = await operation.result()
            if failures:
                raise CommandFailed("; ".join(failures))
            return {}

        return self.run(kind, follow)

    def cancel(self) -> None:
        """Give up whatever runs; who waits for it is told that it was superseded."""
        for task in self._running:
            task.cancel()

    def _start(self, work: Callable[[], Awaitable[None]], intent: Intent) -> None:
        async def guarded() -> None:
            try:
                await work()
            except Exception as error:  # a defect in one piece of work must not end the daemon
                self._on_defect(None, error)
                intent.fail(f"internal error: {error!r}")

        def ended(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            intent.supersede()  # unless it ended in another way

        task = self._loop.create_task(guarded())
        self._running.add(task)
        task.add_done_callback(ended)
