"""Counters of what has happened since the plugin began to listen."""

from __future__ import annotations

from collections import Counter
from typing import Any

from prometheus_client.core import CounterMetricFamily

from circus.events import Event, topic_name


class Counts:
    """Counts events. Watchers have other names in topics than in the configuration; shown are the latter."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._events: Counter[tuple[str, str]] = Counter()
        self._unexpected: Counter[str] = Counter()
        self._removed: set[str] = set()

    def know(self, snapshot: dict[str, Any]) -> None:
        """Take note of which watchers there are."""
        self._names = {topic_name(name): name for name in snapshot["watchers"]}
        for topic in self._names:
            self._unexpected.setdefault(topic, 0)

    def add(self, event: Event) -> None:
        """Count one."""
        self._events[event.watcher, event.action] += 1
        if event.action == "reap" and event.data.get("reason") == "exited":
            self._unexpected[event.watcher] += 1
        if event.action == "remove":
            self._removed.add(event.watcher)
        elif event.action == "add":
            self._removed.discard(event.watcher)

    def families(self) -> list[CounterMetricFamily]:
        """Return the counters; those of watchers that are gone are shown once more, then forgotten."""
        events = CounterMetricFamily("circus_events", "Events by watcher and action.", labels=["watcher", "action"])
        for (topic, action), count in sorted(self._events.items()):
            events.add_metric([self._names.get(topic, topic), action], count)
        unexpected = CounterMetricFamily(
            "circus_unexpected_exits",
            "Processes that ended without being told to; each is replaced, unless its watcher says otherwise.",
            labels=["watcher"],
        )
        for topic, count in sorted(self._unexpected.items()):
            unexpected.add_metric([self._names.get(topic, topic)], count)
        self._forget(self._removed - self._names.keys())
        return [events, unexpected]

    def _forget(self, topics: set[str]) -> None:
        if topics:
            self._events = Counter({key: count for key, count in self._events.items() if key[0] not in topics})
            self._unexpected = Counter({key: count for key, count in self._unexpected.items() if key not in topics})
            self._removed -= topics
