"""Restart a watcher whose processes use too much, or too little, CPU or memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Mapping
from typing import Any

from circus.plugins.registration import RESOURCE_WATCHER
from circus.plugins.statsd import BaseObserver
from circus.plugins.usage import Limits, Meter, Tally, outside

log = logging.getLogger(__name__)


class ResourceWatcher(BaseObserver):
    """Restart a watcher whose processes use too much, or too little, CPU or memory.

    Each ``loop_rate`` seconds, every process of ``watcher`` is looked at. The watcher is outside of a limit when one of
    its processes is:

    ==================== ================ ========================================================================
    option               counted as       outside is a process that uses
    ==================== ================ ========================================================================
    ``max_cpu``          ``over_cpu``     more of a core, in percent
    ``min_cpu``          ``under_cpu``    that or less; with 0 nothing at all; not given, there is no minimum
    ``max_mem``          ``over_memory``  more memory: ``90`` percent of the machine's, or a size like ``250M``
    ``min_mem``          ``under_memory`` that or less; not given, there is no minimum
    ``health_threshold`` ``over_health``  more as the mean of both percentages
    ==================== ================ ========================================================================

    Each limit is counted by itself. When the watcher has been outside of the same limit at more than ``max_count``
    looks in a row, it is restarted, and counted anew; one that is not active is left alone. CPU is measured from one
    look to the next, so it counts from the second look at a process on.

    .. code-block:: ini

       [plugin:resource_watcher]
       watcher = web
       max_cpu = 70
       max_mem = 250M
       max_count = 5
       loop_rate = 10

    With ``process_children``, the children of these processes are looked at too, each by itself and within the same
    limits. A child that was outside too often is not a reason for a restart: it alone gets ``child_signal``.

    Everything is counted with a statsd server: under ``circus.APP.watcher._resource_watcher.WATCHER.`` the names of the
    table for each look outside, ``restarting`` for each restart, and ``error`` for each look that failed.
    """

    name = "resource_watcher"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = RESOURCE_WATCHER.read(self.config)
        self.watcher: str = options["watcher"] or options["service"] or ""
        if not self.watcher:
            raise ValueError("watcher is missing: name the watcher that is looked after")
        self.limits = Limits(
            options["max_cpu"], options["min_cpu"], options["max_mem"], options["min_mem"], options["health_threshold"]
        )
        self.process_children: bool = options["process_children"]
        self.child_signal: int = options["child_signal"]
        self._meter = Meter()
        self._tally = Tally(options["max_count"])
        self._children = Tally(options["max_count"])
        self._fault = ""

    async def look_after(self) -> None:
        """Look once."""
        reply = await self.acall("stats", name=self.watcher)
        self._tell(str(reply.get("reason")) if reply["status"] == "error" else "")
        if reply["status"] == "error":
            self._count("error")
            return
        mono = time.monotonic()
        # A process that has just gone stands there as a text.
        infos = [info for info in reply["info"].values() if isinstance(info, Mapping)]
        found = outside([self._meter.measure(info, mono) for info in infos], self.limits)
        children = self._look_at_children(infos, mono) if self.process_children else {}
        self._meter.end_look()
        for limit in {*found, *(limit for child in children.values() for limit in child)}:
            self._count(limit)
        for child in self._children.count(children):
            await self._signal(child, children[child])
        if self._tally.count({self.watcher: found}):
            await self._restart(found)

    def _look_at_children(self, infos: list[Mapping[str, Any]], mono: float) -> dict[Hashable, dict[str, str]]:
        """Return outside of what each child is. A child is known by its parent, its pid and when it was born."""
        return {
            (info["pid"], child["pid"], child["create_time"]): outside([self._meter.measure(child, mono)], self.limits)
            for info in infos
            for child in info["children"]
            if isinstance(child, Mapping)
        }

    async def _signal(self, child: Any, found: Mapping[str, str]) -> None:
        parent, pid, _ = child
        log.warning(
            "%s: child %d of process %d gets a signal: %s", self.watcher, pid, parent, "; ".join(found.values())
        )
        reply = await self.acall("signal", name=self.watcher, pid=parent, childpid=pid, signum=self.child_signal)
        if reply["status"] == "error":
            log.error("%s: child %d cannot be sent a signal: %s", self.watcher, pid, reply.get("reason"))

    async def _restart(self, found: Mapping[str, str]) -> None:
        reply = await self.acall("status", name=self.watcher)
        if reply["status"] != "active":
            log.info("%s is not restarted: it is %s", self.watcher, reply["status"])
            return
        log.warning("%s is restarted: %s", self.watcher, "; ".join(found.values()))
        reply = await self.acall("restart", name=self.watcher, match="simple")
        if reply["status"] == "error":
            log.error("%s cannot be restarted: %s", self.watcher, reply.get("reason"))
            return
        self._count("restarting")

    def _count(self, what: str) -> None:
        self.statsd.increment(f"_resource_watcher.{self.watcher}.{what}")

    def _tell(self, fault: str) -> None:
        """Log a fault when it begins or becomes another."""
        if fault and fault != self._fault:
            log.warning("%s cannot be looked after: %s", self.watcher, fault)
        self._fault = fault
