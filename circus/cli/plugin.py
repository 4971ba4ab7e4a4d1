"""``circus-plugin``: runs one plugin, by hand or because circusd has started it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from circus import __version__
from circus.cli import logs
from circus.cli.circusd import LEVELS
from circus.exc import CircusError
from circus.hooks.registry import registry
from circus.plugins.briefing import Briefing, read_briefing
from circus.util import default_endpoint, default_pubsub_endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("circus")

_SUPERVISED = "plugin:"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a plugin; return its exit status: 0, or 1 after an error."""
    options = _parser().parse_args(argv)
    try:
        if options.plugin.startswith(_SUPERVISED):
            briefing = _from_circusd(options.plugin)
            _log_with_circusd(briefing)
        else:
            briefing = _by_hand(options)
            logs.configure(**briefing.log)
    except CircusError as error:
        print(f"circus-plugin: {error}", file=sys.stderr)
        return 1
    return run_plugin(briefing)


def run_plugin(briefing: Briefing) -> int:
    """Run a plugin to its end; return the status to exit with. What goes wrong is logged."""
    from circus.plugins.loading import PluginError
    from circus.plugins.runtime import run

    try:
        return run(briefing)
    except PluginError as error:
        log.error("%s", error, exc_info=error.__cause__ if error.theirs or log.isEnabledFor(logging.DEBUG) else None)
    except Exception:
        log.exception("the plugin ended")
    return 1


def _log_with_circusd(briefing: Briefing) -> None:
    """Write to the log of circusd from now on, each record with the plugin's name; what it prints goes nowhere."""
    attribute(briefing.name)
    descriptor = os.dup(2)
    try:
        logs.configure(**briefing.log, standard_error=descriptor)
    except CircusError as error:  # the plugin runs as somebody else, who may not write there
        logs.configure(briefing.log["level"], standard_error=descriptor)
        log.warning("%s; what the plugin logs goes to circusd's standard error", error)
    if not briefing.log["config_file"]:
        logging.getLogger().setLevel(log.level)  # what it logs under names of its own is wanted as well
    if not briefing.debug:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def attribute(name: str) -> None:
    """Put a name before the text of each record that is logged from now on, whatever writes it and in what form."""
    make = logging.getLogRecordFactory()

    def make_attributed(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        prefix = name.replace("%", "%%") if record.args else name
        record.msg = f"{prefix}: {record.msg}"
        return record

    logging.setLogRecordFactory(make_attributed)


def _from_circusd(name: str) -> Briefing:
    try:
        return read_briefing(sys.stdin.fileno())
    except (OSError, ValueError, TypeError) as error:
        raise CircusError(
            f"{name} is for circusd, which says on standard input what to run ({error}); by hand, write "
            f"circus-plugin {name.removeprefix(_SUPERVISED)}"
        ) from None


def _by_hand(options: argparse.Namespace) -> Briefing:
    return Briefing(
        # A name of its own: circusd would take it for the one that it runs itself, and not ask that one any more.
        name=f"{_SUPERVISED}{options.plugin}@{os.getpid()}",
        factory=_factory(options.plugin),
        config=_config(options.config),
        endpoint=options.endpoint or default_endpoint(),
        pubsub_endpoint=options.pubsub or default_pubsub_endpoint(),
        check_delay=options.check_delay,
        ssh_server=options.ssh,
        debug=True,
        log={"level": options.log_level, "output": options.log_output},
    )


def _factory(plugin: str) -> str:
    """Return the path of a plugin that is given by its path or its registered name."""
    found = registry().find_plugin(plugin)
    if found is None and ":" not in plugin and "." not in plugin:
        raise CircusError(
            registry().missing("plugin", plugin, registry().plugins, "module:attribute, FILE.py:attribute")
        )
    return plugin if found is None else found.spec.factory


def _config(text: str) -> dict[str, str]:
    """Read ``key:value:::key:value``; a value may hold colons."""
    config = {}
    for pair in text.split(":::") if text else ():
        key, colon, value = pair.partition(":")
        if not colon or not key.strip():
            raise CircusError(f"--config: {pair!r} is no option; write KEY:VALUE, and ::: between two of them")
        config[key.strip()] = value
    return config


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="circus-plugin", description="Run one plugin, beside a circusd that runs.", allow_abbrev=False
    )
    parser.add_argument(
        "plugin", metavar="PLUGIN", help="registered name, module:attribute, dotted path or FILE.py:attribute"
    )
    parser.add_argument("--endpoint", help="where circusd takes commands; default: the local one")
    parser.add_argument("--pubsub", help="where circusd publishes its events; default: the local one")
    parser.add_argument("--config", default="", metavar="KEY:VALUE:::KEY:VALUE", help="the plugin's options")
    parser.add_argument("--check-delay", type=float, default=5.0, metavar="SECONDS", help="circusd's own; default: 5")
    parser.add_argument(
        "--log-level", type=str.lower, choices=LEVELS, default="info", help="least level of what is logged"
    )
    parser.add_argument("--log-output", default="-", metavar="WHERE", help="a file, - for standard error, or syslog:…")
    parser.add_argument("--ssh", metavar="SERVER", help="reach circusd's tcp:// endpoints through user@host:port")
    parser.add_argument("--version", action="version", version=f"circus-plugin {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
