"""Kill processes that no longer send heartbeats by UDP."""

from __future__ import annotations

import logging
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from circus.events import is_plugin, topic_name
from circus.exc import CallError
from circus.hooks.declarations import read_options
from circus.plugins import CircusPlugin, hookimpl
from circus.plugins.registration import WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.events import Event

log = logging.getLogger(__name__)

_AT_ONCE: Final = 500
"""Datagrams that are read before events and timers get their turn."""
_ENDING: Final = ("stopping", "killing")
"""States of a process that was told to end."""
_REMEMBERED: Final = 1000
"""Strangers that were logged; when there are more, they are logged anew."""


@dataclass
class Watched:
    """A process that is watched: whose it is, and when its last heartbeat came (seconds, monotonic)."""

    watcher: str
    last: float


class Vigil:
    """When each process was heard of last, and who has been silent for too long. Times are handed in."""

    def __init__(self, limit: float, longest_gap: float) -> None:
        """``limit``: seconds of silence; ``longest_gap``: seconds between two looks beyond which nobody is judged."""
        self.limit = limit
        self.longest_gap = longest_gap
        self.watched: dict[int, Watched] = {}
        self._looked = float("-inf")

    def begin(self, pid: int, watcher: str, now: float) -> None:
        """Watch a process; it has the whole limit from now on."""
        self.watched[pid] = Watched(watcher, now)

    def forget(self, pid: int) -> None:
        """Watch a process no longer."""
        self.watched.pop(pid, None)

    def beat(self, pid: int, now: float) -> bool:
        """Take in a heartbeat; return whether the process is watched."""
        if pid in self.watched:
            self.watched[pid].last = now
        return pid in self.watched

    def begin_again(self, now: float) -> None:
        """Give each process the whole limit from now on."""
        self._looked = now
        for process in self.watched.values():
            process.last = now

    def silent(self, now: float) -> dict[int, Watched]:
        """Return those that have been silent for too long; they are watched no longer."""
        # Who has not looked for long may have lost heartbeats, and must not blame the others for that.
        if now - self._looked > self.longest_gap:
            self.begin_again(now)
        self._looked = now
        found = {pid: process for pid, process in self.watched.items() if now - process.last > self.limit}
        for pid in found:
            del self.watched[pid]
        return found


class WatchDog(CircusPlugin):
    """Kill processes that no longer send heartbeats by UDP.

    Each process of the watchers that ``watchers_regex`` matches sends a datagram ``PID;TIME`` to ``ip`` and ``port``
    now and then, more often than once in ``loop_rate`` seconds. One that was silent for ``max_count`` times
    ``loop_rate`` seconds, counted from its last heartbeat or its start, is ended by the command ``kill``, and its
    watcher replaces it. ``watchers_stop_signal`` and ``watchers_graceful_timeout`` are those of this command.

    ``watchers_regex`` must match the beginning of the watcher's name, as configured or as in events; letter case does
    not count, and plugins are left out. ``msg_regex`` must match the datagram, and its group ``pid`` be the number of
    the process. What does not match, or comes from a process that is not watched, is ignored and logged. The time in
    the datagram does not count.

    While the port cannot be had, nobody is killed; it is tried again each ``loop_rate`` seconds.

    .. code-block:: ini

       [plugin:watchdog]
       watchers_regex = worker
       loop_rate = 5
       max_count = 3

    And in the worker:

    .. code-block:: python

       heart = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
       while work():
           heart.sendto(f"{os.getpid()};{time.time()}".encode(), ("127.0.0.1", 1664))
    """

    name = "watchdog"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = read_options(WATCHDOG.options, self.config)
        self.loop_rate: float = options["loop_rate"]
        self.watchers_regex = re.compile(options["watchers_regex"], re.IGNORECASE)
        self.msg_regex = re.compile(options["msg_regex"])
        if "pid" not in self.msg_regex.groupindex:
            raise ValueError("msg_regex has no group for the process; write (?P<pid>...) where its number stands")
        self.address: tuple[str, int] = (options["ip"], options["port"])
        self.kill_options = {
            "signum": options["watchers_stop_signal"],
            "graceful_timeout": options["watchers_graceful_timeout"],
        }
        self.vigil = Vigil(self.loop_rate * options["max_count"], self.loop_rate * 2)
        self._names: dict[str, str] = {}
        self._strangers: set[int] = set()
        self._condemned: set[int] = set()
        self._garbage = 0
        self._socket: socket.socket | None = None
        self._fault = ""

    def handle_init(self) -> None:
        """Take the port, and begin to look."""
        self._open()
        self.every(self.loop_rate, self.look_after)

    def handle_stop(self) -> None:
        """Leave the port."""
        if self._socket is not None:
            self.loop.remove_handler(self._socket.fileno())
            self._socket.close()
            self._socket = None

    @hookimpl
    def on_resync(self, snapshot: Mapping[str, Any]) -> None:
        """Watch what is there, and nothing else."""
        self._names = {topic_name(name): name for name in snapshot["watchers"]}
        there = {
            process["pid"]: topic_name(name)
            for name, watcher in snapshot["watchers"].items()
            for process in watcher["processes"]
            if process["state"] not in _ENDING and self._matches(topic_name(name))
        }
        for pid in self.vigil.watched.keys() - there.keys():
            self.vigil.forget(pid)
        self._condemned &= there.keys()
        for pid in there.keys() - self.vigil.watched.keys() - self._condemned:
            self.vigil.begin(pid, there[pid], time.monotonic())

    @hookimpl
    async def on_event(self, event: Event) -> None:
        """Watch what is started; forget what has ended."""
        if event.action == "spawn":
            if event.watcher not in self._names:
                await self._learn(event.watcher)
            if self._matches(event.watcher):
                self.vigil.begin(event.data["process_pid"], event.watcher, time.monotonic())
                self._strangers.discard(event.data["process_pid"])
        elif event.action == "kill":
            # It is being ended already, and may use its graceful timeout in silence.
            self.vigil.forget(event.data["process_pid"])
            self._condemned.add(event.data["process_pid"])
        elif event.action == "reap":
            self.vigil.forget(event.data["process_pid"])
            self._condemned.discard(event.data["process_pid"])
        elif event.action == "remove":
            self._names.pop(event.watcher, None)
            for pid in [pid for pid, process in self.vigil.watched.items() if process.watcher == event.watcher]:
                self.vigil.forget(pid)

    async def look_after(self) -> None:
        """Kill who is silent."""
        if self._socket is None:
            self._open()
            return
        # Heartbeats that have come while nobody looked count.
        self._receive()
        if self._garbage:
            log.warning("%d datagrams were no heartbeats; msg_regex is %s", self._garbage, self.msg_regex.pattern)
            self._garbage = 0
        for pid, process in self.vigil.silent(time.monotonic()).items():
            await self._kill(pid, process)

    async def _kill(self, pid: int, process: Watched) -> None:
        name = self._names.get(process.watcher, process.watcher)
        log.warning("%s: process %d has been silent for more than %g s and is killed", name, pid, self.vigil.limit)
        options = {key: value for key, value in self.kill_options.items() if value is not None}
        self._condemned.add(pid)
        try:
            reply = await self.acall("kill", name=name, pid=pid, **options)
            fault = "" if reply["status"] == "ok" else reply.get("reason")
        except CallError as error:
            fault = str(error)
        if fault:
            log.error("%s: process %d cannot be killed: %s", name, pid, fault)
            self._condemned.discard(pid)
            self.vigil.begin(pid, process.watcher, time.monotonic())

    async def _learn(self, watcher: str) -> None:
        """Learn how a watcher that is new was called when it was added."""
        reply = await self.acall("status")
        self._names |= {topic_name(name): name for name in reply.get("statuses", ())}
        self._names.setdefault(watcher, watcher)

    def _matches(self, watcher: str) -> bool:
        # Plugins send no heartbeats; this one would kill itself.
        return not is_plugin(watcher) and any(
            map(self.watchers_regex.match, (watcher, self._names.get(watcher, watcher)))
        )

    def _open(self) -> None:
        """Take the port, or log why that is not possible."""
        made = None
        try:
            family, kind, _, _, address = socket.getaddrinfo(*self.address, type=socket.SOCK_DGRAM)[0]
            made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            made.bind(address)
        except OSError as error:
            if made is not None:
                made.close()
            self._tell(f"UDP port {self.address[1]} of {self.address[0]} cannot be had: {error.strerror}")
            return
        self._tell("")
        self._socket = made
        self.vigil.begin_again(time.monotonic())
        self.loop.add_handler(made.fileno(), lambda _fd, _events: self._receive(), self.loop.READ)
        log.info("heartbeats are taken at UDP port %d of %s", made.getsockname()[1], self.address[0])

    def _tell(self, fault: str) -> None:
        """Log a fault once."""
        if fault and fault != self._fault:
            log.error(
                "%s. No heartbeat comes in, so nobody is killed; it is tried again each %g s", fault, self.loop_rate
            )
        self._fault = fault

    def _receive(self) -> None:
        """Take in what has come."""
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                datagram = self._socket.recv(65535)
            except OSError:  # nothing more
                return
            self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        pid = self._pid(datagram)
        if pid is None:
            self._garbage += 1
        elif not (self.vigil.beat(pid, time.monotonic()) or pid in self._condemned or pid in self._strangers):
            log.info("heartbeats of process %d are ignored: it is not watched", pid)
            if len(self._strangers) >= _REMEMBERED:
                self._strangers.clear()
            self._strangers.add(pid)

    def _pid(self, datagram: bytes) -> int | None:
        """The process whose heartbeat it is, None if it is none."""
        match = self.msg_regex.match(datagram.decode(errors="replace"))
        digits = (match["pid"] or "").strip() if match else ""
        return int(digits) if re.fullmatch(r"[0-9]{1,10}", digits) else None
