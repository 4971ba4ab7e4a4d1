"""``circusd-stats``: the statistics of a circusd, run by hand beside it. With ``statsd = True`` circusd runs it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from circus import __version__
from circus.cli import logs
from circus.cli.logs import LEVELS
from circus.cli.plugin import run_plugin
from circus.exc import CircusError
from circus.plugins.briefing import Briefing
from circus.stats import CIRCUSD_STATS
from circus.util import default_endpoint, default_pubsub_endpoint, default_stats_endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Publish the statistics of a circusd until interrupted; return the exit status."""
    options = _parser().parse_args(argv)
    briefing = Briefing(
        name=f"circusd-stats@{os.getpid()}",
        factory=CIRCUSD_STATS.factory,
        config={
            "stats_endpoint": options.statspoint or default_stats_endpoint(),
            "children": str(options.children),
        },
        endpoint=options.endpoint or default_endpoint(),
        pubsub_endpoint=options.pubsub or default_pubsub_endpoint(),
        ssh_server=options.ssh,
        debug=True,
        log={"level": options.log_level, "output": options.log_output},
    )
    try:
        logs.configure(**briefing.log)
    except CircusError as error:
        print(f"circusd-stats: {error}", file=sys.stderr)
        return 1
    return run_plugin(briefing)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="circusd-stats",
        description="Publish what the processes of a circusd use, beside it. On the same machine only.",
        allow_abbrev=False,
    )
    parser.add_argument("--endpoint", help="where circusd takes commands; default: the local one")
    parser.add_argument("--pubsub", help="where circusd publishes its events; default: the local one")
    parser.add_argument("--statspoint", help="where the statistics are published; default: the local one")
    parser.add_argument("--children", action="store_true", help="tell of the children of each process as well")
    parser.add_argument(
        "--log-level", type=str.lower, choices=list(LEVELS), default="info", help="least level of what is logged"
    )
    parser.add_argument("--log-output", default="-", metavar="WHERE", help="a file, - for standard error, or syslog:…")
    parser.add_argument("--ssh", metavar="SERVER", help="reach circusd's tcp:// endpoints through user@host:port")
    parser.add_argument("--version", action="version", version=f"circusd-stats {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
