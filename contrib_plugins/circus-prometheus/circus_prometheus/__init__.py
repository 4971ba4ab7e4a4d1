"""A plugin of Circus that shows Prometheus what happens to its watchers and what their processes use."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus_prometheus.exporter import Exporter

__all__ = ["Exporter"]


def __getattr__(name: str) -> object:
    """Load the plugin when it is first asked for: circusd imports this package and needs none of it."""
    if name == "Exporter":
        from circus_prometheus.exporter import Exporter

        return Exporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
