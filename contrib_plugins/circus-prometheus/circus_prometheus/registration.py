"""What circusd is told of this distribution."""

from __future__ import annotations

from circus.hooks import OptionSpec, PluginSpec, hookimpl

EXPORTER = PluginSpec(
    "prometheus",
    "circus_prometheus.exporter:Exporter",
    options=(
        OptionSpec("host", "text", "127.0.0.1", doc="address on which the page is served; 0.0.0.0 for all"),
        OptionSpec("port", "integer(min=0, max=65535)", 9797, doc="TCP port of the page; 0 for any that is free"),
    ),
    doc="Serve a page of metrics to Prometheus: events, states, processes, CPU and memory.",
)


@hookimpl
def circus_register_plugins() -> list[PluginSpec]:
    """The only plugin."""
    return [EXPORTER]
