"""The command line: ``python -m benchmarks [--quick] [--only ROW,…] [--peers PEER,…] [--repeat N] [--json FILE]``."""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks import proc, report, tools
from benchmarks.errors import Failed, Missing
from benchmarks.peers import FACTORIES
from benchmarks.peers.base import Peer
from benchmarks.rows import GROUPS
from benchmarks.rows.base import Bench, Group

DESCRIPTION = "Measure this circusd beside other supervisors, and print medians and ratios."
REPEAT = 3
BUSY = 0.5  # load average from which the figures deserve a warning


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """What turns names, separated by commas, into a list in the order of the known ones."""
    allowed = list(known)

    def names(text: str) -> list[str]:
        chosen = text.split(",")
        for name in chosen:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(allowed)}")
        return [name for name in allowed if name in chosen]

    return names


def parser() -> argparse.ArgumentParser:
    """The options, with their help."""
    rows, peers = [group.name for group in GROUPS], list(FACTORIES)
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=DESCRIPTION)
    made.add_argument("--quick", action="store_true", help="fewer and shorter samples, each row once")
    made.add_argument("--only", type=_names(rows), default=rows, help=f"rows, of {', '.join(rows)}")
    made.add_argument("--peers", type=_names(peers), default=peers, help=f"supervisors, of {', '.join(peers)}")
    made.add_argument("--repeat", type=int, help=f"how often each row is measured (default {REPEAT}, quick: 1)")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write every single figure into this file")
    return made


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _find_peers(names: Sequence[str], programs: tools.Programs) -> list[Peer]:
    found = []
    for name in names:
        try:
            found.append(FACTORIES[name](programs))
        except Missing as reason:
            _say(f"left out: {name}: {reason}")
    return found


def _heading(peers: Sequence[Peer], programs: tools.Programs) -> list[str]:
    versions = ", ".join(f"{peer.name} {peer.version}".strip() for peer in peers)
    load = os.getloadavg()[0]
    lines = [
        f"Python {platform.python_version()}, {platform.release()}, {os.cpu_count()} CPUs, load {load:.2f}",
        f"measured: {versions}",
    ]
    if load > BUSY:
        lines.append("The machine is busy: expect larger figures, and look at the ratios.")
    if not programs.native:
        lines.append("No C compiler: workers are Python programs, which take some 10 ms to start.")
    return lines


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _measure(
    groups: Sequence[Group], peers: Sequence[Peer], bench: Bench, repeat: int, results: report.Results
) -> None:
    """All peers in turn within each repetition, so that a busy minute of the machine meets all of them."""
    for group in groups:
        for number in range(1 if group.once else repeat):
            for peer in peers:
                if peer.name not in group.peers or (group.name, peer.name) in results.failures:
                    continue
                _progress(f"{group.name}: {peer.name} ({number + 1})")
                try:
                    for row, figure in group.measure(peer, bench).items():
                        results.add(row, peer.name, figure)
                except (Failed, OSError) as failure:
                    results.failures[group.name, peer.name] = str(failure)
                    sys.stderr.write(f"\n{group.name}: {peer.name}: {failure}\n")
    _progress("")


def _run(options: argparse.Namespace) -> int:
    programs = tools.build()
    peers = _find_peers(options.peers, programs)
    heading = _heading(peers, programs)
    _say("\n".join([*heading, ""]))
    groups = [group for group in GROUPS if group.name in options.only]
    bench = Bench(programs, tools.scratch(), options.quick)
    results, status = report.Results(), 0
    try:
        _measure(groups, peers, bench, options.repeat or (1 if options.quick else REPEAT), results)
    except KeyboardInterrupt:
        status = 130
        _say("stopped; measured so far:")
    _say(report.table(groups, [peer.name for peer in peers], results))
    if options.json:
        report.write_json(options.json, heading, results)
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit status: 0, or 130 when it was interrupted."""
    options = parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # they end it as Ctrl-C does
    # It would lead the programs of other environments to this one's modules.
    os.environ.pop("PYTHONPATH", None)
    # Installed programs have their compiled modules; one from a checkout would compile them again at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    proc.become_subreaper()
    tools.raise_descriptor_limit()
    try:
        return _run(options)
    except KeyboardInterrupt:
        return 130
    finally:
        proc.end_descendants()
