"""What surrounds the kernel in circusd: who gives processes their descriptors, and takes in what they write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.launch.outfit import Outfit

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings
    from circus.daemon.plugins import PluginHost


class Host:
    """The kernel's :class:`~circus.kernel.context.Host`, put together from the parts that know."""

    def __init__(self, plugins: PluginHost) -> None:
        self.plugins = plugins
        self.progress = plugins.progress

    def outfit(self, settings: WatcherSettings, wid: int) -> Outfit:
        """Return the descriptors of a process that is about to start. Raise ``SpawnError`` if they cannot be had."""
        if settings.briefing:
            stdin, inherited = self.plugins.brief(settings)
            return Outfit(stdin=stdin, inherited=inherited)
        return Outfit()

    def launched(self, outfit: Outfit, pid: int) -> None:
        """Let go of circusd's side of an outfit: a process has it now, or none came of it (``pid`` 0)."""

    def died(self, pid: int, *, failed: bool) -> list[str]:
        """Take in what a process had written when it ended; return its last lines if it has ``failed``."""
        return []

    def restream(self, before: WatcherSettings, after: WatcherSettings) -> bool:
        """Let the output of running processes go where ``after`` says; return whether they must be replaced for that.

        Raise ``CircusError``, with nothing changed, if that is nowhere.
        """
        return False

    def sockets(self) -> list[dict[str, Any]]:
        """Return the sockets that are held for processes, as the command ``listsockets`` shows them."""
        return []
