"""Capturing output: what the daemon asks for when processes start, end, and change where their output goes."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from circus.config.streams import JOINED, STREAMS
from circus.config.variables import expand, process_lookup
from circus.events import topic_name
from circus.exc import CircusError, SpawnError
from circus.stream.custom import Custom, is_custom
from circus.stream.making import Sink, Sinks
from circus.stream.opening import find_owner
from circus.stream.pipes import Captured, Pipe
from circus.stream.pump import Pump
from circus.stream.troubles import Report, Troubles

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings
    from circus.stream.handover import Remote
    from circus.stream.kept import Kept

_MOST_PUMPS: Final = 4
"""Threads that carry output, where there are so many processors."""
_LOAD: Final = 8
"""Pipes that each of them reads before another one starts."""
_NAMES: Final = dict(zip(STREAMS, ("stdout", "stderr"), strict=True))
_REMEDIES: Final = {
    errno.ENOENT: "make the folder {folder}, or name another file",
    errno.ENOTDIR: "make the folder {folder}, or name another file",
    errno.EACCES: "let circusd's user write there, or name another file",
    errno.EPERM: "remove it, or name another file",
    errno.EISDIR: "name a file in it",
    errno.ELOOP: "name another file",
    errno.ENXIO: "start what reads from it, or name another file",
}
_EXHAUSTED: Final = {
    errno.EMFILE: "circusd has no more file descriptors (raise its limit: ulimit -n)",
    errno.ENFILE: "the system has no more file descriptors (sysctl fs.file-max)",
}


class Capture:
    """The output of all processes of a daemon. Every method is for the loop's thread."""

    def __init__(self, kept: Kept, report: Report, remote: Remote) -> None:
        """Begin with nothing. The last output of each process is ``kept``; ``report`` is called from another thread.

        ``remote`` leads to the process that runs the streams of other classes than circusd's own.
        """
        self._sinks = Sinks(remote)
        troubles = Troubles(report)
        self._pumps = [Pump(self._sinks, troubles) for _ in range(min(_MOST_PUMPS, len(os.sched_getaffinity(0))))]
        self._kept = kept
        self._prepared: dict[int, Captured] = {}
        self._processes: dict[int, Captured] = {}

    # One process.

    def pipes(self, settings: WatcherSettings, wid: int, sockets: Mapping[str, int]) -> tuple[int | None, int | None]:
        """Return what a process that starts now gets as its stdout and stderr; None where that is not captured.

        ``sockets`` are the descriptors that file names may speak of. Raise ``SpawnError`` if a stream cannot be opened.
        """
        routes = routed(settings)
        if not any(routes.values()):
            return None, None
        process = Captured(settings.name, wid)
        writers: dict[str, int | None] = {"stdout": None, "stderr": None}
        try:
            for option, options in routes.items():
                if options is not None:
                    writers[_NAMES[option]] = self._pipe(
                        process, settings, option, expanded(options, settings, wid, sockets)
                    )
        except (OSError, RuntimeError) as error:
            self._abandon(process)
            raise SpawnError("resources", _EXHAUSTED.get(getattr(error, "errno", 0), str(error))) from None
        except SpawnError:
            self._abandon(process)
            raise
        if is_joined(settings):
            writers["stderr"] = writers["stdout"]
        self._prepared[process.pipes[0].writer] = process
        return writers["stdout"], writers["stderr"]

    def launched(self, stdout: int | None, stderr: int | None, pid: int) -> None:
        """A process has these descriptors of :meth:`pipes` now, or none came of it (``pid`` 0)."""
        writer = stdout if stdout is not None else stderr
        process = self._prepared.pop(-1 if writer is None else writer, None)
        if process is None:
            return
        if not pid:
            self._abandon(process)
            return
        process.output = self._kept.begin(process.watcher, process.wid, pid)
        self._processes[pid] = process
        for pipe in process.pipes:
            pipe.close_writer()
            pipe.sink.pump.add(pipe)

    def died(self, pid: int, *, failed: bool) -> list[str]:
        """Note that a process has ended. If it has ``failed``, return its last lines, among them what it wrote last."""
        process = self._processes.pop(pid, None)
        output = self._kept.died(pid)
        if process is None or output is None:
            return []
        if process.disowned:
            self._kept.forget(process.watcher)
        if not failed:
            return []
        for pipe in process.drain():
            pump = pipe.sink.pump  # it may be another one in a moment
            pump.order(partial(pump.carry, pipe))
        return output.last_words()

    def forget(self, watcher: str) -> None:
        """Keep nothing of a watcher that is gone. What its processes still write goes where it went."""
        self._kept.forget(watcher)
        for pid, process in list(self._processes.items()):
            process.disowned = process.disowned or topic_name(process.watcher) == topic_name(watcher)
            if process.disowned and not process.pipes:
                del self._processes[pid]
                self._kept.died(pid)
                self._kept.forget(process.watcher)

    # All of them.

    def restream(self, before: WatcherSettings, after: WatcherSettings) -> bool:
        """Let the output of running processes go where ``after`` says; return whether they must be replaced for that.

        Raise ``CircusError``, with nothing changed, if a stream cannot be opened.
        """
        old, new = routed(before), routed(after)
        replaced = is_joined(before) != is_joined(after) or any((old[key] is None) != (new[key] is None) for key in old)
        swaps: list[tuple[Pipe | None, Sink]] = []
        try:
            for option, options in new.items():
                if options is not None and options != old[option]:
                    for process in self._of(after.name):
                        sink = self._lease(after, option, expanded(options, after, process.wid, {}))
                        swaps.append((process.pipe(_NAMES[option]), sink))
        except (OSError, RuntimeError, SpawnError) as error:
            self._release(sink for _, sink in swaps)
            raise CircusError(str(error)) from None
        for pipe, sink in swaps:
            if pipe is None or replaced:  # it only had to be seen whether it can be opened
                self._release([sink])
            else:
                pump = pipe.sink.pump
                pump.order(partial(pump.swap, pipe, sink))
        return replaced

    def reopen(self, watcher: str | None, done: Callable[[list[str]], object]) -> None:
        """Have the streams of a watcher, or all of them, open their files anew: something has moved them away.

        ``done`` is called, perhaps in another thread, with what could not be opened.
        """
        chosen = None
        if watcher is not None:
            chosen = [pipe.sink for process in self._of(watcher) for pipe in list(process.pipes)]
        failures: list[str] = []
        self._in_turn(lambda pump: failures.extend(pump.reopen(chosen)), partial(done, failures))

    def settle(self, act: Callable[[], object]) -> None:
        """Call a function, in another thread, when what has been said so far was handed to the streams."""
        self._in_turn(Pump.catch_up, act)

    def close(self) -> None:
        """Write everything that processes have said, and close all streams."""
        for pump in self._pumps:
            pump.end()
        for pump in self._pumps:
            pump.join()
        for pump in self._pumps:
            pump.close()

    def _in_turn(self, act: Callable[[Pump], None], then: Callable[[], object]) -> None:
        """Have each pump that runs do something, one after the other, then call a function in the last one's thread."""

        def proceed(pumps: list[Pump]) -> None:
            if pumps:
                pumps[0].order(partial(one, pumps))
            else:
                then()

        def one(pumps: list[Pump]) -> None:
            act(pumps[0])
            proceed(pumps[1:])

        proceed([pump for pump in self._pumps if pump.running])

    def _of(self, watcher: str) -> Iterable[Captured]:
        return [
            process
            for process in self._processes.values()
            if process.watcher.lower() == watcher.lower() and not process.disowned
        ]

    def _release(self, sinks: Iterable[Sink]) -> None:
        for sink in sinks:
            sink.pump.order(partial(sink.pump.release, sink))

    def _pipe(self, process: Captured, settings: WatcherSettings, option: str, options: Mapping[str, str]) -> int:
        sink = self._lease(settings, option, options)
        try:
            writer = process.add(_NAMES[option], sink).writer
        except OSError:
            self._release([sink])
            raise
        if settings.uid is not None:
            # Else a program of another user could not open /dev/stdout, as some do for their logs.
            with contextlib.suppress(OSError, ValueError):
                os.fchown(writer, find_owner(str(settings.uid)).uid, -1)
        return writer

    def _lease(self, settings: WatcherSettings, option: str, options: Mapping[str, str]) -> Sink:
        running = [pump for pump in self._pumps if pump.running] or self._pumps[:1]
        pump = min(running, key=lambda pump: len(pump.pipes))
        if len(pump.pipes) >= _LOAD:
            pump = min(self._pumps, key=lambda pump: len(pump.pipes))
        pump.start()
        custom = Custom.of(settings, _NAMES[option], options) if is_custom(options) else None
        try:
            return self._sinks.lease(options, pump, custom)
        except ValueError as error:
            raise SpawnError("streams", f"{option}: {error}") from None
        except OSError as error:
            if error.errno in _EXHAUSTED:
                raise
            raise SpawnError("streams", explained(option, options, error)) from None

    def _abandon(self, process: Captured) -> None:
        """Let go of a process that was not started."""
        for pipe in process.pipes:
            pipe.close()
            self._release([pipe.sink])


def routed(settings: WatcherSettings) -> dict[str, Mapping[str, str] | None]:
    """Return the options of each stream that has a pipe of its own; None for the others."""
    closed = {"stdout_stream": settings.close_child_stdout, "stderr_stream": settings.close_child_stderr}
    routes = {option: None if closed[option] else getattr(settings, option) or None for option in STREAMS}
    if settings.stderr_stream.get("class") == JOINED:
        routes["stderr_stream"] = None
    return routes


def is_joined(settings: WatcherSettings) -> bool:
    """Whether stderr goes the way of stdout."""
    return settings.stderr_stream.get("class") == JOINED and not settings.close_child_stderr


def expanded(
    options: Mapping[str, str], settings: WatcherSettings, wid: int, sockets: Mapping[str, int]
) -> dict[str, str]:
    """Return the options of a stream with the variables of one process replaced."""
    lookup = process_lookup(settings, wid, sockets)
    return {key: expand(value, lookup) for key, value in options.items()}


def explained(option: str, options: Mapping[str, Any], error: OSError) -> str:
    """Say which option names what cannot be opened, and what to do about it."""
    path = str(error.filename or options.get("filename", ""))
    if not path:
        return f"{option}: {error.strerror or error}"
    if "filename" not in options:
        return f"{option}.class: {path}: {error.strerror}; start it, or name another class or address"
    remedy = _REMEDIES.get(error.errno or 0, "name another file").format(folder=os.path.dirname(path) or ".")
    return f"{option}.filename: {path}: {error.strerror}; {remedy}"
