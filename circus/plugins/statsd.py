"""What is sent to a statsd server: a base for plugins that look after something, and two plugins."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from circus import kinds
from circus.events import is_plugin, topic_name
from circus.hooks.declarations import read_options
from circus.plugins import CircusPlugin, hookimpl
from circus.plugins.registration import LOOP_RATE, statsd_options
from circus.plugins.statsd_client import StatsdClient

if TYPE_CHECKING:
    from circus.events import Event

__all__ = ["BaseObserver", "FullStats", "StatsdClient", "StatsdEmitter"]

log = logging.getLogger(__name__)


class _StatsdPlugin(CircusPlugin):
    """A plugin with a client for statsd, whose names begin with ``circus.APP.watcher.``"""

    default_app_name = "app"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = read_options(statsd_options(self.default_app_name), self.config)
        self.app: str = options["application_name"]
        self.prefix = f"circus.{self.app}.watcher"
        self.statsd = StatsdClient(options["host"], options["port"], self.prefix, options["sample_rate"])

    def handle_stop(self) -> Any:
        """Close the connection."""
        self.statsd.stop()
        super().handle_stop()


class BaseObserver(_StatsdPlugin):
    """A base for plugins that look after something: ``look_after`` is called each ``loop_rate`` seconds.

    Subclasses define ``look_after``, which may be ``async def``, and is never called again before it is done. They have
    ``loop_rate`` (seconds), ``statsd`` (a :class:`StatsdClient`), ``prefix`` (what its names begin with) and ``app``
    (the option ``application_name``, by default ``default_app_name``).
    """

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.loop_rate: float = read_options([LOOP_RATE], self.config)["loop_rate"]

    def handle_init(self) -> Any:
        """Begin to look."""
        super().handle_init()
        self.every(self.loop_rate, self.look_after)

    def look_after(self) -> Awaitable[None] | None:
        """Look once."""
        raise NotImplementedError


class StatsdEmitter(_StatsdPlugin):
    """Count each event with a statsd server.

    For each event of a watcher, the counter ``circus.APP.watcher.WATCHER.ACTION`` goes up by one: those of its
    processes (``spawn``, ``reap`` …), of itself (``start``, ``stop`` …) and of its hooks. ``APP`` is the option
    ``application_name``, ``WATCHER`` the name as in events: in lower case, with ``_`` for what statsd cannot take. A
    dot stays, and makes a level of its own.

    .. code-block:: ini

       [plugin:statsd]
       host = graphite.example.com
       application_name = shop
    """

    name = "statsd"

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Count one."""
        self.statsd.increment(f"{event.watcher}.{event.action}")


class FullStats(BaseObserver):
    """Gauge each watcher's use of CPU and memory with a statsd server.

    Each ``loop_rate`` seconds, these gauges are sent for each watcher that is no plugin. Their names begin with
    ``circus.APP.watcher._stats.WATCHER.``, where ``APP`` is the option ``application_name``, and ``WATCHER`` the name
    as configured, with ``_`` for what statsd cannot take.

    =================================== ==============================================================================
    ``watchers_num``                    how many processes it has
    ``cpu_max``, ``cpu_sum``            the most that one of them, and what all together, use of a core, in percent
    ``mem_pct_max``, ``mem_pct_sum``    the same of the machine's memory, in percent
    ``mem_max``, ``mem_sum``            the same in bytes
    ``spawn_count``                     how many processes were started for it since this plugin was
    =================================== ==============================================================================

    .. code-block:: ini

       [plugin:full_stats]
       loop_rate = 10
       host = graphite.example.com
    """

    name = "full_stats"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self._spawned: dict[str, int] = {}
        self._alive: dict[str, set[int]] = {}

    @hookimpl
    def on_resync(self, snapshot: Mapping[str, Any]) -> None:
        """Take note of what was started while nobody told of it."""
        for name, watcher in snapshot["watchers"].items():
            for process in watcher["processes"]:
                self._note(topic_name(name), process["pid"])

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Count what is started."""
        if event.action == "spawn":
            self._note(event.watcher, event.data["process_pid"])
        elif event.action == "reap":
            self._alive.get(event.watcher, set()).discard(event.data["process_pid"])
        elif event.action == "remove":
            self._spawned.pop(event.watcher, None)
            self._alive.pop(event.watcher, None)

    def _note(self, watcher: str, pid: int) -> None:
        """Count a process, once."""
        alive = self._alive.setdefault(watcher, set())
        if pid not in alive:
            alive.add(pid)
            self._spawned[watcher] = self._spawned.get(watcher, 0) + 1

    async def look_after(self) -> None:
        """Send all gauges."""
        reply = await self.acall("stats")
        if reply["status"] != "ok":
            log.error("circusd does not tell what processes use: %s", reply.get("reason"))
            return
        for name, processes in reply["infos"].items():
            if not is_plugin(name):
                values = summary(processes.values()) | {"spawn_count": self._spawned.get(topic_name(name), 0)}
                for key, value in values.items():
                    self.statsd.gauge(f"_stats.{name}.{key}", value)


def summary(processes: Iterable[Any]) -> dict[str, float]:
    """Return the most and the sum of what processes use, as the command ``stats`` tells it; what it cannot is left out.

    A process that has just gone stands there as a text.
    """
    found = [process for process in processes if isinstance(process, Mapping)]
    values: dict[str, float] = {"watchers_num": len(found)}
    for name, key in (("cpu", "cpu"), ("mem_pct", "mem"), ("mem", "mem_info1")):
        used = [number for number in (_number(process.get(key)) for process in found) if number is not None]
        values[f"{name}_max"] = max(used, default=0)
        values[f"{name}_sum"] = round(sum(used), 3)
    return values


def _number(value: Any) -> float | None:
    """A number, or the bytes of a size such as ``1.47M``; None for what could not be read."""
    if isinstance(value, str):
        try:
            return int(kinds.memory(value).amount)
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None
