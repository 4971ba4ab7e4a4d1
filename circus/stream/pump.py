"""The threads that carry output from processes to where it goes, so that a slow disk stops nothing else."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Final

from circus.stream import lines
from circus.stream.intake import Intake
from circus.stream.pipes import CAPACITY, Pipe
from circus.stream.troubles import told
from circus.stream.upkeep import Upkeep

if TYPE_CHECKING:
    from circus.stream.making import Sink, Sinks
    from circus.stream.troubles import Troubles

log = logging.getLogger("circus")

_PAUSE: Final = 0.01
"""Seconds to wait after small reads: then a chatty program costs no turn for each of its lines."""
_RUSH: Final = 0.05
"""Seconds without such a pause after a read that was not small."""
_PATIENCE: Final = 0.1
"""Seconds after which the beginning of a line is written without its end, where no other line can come between."""
_MOST_ENLARGED: Final = 32
"""Pipes that are enlarged at once: those of an unprivileged user may hold 64 MiB together (pipe(7))."""
_AFTER_DEFECT: Final = 1.0
"""Seconds without output after an error of this very code, so that a lasting one does no worse."""
_FAREWELL: Final = 5.0
"""Seconds for what is still to be written when circusd ends."""


class Pump:
    """A thread that reads the pipes of some sinks, and writes to these. It runs from the first :meth:`start` on.

    Whole lines are handed over; what follows the last newline waits for its end. At the end of the output it is handed
    over as it is, and also, after a moment, where the stream takes pieces and has just this one source.
    """

    def __init__(self, sinks: Sinks, troubles: Troubles) -> None:
        self._sinks = sinks
        self._thread: threading.Thread | None = None
        self.pipes: dict[int, Pipe] = {}
        """Those that it reads, by their descriptors."""
        self._orders: deque[Callable[[], object]] = deque()
        self._tails: dict[Pipe, float] = {}
        self._upkeep = Upkeep(sinks, troubles, self.pipes)
        self._rush = 0.0
        self._enlarged = 0
        self._ending = False

    # Any thread.

    def start(self) -> None:
        """Start the thread if it does not run yet. Raise ``OSError`` or ``RuntimeError`` if the system refuses."""
        if self._thread is not None:
            return
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._epoll.register(self._bell, select.EPOLLIN)
            self._intake = Intake()
            thread = threading.Thread(target=self._run, name="circus-output", daemon=True)
            thread.start()
        except (OSError, RuntimeError):
            os.close(self._bell)
            self._epoll.close()
            raise
        self._thread = thread

    def add(self, pipe: Pipe) -> None:
        """Read a pipe from now on, to its end."""
        if pipe.rest:
            self._tails[pipe] = time.monotonic() + _PATIENCE
        self.pipes[pipe.descriptor] = pipe
        self._enlarged += pipe.enlarged
        self._epoll.register(pipe.descriptor, select.EPOLLIN)

    @property
    def running(self) -> bool:
        """Whether the thread was started, and is not to end."""
        return self._thread is not None

    def order(self, task: Callable[[], object]) -> None:
        """Have the thread do something between two rounds; nothing is done where it does not run."""
        if self._thread is not None:
            self._orders.append(task)
            self._ring()

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def end(self) -> None:
        """Write everything that has been said, close all streams, and end the thread; :meth:`join` waits for that."""
        self.order(self._end)

    def join(self) -> None:
        """Wait for the end of the thread, but not for ever: a disk may have gone away."""
        if self._thread is not None:
            self._thread.join(2 * _FAREWELL)
            if self._thread.is_alive():
                log.error("output could not be written in %.0f s: some of it is lost", 2 * _FAREWELL)

    def close(self) -> None:
        """Let go of the descriptors when no thread gives orders any more: until then the bell may ring."""
        thread, self._thread = self._thread, None
        if thread is not None and not thread.is_alive():
            self._epoll.close()
            os.close(self._bell)

    # The thread.

    def carry(self, pipe: Pipe) -> None:
        """Write what is ahead in a pipe."""
        if pipe.sink.pump is not self:
            pipe.sink.pump.order(partial(pipe.sink.pump.carry, pipe))
            return
        while pipe.ahead:
            self._take(pipe)

    def swap(self, pipe: Pipe, sink: Sink) -> None:
        """Let the output of a pipe go elsewhere from now on, beginning with the line that is not complete."""
        if pipe.sink.pump is not self:
            pipe.sink.pump.order(partial(pipe.sink.pump.swap, pipe, sink))
            return
        if self.pipes.get(pipe.descriptor) is pipe:
            self._leave(pipe)
            pipe.sink, sink = sink, pipe.sink
            pipe.sink.pump.order(partial(pipe.sink.pump.add, pipe))
        sink.pump.order(partial(sink.pump.release, sink))

    def release(self, sink: Sink) -> None:
        """Count one pipe of a sink less."""
        self._upkeep.release(sink)

    def catch_up(self) -> None:
        """Write what is in the pipes now; nobody's output is more than one chunk."""
        for pipe in list(self.pipes.values()):
            self.carry(pipe)
            self._take(pipe)
            if self.pipes.get(pipe.descriptor) is pipe:  # the end of it may come right behind
                self._take(pipe)

    def reopen(self, chosen: Collection[Sink] | None) -> list[str]:
        """Have streams open their files anew, ``chosen`` ones or all; return what failed."""
        return self._upkeep.reopen([sink for sink in self._sinks.of(self) if chosen is None or sink in chosen])

    def _run(self) -> None:
        # Signals are for the main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        timeout: float | None = None
        while not self._ending:
            try:
                self._round(timeout)
                timeout = self._tidy()
            except Exception:
                log.exception("internal error: the output of some process may be lost")
                time.sleep(_AFTER_DEFECT)
                self._ring()  # there may be orders left
        self._finish()

    def _round(self, timeout: float | None) -> None:
        busy = False
        for descriptor, _ in self._epoll.poll(timeout):
            if descriptor == self._bell:
                os.eventfd_read(self._bell)
                while self._orders:
                    self._orders.popleft()()
            elif descriptor in self.pipes:
                busy = True
                self._take(self.pipes[descriptor])
        if busy and time.monotonic() > self._rush and not self._ending:
            time.sleep(_PAUSE)

    def _take(self, pipe: Pipe) -> None:
        """Take one chunk from a pipe and hand over the lines that are complete with it."""
        size = self._intake.read(pipe)
        if not size:
            if size == 0:
                self._end_of(pipe)
            return
        if size > CAPACITY // 4:  # so that no pipe fills up during a pause
            self._rush = time.monotonic() + _RUSH
        if size == CAPACITY and not pipe.enlarged and self._enlarged < _MOST_ENLARGED:
            self._enlarged += pipe.enlarge()
        data = self._intake.cut(pipe, size, CAPACITY if pipe.alone else lines.LONGEST)
        if data:
            self._write(pipe, data)
        if data or not pipe.rest:
            self._tails.pop(pipe, None)
        if pipe.rest:
            self._tails.setdefault(pipe, time.monotonic() + _PATIENCE)

    def _write(self, pipe: Pipe, data: bytes | memoryview) -> None:
        stream, source = pipe.sink.stream, pipe.source
        self._upkeep.touch(pipe.sink)
        try:
            stream.write(source, data)
        except OSError as error:
            stream.lose(source, data, error.strerror or str(error))
        except Exception as error:
            stream.lose(source, data, "the stream raised an error")
            stream.fail(source, told(error))

    def _end_of(self, pipe: Pipe) -> None:
        """Nobody writes to a pipe any more: hand over what is left, and let go of it."""
        if pipe.rest:
            self._write(pipe, pipe.rest)
            pipe.rest = b""
        self._leave(pipe)
        pipe.process.end(pipe)
        self._upkeep.release(pipe.sink)

    def _leave(self, pipe: Pipe) -> None:
        """Read a pipe no more."""
        self._tails.pop(pipe, None)
        self._enlarged -= pipe.enlarged
        del self.pipes[pipe.descriptor]
        self._epoll.unregister(pipe.descriptor)

    def _tidy(self) -> float | None:
        """Do what is due beside reading. Return the seconds until something else is; None if nothing will be."""
        waits = (self._hand_over_tails(), self._upkeep.round())
        return min((wait for wait in waits if wait is not None), default=None)

    def _hand_over_tails(self) -> float | None:
        """Hand over beginnings of lines that have waited long enough. Return the seconds until the next ones have."""
        if not self._tails:
            return None
        now = time.monotonic()
        for pipe, due in list(self._tails.items()):
            if due > now:
                return due - now
            del self._tails[pipe]
            if pipe.alone:
                self._write(pipe, pipe.rest)
                pipe.rest = b""
        return None

    def _end(self) -> None:
        self._ending = True

    def _finish(self) -> None:
        """Write what is in the pipes now, give streams a moment to pass on what they hold back, and close them."""
        deadline = time.monotonic() + _FAREWELL
        for pipe in list(self.pipes.values()):
            self.carry(pipe)
        while (ready := self._epoll.poll(0)) and time.monotonic() < deadline:
            for descriptor, _ in ready:
                if descriptor in self.pipes:
                    self._take(self.pipes[descriptor])
                elif descriptor == self._bell:
                    os.eventfd_read(self._bell)
        for pipe in list(self.pipes.values()):
            self._end_of(pipe)
        self._upkeep.pass_on(deadline)
        self._upkeep.close(self._sinks.of(self))
