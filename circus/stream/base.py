"""What every stream is: a place where the output of processes goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

HELD_BACK: Final = 1 << 20
"""Bytes that a stream keeps for a reader that is slow or gone for a while; what comes then is dropped."""


PROMPTLY: Final = 0.01
"""Seconds until a stream that holds something back is asked to pass it on."""
SLOWLY: Final = 1.0
"""The same where its reader has taken nothing for long."""


class Source(NamedTuple):
    """Whose output it is: one pipe of one process."""

    watcher: str
    wid: int
    """The slot of the process; 0 if it is not known."""
    pid: int
    name: str
    """``stdout`` or ``stderr``."""


class Loss(NamedTuple):
    """How much of one source's output a stream could not pass on, and why."""

    bytes: int
    lines: int
    reason: str


class Failure(NamedTuple):
    """How often a stream has raised over one source's output, and what it raised last."""

    times: int
    error: str


class Stream:
    """A place where the output of processes goes; several sources can share it.

    A constructor takes the options of the stream as keyword arguments, as texts (from an ini file) or as values, and
    raises ``ValueError`` for a wrong one. It touches nothing; :meth:`open` does. All other methods are called by one
    thread at a time, :meth:`write`, :meth:`flush` and :meth:`reopen` by the thread that carries output: they may wait
    for a disk, but never for a reader (of a terminal, pipe or socket). What such a reader does not take at once is held
    back, or dropped with :meth:`lose`.
    """

    takes_pieces: bool = False
    """Whether :meth:`write` may get pieces of lines while there is just one source; else it gets whole lines."""

    # Neither is ever changed, only replaced.
    _losses: Mapping[Source, Loss] = {}
    _failures: Mapping[Source, Failure] = {}

    def open(self) -> None:
        """Get ready, before the first process has output, and again after :meth:`close`. Raise ``OSError``.

        Do nothing if it is open.
        """

    def write(self, source: Source, data: bytes | memoryview) -> None:
        """Take output. A ``memoryview`` holds the bytes only until this returns.

        Unless the stream takes pieces, these are one or more whole lines, each with its newline; only the last of a
        source may lack it, and a line over 1 MiB comes in several calls. Raise an exception to say that all of ``data``
        is lost (any but an ``OSError`` is published as a failure, too); where a part is, call :meth:`lose` instead.
        """
        raise NotImplementedError

    def flush(self) -> bool | float:
        """Pass on what is held back. Return the seconds until this is to be called again if anything still is, else 0.

        True is 10 ms. It is called again at each :meth:`write`, too.
        """
        return False

    def reopen(self) -> None:
        """Open files anew, because something has moved them away. Raise ``OSError``; the stream goes on as it was."""

    def close(self) -> None:
        """Let go: no source is left. What is still held back is written if its reader takes it at once."""

    def lose(self, source: Source, data: bytes | memoryview, reason: str) -> None:
        """Count bytes of ``source`` that are dropped. They are published with the reason that came last."""
        before = self._losses.get(source, Loss(0, 0, ""))
        loss = Loss(before.bytes + len(data), before.lines + bytes(data).count(b"\n"), reason)
        self._losses = {**self._losses, source: loss}

    def take_losses(self) -> Mapping[Source, Loss]:
        """Return what was dropped since the last call."""
        losses, self._losses = self._losses, {}
        return losses

    def fail(self, source: Source, error: str) -> None:
        """Note an error that has nothing to do with the system, such as one in the code of a class of its own."""
        times = self._failures[source].times if source in self._failures else 0
        self._failures = {**self._failures, source: Failure(times + 1, error)}

    def take_failures(self) -> Mapping[Source, Failure]:
        """Return what went wrong since the last call."""
        failures, self._failures = self._failures, {}
        return failures

    def __call__(self, data: Mapping[str, Any]) -> None:
        """Write ``{"pid", "name", "data"}``: how programs that were made for Circus 0.19 call a stream."""
        self.open()
        self.write(Source("", 0, int(data["pid"]), str(data["name"])), bytes(data["data"]))


class Patience:
    """How long to wait until a reader is tried again: twice as long each time that it takes nothing, up to a second."""

    def __init__(self) -> None:
        self._wait = 0.0

    def after(self, taken: int, left: int) -> float:
        """Return the seconds to wait after a try of which so much was taken and left; 0 if nothing is left."""
        if not left:
            self._wait = 0.0
        elif taken or not self._wait:
            self._wait = PROMPTLY
        else:
            self._wait = min(2 * self._wait, SLOWLY)
        return self._wait


def seconds(said: bool | float) -> float:
    """Return for what a :meth:`Stream.flush` has said how long to wait until the next one; 0: there is none."""
    return PROMPTLY if said is True else float(said)


def lines_of(data: bytes | memoryview) -> list[bytes]:
    """Return the lines that :meth:`Stream.write` is given, without their newlines."""
    return bytes(data).removesuffix(b"\n").split(b"\n")


def timestamp(time_format: str, zone: tzinfo | None = None) -> bytes:
    """Return the time, local or in ``zone``, by a format of ``strftime`` (with ``%f``: microseconds), as bytes."""
    now = datetime.now(UTC).astimezone(zone)
    return now.strftime(time_format).encode("utf-8", "surrogateescape")
