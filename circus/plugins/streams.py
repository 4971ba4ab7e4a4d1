"""The plugin that runs the streams whose classes are not circusd's own, so that none of them runs in circusd."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from typing import Any, Final

from circus.hooks.running import Printed
from circus.hooks.spaces import Spaces
from circus.plugins.base import CircusPlugin
from circus.plugins.loading import PluginError
from circus.plugins.making_streams import Maker
from circus.plugins.stream_line import StreamLine
from circus.stream import wire

GRACE: Final = 5.0
"""Seconds that streams have for what is left when this process is to end."""


class StreamRunner(CircusPlugin):
    """Runs each stream in a thread of its own, so that one that hangs holds up itself alone."""

    name = "streams"

    def handle_init(self) -> None:
        """Take on what circusd hands over; have prints logged, and imports find the modules of their watcher."""
        if self.channel is None:
            raise PluginError("plugin:streams is for circusd, which starts it when a watcher has a stream for it")
        sys.stdout = sys.stderr = Printed()
        # Bytecode is told from what it was made of by whole seconds, which a file that is edited soon again defeats.
        sys.dont_write_bytecode = True
        spaces = Spaces()
        spaces.install()
        self._maker = Maker(spaces)
        self._lines: set[asyncio.Future[None]] = set()
        self._from_circusd = socket.socket(fileno=self.channel)
        self._from_circusd.setblocking(False)
        # Its end tells circusd of that of this process: no child may have it.
        os.set_inheritable(self.channel, False)
        os.register_at_fork(after_in_child=self._from_circusd.close)
        self._running = asyncio.get_running_loop()
        self._running.add_reader(self._from_circusd, self._take_on)

    async def handle_stop(self) -> None:
        """Let each stream finish what was read before this moment; what comes later is left to the next process."""
        with contextlib.suppress(OSError):
            self._from_circusd.send(wire.encode({"leaving": True}))
        if self._lines:
            await asyncio.wait(self._lines, timeout=GRACE)

    def _take_on(self) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._from_circusd, wire.DESCRIPTION + wire.MESSAGE, 1)
        except BlockingIOError:
            return
        if not message:  # circusd is gone
            self._running.remove_reader(self._from_circusd)
            return
        header, description = wire.decode(message)
        told: dict[str, Any] = {**header, **json.loads(description)}
        ended: asyncio.Future[None] = self._running.create_future()
        self._lines.add(ended)
        ended.add_done_callback(self._lines.discard)

        def on_end() -> None:
            with contextlib.suppress(OSError):
                self._from_circusd.send(wire.encode({"left": told["line"]}))
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._running.call_soon_threadsafe(ended.set_result, None)

        StreamLine(told, socket.socket(fileno=descriptors[0]), self._maker, on_end).start()
