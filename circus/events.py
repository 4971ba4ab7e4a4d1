"""Lifecycle events: their names, their keys, and the topic under which they are published."""

from __future__ import annotations

import json
from typing import Any

ACTIONS: dict[str, tuple[str, str]] = {
    "spawn": ("process_pid, wid", "A process was started; ``time`` is its start."),
    "start": (
        "reason",
        "A start of the watcher is complete; ``reason`` is what the command gave as such, ``a connection`` if that has "
        "started a watcher with ``on_demand``, or empty.",
    ),
    "ready": ("process_pid, wid", "A process of a watcher with ``ready = notify`` said that it is ready."),
    "kill": (
        "process_pid, wid, signum",
        "The stop signal was sent; once more with SIGKILL after the graceful timeout.",
    ),
    "reap": (
        "process_pid, exit_code, wid, reason; output",
        "A dead process was collected. ``exit_code`` is its exit status, or minus the signal's number; ``reason`` is "
        "``exited`` when nobody asked for its end, else stop, restart, reload, resize, kill, max_age or hook. "
        "``output`` are the last lines of one that failed, where its output is captured.",
    ),
    "orphan": ("wid, pids", "A process died and left others behind, which are being ended."),
    "stop": (
        "reason",
        "A stop of the watcher is complete: every process of it, and all that those started, is gone; ``reason`` is "
        "what the command gave as such, or empty; of a watcher with ``on_demand`` also that it was idle. One that "
        "waited for a connection and does so no more publishes it as well.",
    ),
    "listening": (
        "sockets",
        "A watcher with ``on_demand`` is stopped until the next connection, or datagram, on one of ``sockets``: that "
        "one starts it.",
    ),
    "reload": ("", "A graceful reload is complete."),
    "reload_failed": ("reason", "The new processes of a reload did not come up; the old ones stay."),
    "spawn_failed": ("wid, stage, reason, attempt, retry_in", "A process could not be started."),
    "gave_up": ("reason, exit_code", "The watcher failed for good and is stopped."),
    "unkillable": ("pids", "Processes survive SIGKILL; the kernel has them."),
    "gate": (
        "gate, hook, watcher, gatekeepers, deadline, waits, function, ignore_failure",
        "Plugins are asked whether something may happen; each of ``gatekeepers`` answers with the command ``verdict``. "
        "With ``waits`` the watcher waits for it, until ``deadline`` if there is one. Arguments of the hook, such as "
        "``pid``, stand beside these keys.",
    ),
    "hook_success": ("name, plugin", "A hook was run and gave its verdict, whatever that is."),
    "hook_failure": ("name, plugin, error", "A hook raised, was too late, or ended together with its plugin."),
    "log_dropped": (
        "stream, wid, bytes, lines, reason",
        "Output was lost, by a full disk or a slow reader; summed up, once a second for each stream at most.",
    ),
    "log_failed": (
        "stream, error, count; class",
        "What an output goes to has raised an error; summed up in the same way. ``class`` is that of one which "
        "does not run in circusd.",
    ),
    "updated": ("option", "An option was changed by ``set``."),
    "add": ("", "The watcher was added by a command."),
    "remove": ("", "The watcher is about to be removed; its processes are stopped next."),
    "internal-error": ("error", "A defect of Circus itself: please report it."),
}
"""Every action that the kernel publishes: its keys beside ``time``, and what it means."""


class Event:
    """One event as a subscriber sees it."""

    __slots__ = ("action", "boot", "data", "seq", "time", "topic", "watcher")

    def __init__(self, topic: str, data: dict[str, Any]) -> None:
        self.topic = topic
        self.data = data
        self.watcher, self.action = split_topic(topic)
        self.seq: int = data.get("seq", 0)
        self.boot: str = data.get("boot", "")
        self.time: float = data.get("time", 0.0)

    @classmethod
    def decode(cls, frames: list[bytes]) -> Event:
        """Read the two frames of a published message."""
        return cls(frames[0].decode(), json.loads(frames[1]))


def topic_name(watcher: str) -> str:
    """Return a watcher's name as it stands in topics: in lower case, with ``_`` for each blank."""
    return watcher.lower().replace(" ", "_")


HELPERS = ("circusd-stats", "circushttpd")
"""Watchers that run plugins under names of their own, which clients know."""


def is_plugin(watcher: str) -> bool:
    """Return whether a watcher, named as configured or as in topics, runs a plugin."""
    name = watcher.lower()
    return name.startswith("plugin:") or name in HELPERS


def make_topic(watcher: str, action: str) -> str:
    """Return the topic of an event, ``watcher.NAME.ACTION``."""
    return f"watcher.{topic_name(watcher)}.{action}"


def split_topic(topic: str) -> tuple[str, str]:
    """Return the watcher and the action that a topic names. A watcher's name may itself hold dots."""
    _, _, rest = topic.partition(".")
    watcher, _, action = rest.rpartition(".")
    return watcher, action
