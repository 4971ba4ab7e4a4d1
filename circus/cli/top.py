"""``circus-top``: a running circusd on a terminal, or with ``--once`` as a plain table."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from circus import __version__
from circus.exc import CallError
from circus.top.places import Places

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Show a circusd until ``q``, or once; return the exit status."""
    options = _parser().parse_args(argv)
    places = Places(options.command_endpoint, options.pubsub, options.endpoint, options.ssh)
    try:
        return _once(places, options) if options.once else _live(places, options)
    except CallError as error:
        print(f"circus-top: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _once(places: Places, options: argparse.Namespace) -> int:
    from circus.top import once

    model, remarks = once.gather(places, options.process_timeout)
    for line in once.table(model):
        print(line)
    for remark in remarks:
        print(f"circus-top: {remark}", file=sys.stderr)
    return 0


def _live(places: Places, options: argparse.Namespace) -> int:
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        print("circus-top: this is no terminal; --once prints a table", file=sys.stderr)
        return 2
    try:
        from circus.top.app import TopApp
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        print(
            "circus-top: this needs textual: pip install circus[top]. --once prints a table without it", file=sys.stderr
        )
        return 1
    app = TopApp(places, process_timeout=options.process_timeout, read_only=options.read_only)
    app.run()
    return app.return_code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="circus-top",
        description="Show the watchers and processes of a circusd, and what they use.",
        allow_abbrev=False,
    )
    parser.add_argument("--endpoint", help="where the statistics are published; default: as circusd says")
    parser.add_argument(
        "--command-endpoint", metavar="ENDPOINT", help="where circusd takes commands; default: the local one"
    )
    parser.add_argument(
        "--pubsub", metavar="ENDPOINT", help="where circusd publishes its events; default: as circusd says"
    )
    parser.add_argument(
        "--process-timeout",
        type=_seconds,
        default=3.0,
        metavar="SECONDS",
        help="after that long without a word of it, the figures of a process are dropped; default 3",
    )
    parser.add_argument("--once", action="store_true", help="print a plain table and exit")
    parser.add_argument("--read-only", action="store_true", help="offer nothing that changes anything")
    parser.add_argument("--ssh", metavar="SERVER", help="reach tcp:// endpoints through user@host:port")
    parser.add_argument("--version", action="version", version=f"circus-top {__version__}")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
