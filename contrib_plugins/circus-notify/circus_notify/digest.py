"""When people are told, and of what: pure decisions, with the clock passed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Notice:
    """What is to be told: that something happened to a watcher, once or several times."""

    watcher: str
    event: str
    detail: str
    first: float
    last: float
    count: int = 1

    def merge(self, later: Notice) -> None:
        """Take in another one of the same watcher and event, which came later."""
        self.count += later.count
        self.last, self.detail = later.last, later.detail


class Digest:
    """Collects notices and lets go of them all together: at most every ``interval`` seconds of one watcher.

    The first one waits ``delay`` seconds, so that what happens to many watchers at once becomes one message. What is
    kept does not grow with what happens, only with the number of watchers. ``now`` is any clock that does not go back.
    """

    def __init__(self, interval: float, delay: float) -> None:
        self._interval = interval
        self._delay = delay
        self._waiting: dict[tuple[str, str], Notice] = {}
        self._not_before: dict[str, float] = {}
        self._since: dict[str, float] = {}

    def add(self, notice: Notice, now: float) -> None:
        """Take in a notice."""
        known = self._waiting.setdefault((notice.watcher, notice.event), notice)
        if known is not notice:
            known.merge(notice)
        self._since.setdefault(notice.watcher, now)

    def due(self) -> float | None:
        """Return when there will be something to tell; None if nothing waits."""
        return min((self._due(watcher) for watcher in self._since), default=None)

    def take(self, now: float) -> list[Notice]:
        """Return what may be told now, if anything is due; it counts as told."""
        due = self.due()
        return self._take(now, now) if due is not None and due <= now else []

    def take_all(self, now: float) -> list[Notice]:
        """Return everything that waits, however soon that is after the last time."""
        return self._take(now, float("inf"))

    def put_back(self, notices: Iterable[Notice], now: float) -> None:
        """Take back what could not be told; it need not wait for the interval."""
        for notice in notices:
            self._not_before.pop(notice.watcher, None)
            later = self._waiting.pop((notice.watcher, notice.event), None)
            self.add(notice, now)
            if later is not None:
                notice.merge(later)

    def _take(self, now: float, horizon: float) -> list[Notice]:
        """Take those that the interval lets go before ``horizon``, also those whose delay is not over."""
        ready = {watcher for watcher in self._since if self._not_before.get(watcher, 0.0) <= horizon}
        taken = [self._waiting.pop(key) for key in list(self._waiting) if key[0] in ready]
        self._not_before = {watcher: moment for watcher, moment in self._not_before.items() if moment > now}
        for watcher in ready:
            del self._since[watcher]
            self._not_before[watcher] = now + self._interval
        return taken

    def _due(self, watcher: str) -> float:
        return max(self._since[watcher] + self._delay, self._not_before.get(watcher, 0.0))


def as_json(notices: Iterable[Notice], host: str) -> dict[str, Any]:
    """Return a message for programs; what chats show of it is ``text``."""
    notices = list(notices)
    keys = ("watcher", "event", "detail", "count", "first", "last")
    return {
        "text": "\n".join([subject(notices, host), *map(line, notices)]),
        "host": host,
        "notices": [{key: getattr(notice, key) for key in keys} for notice in notices],
    }


def subject(notices: list[Notice], host: str) -> str:
    """Return one line for all."""
    watchers = list(dict.fromkeys(notice.watcher for notice in notices))
    events = ", ".join(dict.fromkeys(notice.event for notice in notices))
    named = ", ".join(watchers) if len(watchers) <= 3 else f"{len(watchers)} watchers"
    return f"circus on {host}: {events}: {named}"[:200]


def line(notice: Notice) -> str:
    """Return one line for one notice."""
    times = "" if notice.count == 1 else f" ({notice.count} times in {notice.last - notice.first:.0f} s)"
    return f"{notice.watcher}: {notice.event}{times}: {notice.detail}".removesuffix(": ")
