"""Where circusd takes commands and publishes events, and where circusd-stats publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from circus.util import default_endpoint, default_pubsub_endpoint, default_stats_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

UNRELATED = (
    "only statistics: the circusd that takes commands at {command} names another stats_endpoint, so it may be another "
    "one. --command-endpoint ENDPOINT says which one is meant"
)


NOBODY = "no circusd at {command}. Start it, or name its endpoint by --command-endpoint or CIRCUSCTL_ENDPOINT"
OLD = "only statistics: circusd at {command} is of a version before 1.0, which tells neither its state nor its events"
NO_STATS = (
    "no statistics at {endpoint}: set 'statsd = True' in the section [circus] of circusd's file, or run circusd-stats"
)


class Places(NamedTuple):
    """The endpoints that somebody has named; None for those that circusd is asked for."""

    command: str | None = None
    pubsub: str | None = None
    stats: str | None = None
    ssh: str | None = None

    @property
    def command_endpoint(self) -> str:
        """Where commands go."""
        return self.command or default_endpoint()

    def told(self, options: Mapping[str, Any]) -> tuple[str, str]:
        """Return the endpoints of events and of statistics, by what circusd says of itself (``globaloptions``)."""
        pubsub = self.pubsub or str(options.get("pubsub_endpoint") or default_pubsub_endpoint())
        return pubsub, self.stats or str(options.get("stats_endpoint") or default_stats_endpoint())

    def is_related(self, options: Mapping[str, Any]) -> bool:
        """Return whether the circusd that says this of itself is the one whose statistics are read.

        With ``--endpoint`` alone, as 0.19 knew it, commands go to the default endpoint, where another circusd may be.
        """
        return self.stats is None or self.command is not None or options.get("stats_endpoint") == self.stats
