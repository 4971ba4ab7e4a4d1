"""Counts unexpected exits and decides which watchers flap. Pure: all that it knows, times too, is from the events."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from circus.events import topic_name

_MOST_EXITS: Final = 1000
"""Exits of a watcher that are remembered."""

_OWN_REASON: Final = re.compile(r"flapping: .*\(attempt number ([0-9]+)\)\Z")
"""The reason that this plugin gives for its stops and starts. circusd keeps it, and repeats it in the events."""


class Limits(NamedTuple):
    """The options as they count for one watcher."""

    attempts: int
    window: float
    retry_in: float
    max_retry: int
    active: bool


class Exit(NamedTuple):
    """An unexpected exit: when (monotonic seconds), in which slot, and how long that had been empty before."""

    mono: float
    wid: int
    waited: float


@dataclass
class Record:
    """What is known of one watcher."""

    exits: deque[Exit] = field(default_factory=lambda: deque(maxlen=_MOST_EXITS))
    slots: dict[int, set[int]] = field(default_factory=dict)
    """The processes in each slot."""
    ended: dict[int, float] = field(default_factory=dict)
    """When a slot became empty by an exit."""
    waited: dict[int, float] = field(default_factory=dict)
    """How long the slot of a living process had been empty before."""
    attempt: int = 0
    """How often it was stopped to be started again later."""
    longest: float = 0.0
    """The longest time without an exit since it was started again."""
    begun: float = 0.0
    held: str = ""
    """``stopping`` from the decision to stop it, ``stopped`` from when it is, until it is started by whomever."""
    reason: str = ""
    """Why it is held, as circusd was told."""

    def forgive(self) -> None:
        """Count anew: somebody else has decided over it."""
        self.exits.clear()
        self.attempt, self.longest, self.held = 0, 0.0, ""


class Flap(NamedTuple):
    """The decision that a watcher flaps: how often it has by now, and whether that was once too often."""

    attempt: int
    give_up: bool


class Detector:
    """Counts exits and decides. It does nothing by itself; all times are those of the events."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def take(self, watcher: str, action: str, data: Mapping[str, Any]) -> bool:
        """Take in an event, and return whether it is an exit that counts. ``watcher`` is the name as in topics."""
        if action == "remove":
            self.records.pop(watcher, None)
        elif action == "spawn":
            self._spawned(self._record(watcher), data)
        elif action == "reap":
            return self._reaped(self._record(watcher), data)
        elif action == "stop":
            self._stopped(watcher, data.get("reason"))
        elif action in ("start", "reload") and attempt_of(data.get("reason")) is None:
            self._record(watcher).forgive()
        return False

    def judge(self, watcher: str, limits: Limits) -> Flap | None:
        """Return what is to be done about a watcher after an exit; None if it does not flap."""
        record = self._record(watcher)
        exits = list(record.exits)[-limits.attempts :]
        if not limits.active or len(exits) < limits.attempts or span(exits) > limits.window:
            return None
        if record.longest > limits.window + limits.retry_in:
            record.attempt = 0
        give_up = 0 <= limits.max_retry <= record.attempt
        if not give_up:
            record.attempt += 1
        record.exits.clear()
        record.longest, record.held = 0.0, "stopping"
        return Flap(record.attempt, give_up)

    def held(self) -> dict[str, str]:
        """Return the watchers that are stopped because they flap, and the reason that circusd was told for each."""
        return {name: record.reason for name, record in self.records.items() if record.held == "stopped"}

    def is_held(self, watcher: str) -> bool:
        """Return whether a watcher is, or is about to be, stopped because it flaps."""
        return watcher in self.records and bool(self.records[watcher].held)

    def release(self, watcher: str) -> None:
        """The watcher could not be stopped: go on counting."""
        self._record(watcher).held = ""

    def adjust(self, watchers: Mapping[str, Any]) -> None:
        """Set right what the events have told, from the watchers of a snapshot."""
        for name, picture in watchers.items():
            watcher = topic_name(name)
            is_down = picture["state"] == "stopped" or picture["detail"] == "failed"
            if is_down or attempt_of(picture["reason"]) is not None:
                self._stopped(watcher, picture["reason"])
                continue
            record = self._record(watcher)
            record.held, record.slots = "", {}
            for process in picture["processes"]:
                record.slots.setdefault(process["wid"], set()).add(process["pid"])

    def _record(self, watcher: str) -> Record:
        return self.records.setdefault(watcher, Record())

    def _spawned(self, record: Record, data: Mapping[str, Any]) -> None:
        wid, mono = data["wid"], data["mono"]
        record.slots.setdefault(wid, set()).add(data["process_pid"])
        if wid in record.ended:
            record.waited[wid] = mono - record.ended.pop(wid)
        if record.held == "stopped":
            record.held, record.begun = "", mono

    def _reaped(self, record: Record, data: Mapping[str, Any]) -> bool:
        wid, mono = data["wid"], data["mono"]
        waited = record.waited.pop(wid, 0.0)
        slot = record.slots.setdefault(wid, set())
        slot.discard(data["process_pid"])
        # Of two in one slot, one is the new process of a reload: if that does not come up, the old one stays.
        if data["reason"] != "exited" or slot or record.held:
            return False
        before = max(record.begun, record.exits[-1].mono if record.exits else 0.0)
        if before:
            record.longest = max(record.longest, mono - before)
        record.exits.append(Exit(mono, wid, waited))
        record.ended[wid] = mono
        return True

    def _stopped(self, watcher: str, reason: str | None) -> None:
        attempt = attempt_of(reason)
        if reason is None or attempt is None:
            self.records.pop(watcher, None)
        else:
            self.records[watcher] = Record(attempt=attempt, held="stopped", reason=reason)


def attempt_of(reason: object) -> int | None:
    """Return the number in a reason that this plugin has given; None if the reason is another's."""
    match = _OWN_REASON.match(reason) if isinstance(reason, str) else None
    return int(match[1]) if match else None


def span(exits: Iterable[Exit]) -> float:
    """Return in how many seconds exits have come, without the time for which circusd itself kept a slot empty."""
    first, *others = exits
    waits: dict[int, float] = {}
    for item in others:
        waits[item.wid] = waits.get(item.wid, 0.0) + item.waited
    return max([first, *others]).mono - first.mono - max(waits.values(), default=0.0)
