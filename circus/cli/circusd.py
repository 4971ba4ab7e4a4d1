"""``circusd``: reads an ini file and supervises what it names."""

from __future__ import annotations

import argparse
import functools
import gc
import os
import sys
from typing import TYPE_CHECKING, Any

from circus import __version__
from circus.exc import CircusError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from logging import Logger

    from circus.cli.daemonize import Report
    from circus.cli.pidfile import Pidfile
    from circus.config import Config
    from circus.config.schema import CircusSettings

LEVELS = ("debug", "info", "warning", "error", "critical")


def main(argv: Sequence[str] | None = None) -> int:
    """Run circusd; return its exit status: 0, 1 after an error, or that of a program with ``on_failure = exit``."""
    gc.disable()  # what is made while starting stays: looking through it again and again only costs time
    parser = _parser()
    options = parser.parse_args(argv)
    if options.config is None:
        parser.print_usage()
        return 0
    try:
        return _check(options) if options.check else _serve(options)
    except ConfigError as error:
        return _refuse_config(error)
    except CircusError as error:
        print(f"circusd: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="circusd", description="Run and watch the programs of a configuration file.", allow_abbrev=False
    )
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="configuration in the ini format")
    parser.add_argument(
        "--check",
        action="store_true",
        help="report every fault of CONFIG and exit, with 0 if there is none; start nothing",
    )
    parser.add_argument(
        "--strict", action="store_true", help="take warnings about CONFIG for faults, with --check or without"
    )
    parser.add_argument("--daemon", action="store_true", help="go into the background once it is ready")
    parser.add_argument(
        "--pidfile", metavar="FILE", help="write the process id to FILE, and allow no second circusd with it"
    )
    parser.add_argument(
        "--log-level", type=str.lower, choices=LEVELS, help="least level of what is logged; default: info"
    )
    parser.add_argument(
        "--log-output",
        metavar="WHERE",
        help="a file, - for standard error (the default), or syslog://host:port?facility",
    )
    parser.add_argument("--logger-config", metavar="FILE", help="logging configuration in INI, JSON or YAML")
    parser.add_argument("--version", action="version", version=f"circusd {__version__}")
    return parser


def _check(options: argparse.Namespace) -> int:
    from circus.commands import problems
    from circus.config import check, load
    from circus.config.unserved import not_yet_served

    for problem in problems():
        print(f"note: {problem}", file=sys.stderr)
    faults, warnings = check(options.config, options.strict)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults:
        print(f"{options.config}: {_count(len(faults), 'fault')}", file=sys.stderr)
        return 1
    for sentence in not_yet_served(load(options.config, configure=True)):
        print(f"note: {sentence}", file=sys.stderr)
    print(f"{options.config}: ok" + (f", {_count(len(warnings), 'warning')}" if warnings else ""))
    return 0


def _refuse_config(error: ConfigError) -> int:
    for fault in error.faults:
        print(f"error: {fault}", file=sys.stderr)
    print(f"circusd: {_count(len(error.faults), 'fault')} in the configuration; nothing was started", file=sys.stderr)
    return 1


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _serve(options: argparse.Namespace) -> int:
    from circus.config import load
    from circus.launch import syscalls

    syscalls.open_standard_descriptors()
    config = load(options.config, strict=options.strict, check_paths=True, configure=True)
    report: Report | None = None
    if options.daemon:
        from circus.cli.daemonize import daemonize

        report = daemonize()
    try:
        return _run(config, options, report)
    except CircusError as error:
        if report is not None:
            report(f"circusd: {error}")
        raise


def _run(config: Config, options: argparse.Namespace, report: Report | None) -> int:
    from circus.commands import problems
    from circus.daemon import Daemon
    from circus.launch import syscalls

    settings = config.circus
    syscalls.default_signals()
    syscalls.cloexec_inherited()
    adopt = _adopter(options)
    log = adopt(settings)
    pidfile = _create_pidfile(options.pidfile or settings.pidfile)
    try:
        log.info("Starting master on pid %d", os.getpid())
        for warning in (*problems(), *config.warnings):
            log.warning("%s", warning)
        daemon = Daemon(config, adopt, functools.partial(_log_options, options))
        try:
            daemon.start()
            if report is not None:
                report(None)
            gc.freeze()
            gc.enable()
            return daemon.run()
        finally:
            daemon.close()
    finally:
        if pidfile is not None:
            pidfile.remove()


def _adopter(options: argparse.Namespace) -> Callable[[CircusSettings], Logger]:
    """Return what makes this process as ``[circus]`` and the command line want it, at the start and at each reload."""
    from circus.cli import logs
    from circus.launch import syscalls

    inherited = os.umask(0)
    os.umask(inherited)

    def adopt(settings: CircusSettings) -> Logger:
        os.umask(inherited if settings.umask is None else settings.umask)
        syscalls.set_process_name(settings.proc_name or "circusd")
        return logs.configure(**_log_options(options, settings))

    return adopt


def _log_options(options: argparse.Namespace, settings: CircusSettings) -> dict[str, Any]:
    """Return how the log is set up: the command line counts more than ``[circus]``."""
    output = options.log_output or settings.logoutput
    config_file = options.logger_config or settings.loggerconfig
    return {
        "level": options.log_level or settings.loglevel,
        # Whole paths: a plugin may be in another folder.
        "output": output if output == "-" or output.startswith("syslog:") else os.path.abspath(output),
        "config_file": config_file and os.path.abspath(config_file),
    }


def _create_pidfile(path: str | None) -> Pidfile | None:
    if path is None:
        return None
    from circus.cli.pidfile import Pidfile

    pidfile = Pidfile(path)
    pidfile.create()
    return pidfile


if __name__ == "__main__":
    sys.exit(main())
