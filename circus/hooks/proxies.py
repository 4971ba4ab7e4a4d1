"""What a hook's function gets as ``watcher`` and ``arbiter``: it runs outside of circusd, and these speak for it there.

Each look and each call is a command to the daemon. What changes something returns as soon as the daemon has taken it
on; ``waiting=True`` waits until it is done, which cannot be had for the very watcher that waits for the hook. A command
that is refused raises :class:`~circus.exc.CallError` with the reason.

These block for the time of the answer. An ``async def`` function has :meth:`WatcherProxy.acall` instead.
"""

from __future__ import annotations

from typing import Any, Protocol

from circus.client import Json
from circus.exc import CallError
from circus.kinds import nearest
from circus.util import to_signum


class Link(Protocol):
    """What carries the commands, from any thread, and says whose they are: that of a plugin does."""

    @property
    def endpoint(self) -> str: ...

    def call(self, command: str, props: Json) -> Json: ...

    async def acall(self, command: str, props: Json) -> Json: ...


class WatcherProxy:
    """A watcher, as a hook's function sees it.

    Beside what is listed here it has every option by its name, the free-form ones too, as the command ``options`` shows
    it: ``watcher.numprocesses``, ``watcher.cmd``, ``watcher.graceful_timeout`` … Each look asks anew.
    """

    def __init__(self, link: Link, name: str, arbiter: ArbiterProxy) -> None:
        self._link = link
        self.name = name
        self.arbiter = arbiter

    def __repr__(self) -> str:
        return f"<circus watcher {self.name!r}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        options = self.options()
        try:
            return options[name]
        except KeyError:
            known = [*options, *(entry for entry in dir(type(self)) if not entry.startswith("_"))]
            raise AttributeError(f"watcher {self.name!r} has no option {name!r}{nearest(name, known)}") from None

    def call(self, command: str, **props: Any) -> Json:
        """Send any command for this watcher and return its reply: ``watcher.call("kill", signum="INT")``."""
        return _accepted(command, self._link.call(command, {"name": self.name, **props}))

    async def acall(self, command: str, **props: Any) -> Json:
        """As :meth:`call`, to be awaited: for functions that are ``async def``."""
        return _accepted(command, await self._link.acall(command, {"name": self.name, **props}))

    # To read.

    @property
    def res_name(self) -> str:
        """The name with ``_`` for each blank, as the names of files and variables have it."""
        return self.name.lower().replace(" ", "_")

    @property
    def pids(self) -> list[int]:
        """The process ids, in order of spawning."""
        return list(self.call("list")["pids"])

    def get_active_pids(self) -> list[int]:
        """The process ids, as :attr:`pids` has them."""
        return self.pids

    def status(self) -> str:
        """``active``, ``stopped``, ``starting`` or ``stopping``."""
        return str(self.call("status")["status"])

    def is_active(self) -> bool:
        """Whether the status is ``active``."""
        return self.status() == "active"

    def is_stopped(self) -> bool:
        """Whether the status is ``stopped``."""
        return self.status() == "stopped"

    def is_stopping(self) -> bool:
        """Whether the status is ``stopping``."""
        return self.status() == "stopping"

    def options(self) -> Json:
        """Every option and its value."""
        return dict(self.call("options")["options"])

    def processes(self) -> dict[int, Json]:
        """The processes that run, by their ids; each has ``wid``, ``state`` and ``since`` (seconds since the epoch)."""
        return {process["pid"]: process for process in self.call("explain")["processes"] if process["pid"]}

    def info(self, extended: bool = False) -> dict[int, Any]:
        """What the command ``stats`` tells of each process, by their ids: memory, CPU, age, children …"""
        return {int(pid): info for pid, info in self.call("stats", extended=extended)["info"].items()}

    def process_info(self, pid: int, extended: bool = False) -> Any:
        """What the command ``stats`` tells of one process."""
        return self.call("stats", process=pid, extended=extended)["info"]

    # To act.

    def start(self, waiting: bool = False) -> Json:
        """Start it."""
        return self.call("start", waiting=waiting)

    def stop(self, waiting: bool = False) -> Json:
        """Stop it."""
        return self.call("stop", waiting=waiting)

    def restart(self, waiting: bool = False) -> Json:
        """Stop it and start it again."""
        return self.call("restart", waiting=waiting)

    def reload(self, graceful: bool = True, sequential: bool = False, waiting: bool = False) -> Json:
        """Replace its processes, without a gap if ``graceful``, one after the other if ``sequential``."""
        return self.call("reload", graceful=graceful, sequential=sequential, waiting=waiting)

    def incr(self, nb: int = 1, waiting: bool = False) -> Json:
        """Have so many processes more."""
        return self.call("incr", nb=nb, waiting=waiting)

    def decr(self, nb: int = 1, waiting: bool = False) -> Json:
        """Have so many processes less."""
        return self.call("decr", nb=nb, waiting=waiting)

    def set_opt(self, key: str, value: Any, waiting: bool = False) -> Json:
        """Change an option, typed as the command ``set`` takes it."""
        return self.call("set", options={key: value}, waiting=waiting)

    def send_signal(self, pid: int, signum: int | str) -> Json:
        """Send a signal, by number or name, to one of the processes."""
        return self.call("signal", pid=pid, signum=to_signum(signum))

    def notify_event(self, action: str, data: Json | None = None) -> Json:
        """Publish an event ``watcher.NAME.ACTION`` of this watcher. The actions of Circus itself are refused."""
        return self.call("notify", action=action, data=data or {})


class ArbiterProxy:
    """The daemon, as a hook's function sees it."""

    def __init__(self, link: Link, pubsub_endpoint: str, check_delay: float) -> None:
        self._link = link
        self.endpoint = link.endpoint
        self.pubsub_endpoint = pubsub_endpoint
        self.check_delay = check_delay

    def __repr__(self) -> str:
        return f"<circusd at {self.endpoint}>"

    def call(self, command: str, **props: Any) -> Json:
        """Send any command and return its reply: ``arbiter.call("globaloptions")``."""
        return _accepted(command, self._link.call(command, props))

    async def acall(self, command: str, **props: Any) -> Json:
        """As :meth:`call`, to be awaited: for functions that are ``async def``."""
        return _accepted(command, await self._link.acall(command, props))

    # To read.

    def watcher(self, name: str) -> WatcherProxy:
        """Return the watcher of that name without asking whether there is one."""
        return WatcherProxy(self._link, name, self)

    def get_watcher(self, name: str) -> WatcherProxy:
        """Return the watcher of that name, in any letter case. Raise ``KeyError`` if there is none."""
        names = list(self.statuses())
        for known in names:
            if known.lower() == name.lower():
                return self.watcher(known)
        raise KeyError(f"there is no watcher {name!r}{nearest(name, names)}")

    def iter_watchers(self, reverse: bool = True) -> list[WatcherProxy]:
        """Return all watchers by priority, the highest first unless ``reverse`` is false."""
        priorities: list[tuple[int, WatcherProxy]] = []
        for name in self.statuses():
            watcher = self.watcher(name)
            try:
                priorities.append((watcher.options()["priority"], watcher))
            except CallError:
                continue  # removed meanwhile
        return [watcher for _, watcher in sorted(priorities, key=lambda pair: pair[0], reverse=reverse)]

    @property
    def watchers(self) -> list[WatcherProxy]:
        """All watchers by priority, the highest first."""
        return self.iter_watchers()

    def statuses(self) -> dict[str, str]:
        """The status of each watcher, by its name as configured."""
        return dict(self.call("status")["statuses"])

    def numprocesses(self) -> int:
        """How many processes all watchers have together."""
        return int(self.call("numprocesses")["numprocesses"])

    def numwatchers(self) -> int:
        """How many watchers there are, plugins too."""
        return int(self.call("numwatchers")["numwatchers"])

    # To act.

    def add_watcher(self, name: str, cmd: str, start: bool = False, **options: Any) -> WatcherProxy:
        """Add a watcher, with options typed as the command ``add`` takes them, and return it."""
        self.call("add", name=name, cmd=cmd, start=start, options=options)
        return self.watcher(name)

    def rm_watcher(self, name: str, nostop: bool = False, waiting: bool = False) -> Json:
        """Stop a watcher, unless ``nostop``, and remove it."""
        return self.call("rm", name=name, nostop=nostop, waiting=waiting)

    def start_watchers(self, waiting: bool = False) -> Json:
        """Start all watchers but those with ``autostart = False``."""
        return self.call("start", waiting=waiting)

    def stop_watchers(self, waiting: bool = False) -> Json:
        """Stop all watchers."""
        return self.call("stop", waiting=waiting)

    def reload(self, graceful: bool = True, sequential: bool = False, waiting: bool = False) -> Json:
        """Reload all watchers."""
        return self.call("reload", graceful=graceful, sequential=sequential, waiting=waiting)


def _accepted(command: str, reply: Json) -> Json:
    if reply.get("status") == "error":
        raise CallError(f"{command}: {reply.get('reason') or 'refused without a reason; the log of circusd may tell'}")
    return reply
