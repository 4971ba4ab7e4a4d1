"""Which process has said that it is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from circus.exc import SpawnError
from circus.kernel import states
from circus.kernel.notify import NotifySocket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from circus.kernel.watcher import Watcher


class Readiness:
    """Hears what processes with ``ready = notify`` tell, and hands it to their watchers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watchers: Mapping[str, Watcher]) -> None:
        self._loop = loop
        self._watchers = watchers
        self._socket: NotifySocket | None = None

    def address(self) -> str:
        """Return where processes tell it; the socket is bound at the first call. Raise ``SpawnError`` if it cannot."""
        if self._socket is None:
            try:
                self._socket = NotifySocket(self._loop, None, self._on_message)
            except OSError as error:
                raise SpawnError("resources", f"no socket for readiness messages: {error.strerror}") from None
        return self._socket.address

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()

    def _on_message(self, pid: int, message: dict[str, str]) -> None:
        for watcher in self._watchers.values():
            process = watcher.processes.get(pid)
            if process is None:
                continue
            process.status_text = message.get("STATUS", process.status_text)
            if message.get("READY") == "1" and process.state == states.STARTING:
                process.state, _ = states.step(process.state, states.READY)
                watcher.publish("ready", process_pid=pid, wid=process.wid)
                watcher.wake()
