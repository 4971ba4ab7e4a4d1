"""Where one watcher asks at gates: before and after its start, its stop, its processes' spawns, signals and ends."""

from __future__ import annotations

import itertools
import logging
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from circus.kernel import deaths, ending
from circus.kernel.gates import Gate, Outcome

if TYPE_CHECKING:
    from circus.kernel.process import Process
    from circus.kernel.watcher import Watcher

log = logging.getLogger("circus")

UNEXISTING: Final = 2
"""Status that hooks get of a process which ended by itself; None of one that was to end. Their authors know it so."""

_Key = tuple[str, int]

_OF_A_START = frozenset(("before_start", "after_start", "before_spawn", "after_spawn"))


class Gating:
    """The gates of one watcher. What was allowed is remembered until it has been done."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._waiting: dict[_Key, Gate] = {}
        self._passed: set[_Key] = set()
        self._signals = itertools.count()
        self._patience: float | None = None
        """Seconds that a gate may take at most, once everything is being stopped for good."""
        self.begun = 0
        """The start that was allowed, by its number; 0 once the stop after it is complete."""

    @property
    def waiting(self) -> list[Gate]:
        """The gates that it waits at."""
        return list(self._waiting.values())

    # Its start and its stop.

    def may_start(self) -> bool:
        """Return whether the start that is wanted was allowed; ask if nobody has yet."""
        number = self._watcher.goal.starts
        if not self.begun and self._may("before_start", number):
            self.begun = number
        return self.begun == number

    def has_started(self) -> bool:
        """Return whether the hook after the start is through."""
        return self._may("after_start", self.begun)

    def may_end(self) -> bool:
        """Return whether the hook before a stop is through."""
        return not self.begun or self._may("before_stop", self.begun)

    def has_ended(self) -> bool:
        """Return whether the hooks of the stop are through, now that nothing is left."""
        if self.begun and self.may_end() and self._may("after_stop", self.begun):
            self.begun = 0
            self._passed.clear()
        return not self.begun

    def forget_start(self) -> None:
        """Leave the gates of a start that is not wanted any more."""
        goal, count = self._watcher.goal, self._watcher.count
        filled = {process.wid for process in self._watcher.live()} if self._waiting and not goal.rollout else set()
        for hook, subject in list(self._waiting):
            slot = subject <= count and subject not in filled
            wanted = hook == "after_spawn" or (slot if hook == "before_spawn" else subject == goal.starts)
            if hook in _OF_A_START and not (goal.up and wanted):
                self._leave((hook, subject))

    # Its processes.

    def may_spawn(self, wid: int) -> bool:
        """Return whether a process may be spawned into the slot now."""
        return self.may_start() and self._may("before_spawn", wid)

    def spawned(self, process: Process) -> None:
        """A process was spawned: it counts once the hook is through."""
        self._passed.discard(("before_spawn", process.wid))
        process.gated = not self._may("after_spawn", process.pid, pid=process.pid)
        self._passed.discard(("after_spawn", process.pid))

    def signal(self, pid: int, signum: int, proceed: Callable[[bool], None]) -> None:
        """Call ``proceed(allowed)`` when it is known whether the process may be sent a signal: mostly at once."""
        key = ("before_signal", next(self._signals))
        done = None if signum == signal.SIGKILL or self._patience == 0 else partial(self._late, key, pid, proceed)
        gate = self._ask(key, done, pid=pid, signum=signum)
        if done is None or gate is None:
            proceed(True)

    def signalled(self, pid: int, signum: int) -> None:
        """A process was sent a signal."""
        self._ask(("after_signal", pid), None, pid=pid, signum=signum)

    def reaped(self, process: Process, exit_code: int) -> None:
        """A process was collected."""
        for key in [key for key, gate in self._waiting.items() if gate.data.get("pid") == process.pid]:
            self._leave(key)
        self._ask(("before_reap", process.pid), None, process_pid=process.pid)
        status = None if process.reason else UNEXISTING
        self._ask(
            ("after_reap", process.pid), None, process_pid=process.pid, exit_code=exit_code, process_status=status
        )

    # All of them.

    def limit(self, seconds: float) -> None:
        """From now on wait at no gate longer than that; 0: at none."""
        self._patience = seconds
        for gate in self.waiting:
            self._watcher.context.gates.limit(gate, seconds)

    def leave(self) -> None:
        """Leave every gate: the watcher is given away."""
        for key in list(self._waiting):
            self._leave(key)
        self.begun = 0

    def _may(self, hook: str, subject: int, **arguments: Any) -> bool:
        key = (hook, subject)
        if key in self._passed:
            return True
        if key in self._waiting:
            return False
        if self._patience != 0 and self._ask(key, partial(self._closed, key), **arguments) is not None:
            return False
        self._passed.add(key)
        return True

    def _ask(self, key: _Key, done: Callable[[Outcome], None] | None, **arguments: Any) -> Gate | None:
        watcher = self._watcher
        limits = [limit for limit in (watcher.settings.hook_timeout, self._patience) if limit]
        gate = watcher.context.gates.ask(watcher, key[0], done, min(limits, default=0.0), **arguments)
        if gate is not None and done is not None:
            self._waiting[key] = gate
        return gate

    def _leave(self, key: _Key) -> None:
        self._watcher.context.gates.cancel(self._waiting.pop(key))

    def _closed(self, key: _Key, outcome: Outcome) -> None:
        watcher = self._watcher
        del self._waiting[key]
        process = watcher.processes.get(key[1]) if key[0] == "after_spawn" else None
        if not outcome.allowed:
            wid = process.wid if process is not None else key[1] if key[0] == "before_spawn" else 0
            deaths.refused(watcher, outcome.reason, wid, process)
        elif process is None:
            self._passed.add(key)
        if process is not None:
            process.gated = not outcome.allowed
            if process.gated:
                ending.begin(watcher, process, "hook")
        watcher.wake()

    def _late(self, key: _Key, pid: int, proceed: Callable[[bool], None], outcome: Outcome) -> None:
        del self._waiting[key]
        try:
            proceed(outcome.allowed)
        except OSError as error:
            log.error("%s: the signal to process %d was not sent: %s", self._watcher.name, pid, error)
        self._watcher.wake()


def describe(gate: Gate) -> str:
    """Say what a watcher waits for at a gate."""
    whom = ", ".join(sorted(gate.pending))
    return f"the hook {gate.hook} ({whom}), for {time.monotonic() - gate.opened:.1f} s already"
