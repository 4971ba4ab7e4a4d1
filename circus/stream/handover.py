"""Which process runs which stream: each one that starts is told of all lines, and takes them over from the one before.

There are two at once while ``plugin:streams`` is reloaded. A line belongs to one of them: the older one reads as far as
it is told to, and says when it has let go.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from circus.stream import wire
from circus.stream.remote import Line

if TYPE_CHECKING:
    import asyncio

    from circus.stream.custom import Custom
    from circus.stream.troubles import Report

_RETRY: Final = 0.1
"""Seconds until a line is announced again when there was no room for that."""


class Remote:
    """Every line of one daemon. It belongs to the loop's thread, but for what is said otherwise."""

    def __init__(self, loop: asyncio.AbstractEventLoop, summon: Callable[[], None], report: Report) -> None:
        """``summon`` has the process started if it does not run."""
        self.loop = loop
        self.report = report
        self.settle: Callable[[Callable[[], None]], None] = lambda act: act()
        """Calls a function as soon as all that was read before has been handed to the streams."""
        self._summon = summon
        self._lines: dict[bytes, Line] = {}
        self._channels: list[Channel] = []
        self._numbers = itertools.count(1)

    def channel(self) -> int:
        """Return the descriptor by which a process that starts now is told of its streams. Raise ``OSError``.

        A process that has them still is told to hand them over.
        """
        channel = Channel(self, next(self._numbers))
        for other in self._channels:
            self.dismiss(other)
        self._channels.append(channel)
        self.announce()
        return channel.theirs.fileno()

    def launched(self, inherited: Collection[int]) -> None:
        """A process has inherited these descriptors, or none came of it: from now on its end shows."""
        for channel in self._channels:
            if channel.theirs.fileno() in inherited:
                channel.theirs.close()

    def connect(self, custom: Custom) -> Line:
        """Return the line of a stream, made if there is none. Raise ``OSError`` if that cannot be had."""
        description = custom.description
        line = self._lines.get(description)
        if line is None:
            if len(description) > wire.DESCRIPTION:
                raise OSError(errno.E2BIG, f"the options of a stream may have {wire.DESCRIPTION} bytes together")
            line = self._lines[description] = Line(self, custom)
            self.announce()
            self._summon()
        line.take()
        return line

    def forget(self, line: Line) -> None:
        """Let go of a line that nobody needs any more."""
        self._lines.pop(line.custom.description, None)
        line.hang_up()

    def close(self) -> None:
        """Let go of everything."""
        for line in list(self._lines.values()):
            self.forget(line)
        for channel in list(self._channels):
            channel.hang_up()
        self._channels.clear()

    def announce(self) -> None:
        """Tell the newest process of the lines that no process has."""
        channel = self._channels[-1] if self._channels else None
        if channel is not None and not channel.leaving:
            for line in self._lines.values():
                if line.owner is None and not channel.announce(line):
                    return

    def dismiss(self, channel: Channel) -> None:
        """Tell a process by each line how far it has to go, so that the next one can go on from there."""
        channel.leaving = True
        for line in self._lines.values():
            if line.owner is channel:
                line.send([wire.encode({"do": "leave", "channel": channel.number})], always=True)

    def release(self, channel: Channel, line: str | None) -> None:
        """Note that a process has let go of a line, or, without one, that it has ended."""
        if line is None:
            self._channels.remove(channel)
        for other in self._lines.values():
            if other.owner is channel and line in (None, other.name):
                other.owner = None
        self.announce()


class Channel:
    """How one process is told of its lines, and what it says about them."""

    def __init__(self, remote: Remote, number: int) -> None:
        self.number = number
        self.ours, self.theirs = wire.pair()
        self.leaving = False
        """Whether it gets no new lines."""
        self._remote = remote
        remote.loop.add_reader(self.ours, self._hear)

    def announce(self, line: Line) -> bool:
        """Hand over a line; return False if there is no room now: then it is tried again later."""
        loop = self._remote.loop
        told = wire.encode({"channel": self.number, "line": line.name}, line.custom.description)
        try:
            socket.send_fds(self.ours, [told], [line.theirs.fileno()])
        except ConnectionError:  # it has just ended
            return False
        except OSError:  # it has much to read, or too many descriptors are on their way
            loop.call_later(_RETRY, self._remote.announce)
            return False
        line.owner = self
        line.close_again()
        return True

    def hang_up(self) -> None:
        """Let go of both ends."""
        self._remote.loop.remove_reader(self.ours)
        self.ours.close()
        self.theirs.close()

    def _hear(self) -> None:
        try:
            message = self.ours.recv(wire.MESSAGE)
        except BlockingIOError:
            return
        except ConnectionError:
            message = b""
        if not message:
            self.hang_up()
            self._remote.release(self, None)
            return
        with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError):
            said = wire.decode(message).header
            if "left" in said:
                self._remote.release(self, str(said["left"]))
            elif "leaving" in said:
                self._remote.settle(lambda: self._remote.dismiss(self))
