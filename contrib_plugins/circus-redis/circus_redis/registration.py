"""What circusd is told of this distribution."""

from __future__ import annotations

from circus.hooks import OptionSpec, PluginSpec, hookimpl
from circus.plugins.registration import LOOP_RATE, statsd_options

REDIS_OBSERVER = PluginSpec(
    "redis_observer",
    "circus_redis.observer:RedisObserver",
    options=(
        *statsd_options("redis_observer"),
        LOOP_RATE,
        OptionSpec("redis_url", "text", "redis://localhost:6379/0", doc="the server that is watched"),
        OptionSpec("timeout", "number(min=0.01)", 5.0, doc="seconds that the server may take to answer"),
        OptionSpec("restart_on_timeout", "text", doc="watcher that is restarted when the server takes longer"),
    ),
    doc="Send the numbers of a Redis server to statsd, and restart the server when it hangs.",
    # Where it was as long as it came with Circus: files name it so.
    aliases=("circus.plugins.redis_observer.RedisObserver",),
)


@hookimpl
def circus_register_plugins() -> list[PluginSpec]:
    """The only plugin."""
    return [REDIS_OBSERVER]
