"""One stream in the process that runs streams: what comes for it, and what is told of its failures."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from circus.hooks.running import RUNNING, Run, log_failure
from circus.plugins.loading import one_line
from circus.plugins.making_streams import Made, Maker
from circus.stream import wire
from circus.stream.base import Source, Stream, seconds

Json = dict[str, Any]

INTERVAL: Final = 1.0
"""Least seconds between two reports of failures, and between two attempts to make a stream."""

LONGEST: Final = 1000
"""Characters of an error that circusd is told: some have in them what they are about, and that can be long."""

HEADLESS: Final = "the process that had read the beginning of the line was killed"


class Report:
    """The failures of a stream that circusd has not been told of."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._error = ""
        self._count = 0
        self._lost: dict[str, list[Any]] = {}
        self._sent = float("-inf")

    @property
    def due(self) -> float | None:
        """When it is to be sent, in monotonic seconds; None if there is nothing."""
        return self._sent + INTERVAL if self._count or self._lost else None

    def fail(self, run: Run, error: BaseException) -> None:
        """Count a failure; the log has the first one since the last report."""
        if not self._count:
            log_failure(run, error)
        self._count += 1
        self._error = one_line(error)[:LONGEST]

    def lose(self, source: Source, size: int, lines: int, reason: str) -> None:
        """Count output that is lost; of all processes together, of which the last one is named."""
        _, _, size_before, lines_before, _ = self._lost.get(source.name, [0, "", 0, 0, ""])
        sums = [size_before + size, lines_before + lines]
        self._lost[source.name] = [source.wid, source.name, *sums, reason[:LONGEST]]

    def send(self) -> None:
        """Tell circusd, if it is time for that and there is something to tell."""
        if self.due is None or self.due > time.monotonic():
            return
        self._sent = time.monotonic()
        said = {"error": self._error, "count": self._count, "lost": list(self._lost.values())}
        try:
            self._line.send(wire.encode(said), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # the next one says it too
        except OSError:  # circusd is gone
            pass
        self._error, self._count, self._lost = "", 0, {}


class StreamLine(threading.Thread):
    """Runs one stream until its line ends, or this process is to leave it."""

    def __init__(self, told: Json, line: socket.socket, maker: Maker, on_end: Callable[[], None]) -> None:
        super().__init__(name=f"{told['name']}_stream of {told['watcher']}", daemon=True)
        self._told = told
        self._line = line
        self._maker = maker
        self._on_end = on_end
        self._run = Run(told["watcher"], f"{told['name']}_stream")
        self._report = Report(line)
        self._made: Made | None = None
        self._tried = float("-inf")
        self._problem = ""
        self._flush_at: float | None = None
        self._parts: list[bytes] = []
        self._poll = select.poll()
        self._poll.register(line, select.POLLIN)

    def run(self) -> None:
        """Take what comes, to the end."""
        RUNNING.set(self._run)
        try:
            while (message := self._next()) is not None and not self._obey(*message):
                pass
            self._close()
        finally:
            self._run.end()
            self._line.close()
            self._on_end()

    def _next(self) -> wire.Message | None:
        """Return the next message, None at the end; meanwhile do what is due."""
        while True:
            if self._flush_at is not None and self._flush_at <= time.monotonic():
                self._flush()
            self._report.send()
            if self._poll.poll(self._patience()):
                with contextlib.suppress(ConnectionResetError):  # circusd is gone; what it has sent is there still
                    message = self._line.recv(wire.MESSAGE)
                    return wire.decode(message) if message else None

    def _patience(self) -> float | None:
        """Milliseconds until something is due; None if nothing is."""
        times = [due for due in (self._report.due, self._flush_at) if due is not None]
        return max(0.0, min(times) - time.monotonic()) * 1000 + 1 if times else None

    def _obey(self, header: Json, data: bytes) -> bool:
        """Do what a message says; return whether it was the last one."""
        match header.get("do"):
            case None:
                self._take(header, data)
            case "open":
                self._tried = float("-inf")
                self._make()
            case "reopen":
                if self._made is not None and callable(reopen := getattr(self._made.stream, "reopen", None)):
                    self._attempt(reopen)
            case "close":
                self._close()
                with contextlib.suppress(OSError):
                    self._line.send(wire.encode({"closed": header["number"]}), socket.MSG_DONTWAIT)
            case "leave":
                return bool(header["channel"] == self._told["channel"])  # else it was for a process before this one
        return False

    def _take(self, header: Json, data: bytes) -> None:
        source = Source(self._told["watcher"], header["wid"], header["pid"], header["name"])
        if header["part"] == 0:
            self._parts.clear()
        if header["part"] != len(self._parts):
            self._report.lose(source, len(data), data.count(b"\n"), HEADLESS)
            return
        self._parts.append(data)
        if not header["more"]:
            self._pass_on(source, b"".join(self._parts), header["time"])
            self._parts.clear()

    def _pass_on(self, source: Source, data: bytes, when: float) -> None:
        problem = self._make()
        if self._made is not None:
            stream = self._made.stream
            if isinstance(stream, Stream) and type(stream).__call__ is Stream.__call__:
                _, problem = self._attempt(stream.write, source, data)
            else:
                moment = datetime.fromtimestamp(when, UTC).astimezone()
                called = {"pid": source.pid, "name": source.name, "data": data, "timestamp": moment}
                _, problem = self._attempt(stream, called)
            self._flush()
        if problem:
            self._report.lose(source, len(data), data.count(b"\n"), problem)

    def _flush(self) -> None:
        """What streams of Circus's own kind need after each call."""
        stream = self._made.stream if self._made is not None else None
        self._flush_at = None
        if isinstance(stream, Stream):
            wait, _ = self._attempt(lambda: seconds(stream.flush()))
            if wait:
                self._flush_at = time.monotonic() + wait
            for source, loss in stream.take_losses().items():
                self._report.lose(source, loss.bytes, loss.lines, loss.reason)

    def _make(self) -> str:
        """Make the stream if there is none; return why that failed, or an empty text."""
        if self._made is not None or time.monotonic() < self._tried + INTERVAL:
            return self._problem
        self._tried = time.monotonic()
        made, self._problem = self._attempt(self._maker.make, self._told)
        if made is None:
            return self._problem
        if callable(begin := getattr(made.stream, "open", None)):
            _, self._problem = self._attempt(begin)
        if self._problem:
            self._maker.forget(made)
        else:
            self._made = made
        return self._problem

    def _close(self) -> None:
        if self._made is None:
            return
        made, self._made, self._flush_at = self._made, None, None
        self._tried = float("-inf")
        if callable(close := getattr(made.stream, "close", None)):
            self._attempt(close)
        self._maker.forget(made)

    def _attempt(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
        """Call what an author wrote, which may raise anything; return its result, and what it raised."""
        try:
            return function(*arguments), ""
        except BaseException as error:
            self._report.fail(self._run, error)
            return None, one_line(error)
