"""circusd-stats: what processes use of the machine, published each second while somebody listens."""

from __future__ import annotations

from circus.hooks import OptionSpec, PluginSpec, hookimpl

CIRCUSD_STATS = PluginSpec(
    "circusd-stats",
    "circus.stats.collector:CircusStats",
    options=(
        OptionSpec("stats_endpoint", "endpoint", doc="ZeroMQ endpoint on which it publishes"),
        OptionSpec("children", "boolean", False, doc="tell of the children of each process as well"),
    ),
    doc="Publish what processes use of the machine; statsd = True in [circus] runs it.",
)


@hookimpl
def circus_register_plugins() -> list[PluginSpec]:
    """What ``statsd = True`` in ``[circus]`` runs."""
    return [CIRCUSD_STATS]
