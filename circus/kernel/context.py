"""What all watchers of one daemon share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from circus.exc import CircusError

if TYPE_CHECKING:
    import asyncio

    from circus.config.schema import WatcherSettings
    from circus.kernel.gates import Gates
    from circus.kernel.journal import Journal
    from circus.kernel.orphans import Orphans
    from circus.kernel.reaper import Reaper
    from circus.kernel.runqueue import RunQueue


class Host(Protocol):
    """What plugins need of the daemon beside the kernel."""

    def brief(self, settings: WatcherSettings) -> tuple[int, tuple[int, ...]]:
        """Return the standard input of a process that starts now and has a briefing, and what else it inherits.

        Raise ``SpawnError`` if that cannot be had.
        """

    def progress(self, name: str) -> int | None:
        """Return the number of the last event that the plugin under a watcher has finished."""


@dataclass(slots=True)
class Context:
    """The loop, who takes turns on it, who collects children, and where events go."""

    loop: asyncio.AbstractEventLoop
    queue: RunQueue
    journal: Journal
    reaper: Reaper
    orphans: Orphans
    gates: Gates
    notify_address: Callable[[], str]
    """Returns the address for the readiness messages of children; binds it at the first call."""
    on_failure: Callable[[str, int], None]
    """Called with a watcher's name and an exit code when it gave up and ``on_failure = exit``."""
    brief: Callable[[WatcherSettings], tuple[int, tuple[int, ...]]]
    """See :meth:`Host.brief`."""
    closing: bool = False
    """True once everything is being stopped for good: nothing is started any more."""

    def refuse_when_closing(self) -> None:
        """Raise ``CircusError`` once everything is being stopped for good."""
        if self.closing:
            raise CircusError("circusd is shutting down")
