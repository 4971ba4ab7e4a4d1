"""The names without a dot that streams, hooks and plugins may have in a file: those that come with Circus."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from circus import kinds

_COUNT = partial(kinds.integer, min="0")
_WHEN = ("S", "M", "H", "D", "W0", "W1", "W2", "W3", "W4", "W5", "W6", "midnight")
_FILE: dict[str, Callable[[str], object]] = {"filename": kinds.text, "time_format": kinds.text}

# The options of each stream, and what reads their texts.
STREAMS: dict[str, dict[str, Callable[[str], object]]] = {
    "FileStream": {**_FILE, "max_bytes": _COUNT, "backup_count": _COUNT},
    "TimedRotatingFileStream": {
        **_FILE,
        "backup_count": _COUNT,
        "rotate_when": lambda value: kinds.keyword(value, *_WHEN),
        "rotate_interval": partial(kinds.integer, min="1"),
        "utc": kinds.boolean,
    },
    "WatchedFileStream": _FILE,
    "StdoutStream": {},
    "FancyStdoutStream": {"color": kinds.text, "time_format": kinds.text},
    "QueueStream": {},
}

HOOK_FUNCTIONS = ("wait_for_port", "wait_for_http", "wait_for_file", "run_command")

PLUGINS = {
    "statsd": "circus.plugins.statsd.StatsdEmitter",
    "full_stats": "circus.plugins.statsd.FullStats",
    "flapping": "circus.plugins.flapping.Flapping",
    "resource_watcher": "circus.plugins.resource_watcher.ResourceWatcher",
    "http_observer": "circus.plugins.http_observer.HttpObserver",
    "watchdog": "circus.plugins.watchdog.WatchDog",
    "command_reloader": "circus.plugins.command_reloader.CommandReloader",
    "redis_observer": "circus.plugins.redis_observer.RedisObserver",
}


def stream_name(name: str) -> str:
    """The built-in stream that ``name`` is, also when it is written as ``circus.stream.NAME``; else ``name``."""
    short = name.removeprefix("circus.stream.")
    return short if short in STREAMS else name


def is_dotted(name: str) -> bool:
    """Whether a name is a path to import, and not a registered name with or without arguments."""
    bare = name.partition("(")[0]
    return "." in bare or ":" in bare
