"""The plugins that come with Circus, registered as those of any distribution are, with what their options may be.

circusd imports this module, and none of the classes.
"""

from __future__ import annotations

from circus.hooks import OptionSpec, PluginSpec, hookimpl
from circus.kinds import Memory

_SECONDS = "number(min=0)"
_PERCENT = "number(min=0)"
_COUNT = "integer(min=1)"


def _loop_rate(default: float) -> OptionSpec:
    return OptionSpec("loop_rate", "number(min=0.1)", default, doc="seconds between two looks")


LOOP_RATE = _loop_rate(60.0)


def statsd_options(application_name: str = "app") -> tuple[OptionSpec, ...]:
    """What everything that sends to a statsd server has."""
    return (
        OptionSpec("host", "text", "localhost", doc="host of the statsd server"),
        OptionSpec("port", "integer(min=1, max=65535)", 8125, doc="UDP port of the statsd server"),
        OptionSpec("sample_rate", "number(min=0, max=1)", 1.0, doc="share of the messages that is sent"),
        OptionSpec("application_name", "text", application_name, doc="second part of each name that is sent"),
    )


STATSD = PluginSpec(
    "statsd",
    "circus.plugins.statsd:StatsdEmitter",
    options=statsd_options(),
    doc="Count each event with a statsd server.",
)
FULL_STATS = PluginSpec(
    "full_stats",
    "circus.plugins.statsd:FullStats",
    options=(*statsd_options(), LOOP_RATE),
    doc="Gauge each watcher's use of CPU and memory with a statsd server.",
)
FLAPPING = PluginSpec(
    "flapping",
    "circus.plugins.flapping:Flapping",
    options=(
        OptionSpec(
            "attempts", "integer(min=1, max=1000)", 2, doc="unexpected exits within the window that are too many"
        ),
        OptionSpec("window", _SECONDS, 1.0, doc="seconds in which exits are counted together"),
        OptionSpec("retry_in", _SECONDS, 7.0, doc="seconds until a watcher that was stopped is started again"),
        OptionSpec("max_retry", "integer(min=-1)", 5, doc="restarts until the watcher is given up; -1: never"),
        OptionSpec("active", "boolean", True, doc="look after watchers"),
    ),
    doc="Stop a watcher whose processes end again and again, and start it again later.",
)
RESOURCE_WATCHER = PluginSpec(
    "resource_watcher",
    "circus.plugins.resource_watcher:ResourceWatcher",
    options=(
        *statsd_options(),
        LOOP_RATE,
        OptionSpec("watcher", "text", doc="the watcher that is looked after"),
        OptionSpec("service", "text", doc="the same as watcher"),
        OptionSpec("max_cpu", _PERCENT, 90.0, doc="most percent of CPU that a process may use"),
        OptionSpec("min_cpu", _PERCENT, doc="least percent of CPU that a process should use"),
        OptionSpec(
            "max_mem",
            "memory",
            Memory(90.0, absolute=False),
            doc="most memory of a process: 90 percent, or 250M",
        ),
        OptionSpec("min_mem", "memory", doc="least memory of a process: 5 percent, or 10M"),
        OptionSpec("health_threshold", _PERCENT, 75.0, doc="most of the mean of percent of CPU and of memory"),
        OptionSpec("max_count", "integer(min=0)", 3, doc="looks outside of a limit after which one more restarts"),
        OptionSpec("process_children", "boolean", False, doc="look at the children of the processes too"),
        OptionSpec("child_signal", "signum", 15, doc="signal that ends a child outside of a limit"),
    ),
    doc="Restart a watcher whose processes use too much, or too little, CPU or memory.",
)
HTTP_OBSERVER = PluginSpec(
    "http_observer",
    "circus.plugins.http_observer:HttpObserver",
    options=(
        *statsd_options("http_observer"),
        LOOP_RATE,
        OptionSpec("check_url", "text", doc="URL that is asked for", required=True),
        OptionSpec("timeout", "number(min=0.01)", 10.0, doc="seconds that an answer may take"),
        OptionSpec("restart_on_error", "text", doc="watcher that is restarted when the URL fails"),
    ),
    doc="Ask for a URL again and again; measure it, and restart a watcher when it fails.",
)
WATCHDOG = PluginSpec(
    "watchdog",
    "circus.plugins.watchdog:WatchDog",
    options=(
        LOOP_RATE,
        OptionSpec("watchers_regex", "regex", ".*", doc="the watchers whose processes send heartbeats"),
        OptionSpec("msg_regex", "regex", r"^(?P<pid>.*);(?P<timestamp>.*)$", doc="form of a heartbeat, with the pid"),
        OptionSpec("max_count", _COUNT, 3, doc="looks without a heartbeat until a process is killed"),
        OptionSpec("ip", "text", "127.0.0.1", doc="address that takes the heartbeats"),
        OptionSpec("port", "integer(min=0, max=65535)", 1664, doc="UDP port that takes the heartbeats"),
        OptionSpec("watchers_stop_signal", "signum", doc="signal for a silent process; the watcher's own by default"),
        OptionSpec("watchers_graceful_timeout", _SECONDS, doc="seconds until SIGKILL; the watcher's own by default"),
    ),
    doc="Kill processes that no longer send heartbeats by UDP.",
)
COMMAND_RELOADER = PluginSpec(
    "command_reloader",
    "circus.plugins.command_reloader:CommandReloader",
    options=(_loop_rate(1.0),),
    doc="Restart a watcher when the file of its command has changed.",
)


@hookimpl
def circus_register_plugins() -> list[PluginSpec]:
    """The built-in plugins."""
    return [STATSD, FULL_STATS, FLAPPING, RESOURCE_WATCHER, HTTP_OBSERVER, WATCHDOG, COMMAND_RELOADER]


@hookimpl
def circus_register_options() -> list[OptionSpec]:
    """Each option of flapping, for a single watcher."""
    return [_for_watchers(option) for option in FLAPPING.options]


def _for_watchers(option: OptionSpec) -> OptionSpec:
    return OptionSpec(f"flapping.{option.name}", option.type, doc=f"{option.doc}; that of [plugin:flapping] by default")
