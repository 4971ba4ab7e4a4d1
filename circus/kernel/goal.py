"""What is wanted of one watcher."""

from __future__ import annotations

from circus.kernel.plan import RELOAD, RESTART, SEQUENTIAL


class Goal:
    """Up or down, and which generation of processes. The number of processes stands in the settings."""

    __slots__ = ("armed", "fallback", "floor", "generation", "reason", "rollout", "start_pending", "starts", "up")

    def __init__(self) -> None:
        self.up = False
        self.armed = False
        """Whether the next connection is to bring it up, if it is ``on_demand``."""
        self.generation = 0
        """Generation of the processes that are spawned now."""
        self.floor = 0
        """Processes of an earlier generation are to be replaced."""
        self.fallback = 0
        """The floor before the reload that is under way, in case that it fails."""
        self.rollout = ""
        """How old processes are being replaced: ``restart``, ``reload``, ``sequential``; empty when none is to be."""
        self.starts = 0
        """How often a start was wanted: its number."""
        self.start_pending = False
        """True from a start until each slot was filled once."""
        self.reason = ""
        """Why it is up or down, where whoever decided so has said why."""

    def down(self, reason: str = "", *, armed: bool = False) -> None:
        """Want nothing to run; ``armed``: until the next connection."""
        self.up, self.armed, self.rollout, self.reason = False, armed, "", reason

    def arm(self) -> None:
        """Want the next connection to bring it up; that somebody has started it is known from now on."""
        self.armed = True
        self.generation += 1

    def fresh(self, *, after_stop: bool, reason: str = "") -> None:
        """Want new processes only, after all old ones are gone if there may be any."""
        self._next_generation(RESTART if after_stop else "")
        self.reason = reason
        self.start_pending = True
        self.starts += 1

    def replace(self, *, sequential: bool) -> None:
        """Want each process to be replaced by a new one."""
        self.fallback = self.fallback if self.rollout in (RELOAD, SEQUENTIAL) else self.floor
        self._next_generation(SEQUENTIAL if sequential else RELOAD)

    def keep_old(self) -> None:
        """The new processes of a reload did not come up: what ran before is good enough."""
        self.floor = self.fallback
        self.rollout = ""

    def _next_generation(self, rollout: str) -> None:
        self.generation += 1
        self.floor = self.generation
        self.rollout = rollout
        self.up = self.armed = True
