"""The command line: wall time of one status, beside what its interpreter takes to do nothing."""

import os
import shutil
import statistics
import time
from collections.abc import Mapping

from benchmarks.errors import Failed
from benchmarks.peers.base import Peer
from benchmarks.rows.base import ALL, CIRCUS, Bench, Group, Row

ROUNDS = 20
WARM_UP = 2  # rounds that are not counted: files come from the disk, byte code is written
QUIET = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]


def _wall(argv: list[str]) -> float:
    """Milliseconds of one run; raises Failed when it fails."""
    program = shutil.which(argv[0]) or argv[0]
    began = time.perf_counter()
    pid = os.posix_spawn(program, argv, os.environ, file_actions=QUIET)
    status = os.waitpid(pid, 0)[1]
    took = (time.perf_counter() - began) * 1000
    if status != 0:
        raise Failed(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")
    return took


def _cli(peer: Peer, bench: Bench) -> Mapping[str, float]:
    with bench.running(peer, 1) as session:
        session.settle(1.3)
        commands: dict[str, list[str]] = {}
        if peer.python is not None:
            commands["cli-pass"] = [str(peer.python), "-c", "pass"]
        if peer.name in CIRCUS:
            commands["cli-zmq"] = [str(peer.python), "-c", "import zmq"]
        # The floor of a status is a program that does nothing at all.
        commands["cli-status"] = peer.status_argv(session.folder) or [shutil.which("true") or "/bin/true"]
        taken: dict[str, list[float]] = {key: [] for key in commands}
        for number in range(WARM_UP + ROUNDS):
            # In turn, so that a busy moment of the machine meets all of them.
            for key, argv in commands.items():
                wall = _wall(argv)
                if number >= WARM_UP:
                    taken[key].append(wall)
    return {key: statistics.median(walls) for key, walls in taken.items()}


ROWS = (
    Row("cli-status", "status from the command line", "ms", "< 1.5 import zmq, 0.6 circus"),
    Row("cli-pass", "   its python -c pass", "ms"),
    Row("cli-zmq", "   its python -c 'import zmq'", "ms"),
)
GROUPS = (Group("cli", ROWS, _cli, ALL, once=True),)
