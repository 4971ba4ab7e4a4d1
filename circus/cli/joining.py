"""Output that was kept and output as it comes, put together: each byte is there once, or is known to be missing."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]

_HELD = 10_000
"""Messages that wait in memory for a reply; those beyond them count as skipped."""
_REMEMBERED = 10_000
"""Processes whose place is known; the oldest are forgotten first."""


class Process(NamedTuple):
    """One process, which differs from all others."""

    watcher: str
    wid: int
    pid: int
    started: float

    @property
    def label(self) -> str:
        """How people call it."""
        return f"{self.watcher}.{self.wid}"

    @classmethod
    def of(cls, data: Json) -> Process:
        """Read it from an entry of ``logs`` or from a message."""
        return cls(str(data["watcher"]), int(data["wid"]), int(data["pid"]), float(data.get("started", 0)))


class Piece(NamedTuple):
    """Bytes that a process has written."""

    process: Process
    stream: str
    data: bytes


class Skipped(NamedTuple):
    """Here bytes are missing, and nobody can say what they were."""

    process: Process
    size: int


class End(NamedTuple):
    """Nothing more comes of a stream."""

    process: Process
    stream: str


class Dead(NamedTuple):
    """A process whose output was shown had ended before anybody asked."""

    process: Process


Delivery = Piece | Skipped | End | Dead


class Joiner:
    """Takes the replies of ``logs`` with ``pieces``, and the messages of the topics ``log.NAME``.

    The first reply is the beginning. Messages are held until :meth:`reply` says that the subscription is live; after a
    connection that was lost (:meth:`lost`) they are held again, and the next reply tells what was missed. All that is
    returned is to be shown in order.
    """

    def __init__(self, *, last: bool = False) -> None:
        """Begin; nothing more comes after the first reply if it is the ``last``."""
        self._last = last
        self.boot = ""
        """The life of the daemon that was heard last."""
        self.live = False
        """Whether messages are taken as they come."""
        self._known: dict[Process, int] = {}
        self._begun = False
        self._held: list[Json] = []

    def lost(self) -> None:
        """Take note that what is published may not arrive, until the next reply."""
        self.live = False
        self._held.clear()

    def reply(self, reply: Json, *, live: bool) -> list[Delivery]:
        """Take a reply of ``logs``; ``live`` if what was published before it was asked for has arrived."""
        boot = str(reply.get("boot", ""))
        if boot != self.boot:
            self._known.clear()
        self.boot = boot
        deliveries: list[Delivery] = []
        for entry in reply["logs"]:
            deliveries += self._catch_up(Process.of(entry), entry)
        self._begun = True
        self.live = live
        if live:
            held, self._held = self._held, []
            for message in held:
                deliveries += self.take(message)
        return deliveries

    def take(self, message: Json) -> list[Delivery]:
        """Take a message."""
        if not self.live:
            if len(self._held) < _HELD:
                self._held.append(message)
            return []
        process, stream = Process.of(message), str(message["stream"])
        deliveries = self._advance(process, stream, int(message["offset"]), _bytes(message))
        return [*deliveries, End(process, stream)] if message.get("end") else deliveries

    def _catch_up(self, process: Process, entry: Json) -> list[Delivery]:
        deliveries: list[Delivery] = []
        if not self._begun:
            deliveries += [Piece(process, str(piece["stream"]), _bytes(piece)) for piece in entry["pieces"]]
            self._known[process] = int(entry["offset"])
            deliveries += [End(process, stream) for stream in ("stdout", "stderr") if self._last]
        else:
            for piece in entry["pieces"]:
                deliveries += self._advance(process, str(piece["stream"]), int(piece["offset"]), _bytes(piece))
            deliveries += self._advance(process, "", int(entry["offset"]), b"")
        return [*deliveries, Dead(process)] if entry["pieces"] and deliveries and not entry["alive"] else deliveries

    def _advance(self, process: Process, stream: str, offset: int, data: bytes) -> list[Delivery]:
        """Go on behind what is known of a process. One that is not known has begun meanwhile."""
        known = self._known.get(process, 0)
        deliveries: list[Delivery] = [Skipped(process, offset - known)] if offset > known else []
        new = data[max(known - offset, 0) :]
        if new:
            deliveries.append(Piece(process, stream, new))
        self._known[process] = max(known, offset + len(data))
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return deliveries


def _bytes(data: Json) -> bytes:
    return str(data["data"]).encode("utf-8", "surrogateescape")
