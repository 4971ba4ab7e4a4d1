"""What is done for streams beside writing to them: passing on what they hold back, closing them, telling of losses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from circus.stream.base import PROMPTLY, seconds
from circus.stream.troubles import told

if TYPE_CHECKING:
    from circus.stream.making import Sink, Sinks
    from circus.stream.pipes import Pipe
    from circus.stream.troubles import Troubles

_GRACE: Final = 5.0
"""Seconds for the reader of a stream to which no pipe leads any more to take what is held back; then it is lost."""


class Upkeep:
    """Looks after the streams that one pump writes to, in its thread."""

    def __init__(self, sinks: Sinks, troubles: Troubles, pipes: Mapping[int, Pipe]) -> None:
        self._sinks = sinks
        self._troubles = troubles
        self._pipes = pipes
        self._touched: set[Sink] = set()
        self._held: dict[Sink, float] = {}
        self._unused: dict[Sink, float] = {}

    def touch(self, sink: Sink) -> None:
        """Have a stream looked at in the next round: something was written to it."""
        self._touched.add(sink)

    def release(self, sink: Sink) -> None:
        """Count one pipe of a sink less; its stream is closed soon when there is none."""
        if self._sinks.release(sink):
            self._unused[sink] = time.monotonic() + _GRACE
            self.touch(sink)

    def round(self) -> float | None:
        """Do what is due. Return the seconds until something else is; None if nothing will be."""
        now = time.monotonic()
        self._touched.update(sink for sink, due in self._held.items() if due <= now)
        for sink in list(self._touched):
            wait = self._flush(sink)
            if wait:
                self._held[sink] = now + wait
            else:
                self._held.pop(sink, None)
            if sink.pipes == 0 and (not wait or now >= self._unused[sink]) and self._sinks.retire(sink):
                self._held.pop(sink, None)
                del self._unused[sink]
                self.guard(sink, sink.stream.close)
            self._troubles.collect(sink.stream)
        self._touched.clear()
        waits = [max(due - now, 0.0) for due in self._held.values()]
        report = self._troubles.report()
        return min(waits if report is None else [*waits, report], default=None)

    def guard(self, sink: Sink, act: Callable[[], None]) -> list[str]:
        """Have a stream do something, and return what went wrong."""
        try:
            act()
        except Exception as error:
            return [self._blame(sink, error)]
        return []

    def reopen(self, sinks: list[Sink]) -> list[str]:
        """Have streams open their files anew; return what failed."""
        return [failure for sink in sinks for failure in self.guard(sink, sink.stream.reopen)]

    def pass_on(self, deadline: float) -> None:
        """Give streams until then to pass on what they hold back."""
        self.round()
        while self._held and time.monotonic() < deadline:
            time.sleep(PROMPTLY)
            self._touched.update(self._held)
            self.round()

    def close(self, sinks: list[Sink]) -> None:
        """Close streams, and tell what was lost."""
        for sink in sinks:
            self.guard(sink, sink.stream.close)
            self._troubles.collect(sink.stream)
        self._troubles.report(everything=True)

    def _flush(self, sink: Sink) -> float:
        """Have a stream pass on what it holds back; return the seconds until it is to try again, 0 if that is all."""
        try:
            return seconds(sink.stream.flush())
        except Exception as error:
            self._blame(sink, error)
            return 0.0

    def _blame(self, sink: Sink, error: Exception) -> str:
        """Note what a stream has raised when it was about no source in particular, and return it as a text."""
        self.touch(sink)
        for pipe in list(self._pipes.values()):
            if pipe.sink is sink:
                sink.stream.fail(pipe.source, told(error))
                break
        return told(error)
