"""What all watchers of one daemon share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from circus.exc import CircusError

if TYPE_CHECKING:
    import asyncio

    from circus.config.schema import WatcherSettings
    from circus.kernel.gates import Gates
    from circus.kernel.journal import Journal
    from circus.kernel.orphans import Orphans
    from circus.kernel.reaper import Reaper
    from circus.kernel.runqueue import RunQueue
    from circus.launch.outfit import Outfit


class Host(Protocol):
    """What surrounds the kernel: plugins, sockets and output, of which it knows nothing itself."""

    def outfit(self, settings: WatcherSettings, wid: int) -> Outfit:
        """Return the descriptors of a process that is about to start. Raise ``SpawnError`` if they cannot be had."""

    def launched(self, outfit: Outfit, pid: int) -> None:
        """Let go of circusd's side of an outfit: a process has it now, or none came of it (``pid`` 0)."""

    def died(self, pid: int, *, failed: bool) -> list[str]:
        """Take in what a process had written when it ended; return its last lines if it has ``failed``."""

    def restream(self, before: WatcherSettings, after: WatcherSettings) -> bool:
        """Let the output of running processes go where ``after`` says; return whether they must be replaced for that.

        Raise ``CircusError``, with nothing changed, if that is nowhere.
        """

    def awaited(self, settings: WatcherSettings) -> list[str]:
        """Return the names of the sockets whose connections bring a watcher with ``on_demand`` up."""

    def reopen(self, watcher: str | None) -> asyncio.Future[list[str]]:
        """Have the files of a watcher's streams, or all and circusd's log, opened anew; return what failed."""

    def sockets(self) -> list[dict[str, Any]]:
        """Return the sockets that are held for processes, as the command ``listsockets`` shows them."""

    def logs(self, watchers: Sequence[str], lines: int, only: str, *, pieces: bool) -> list[dict[str, Any]]:
        """Return what processes of these watchers have written last, as the command ``logs`` shows it."""

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
    host: Host
    closing: bool = False
    """True once everything is being stopped for good: nothing is started any more."""

    def refuse_when_closing(self) -> None:
        """Raise ``CircusError`` once everything is being stopped for good."""
        if self.closing:
            raise CircusError("circusd is shutting down")
