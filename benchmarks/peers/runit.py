"""runit, where it is installed."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from signal import SIGHUP

from benchmarks.errors import Missing
from benchmarks.peers.base import Peer, service_name, write_services


class Runit(Peer):
    """runsvdir, and one runsv for each worker."""

    name = "runit"
    stop_signal = SIGHUP  # SIGTERM would leave every runsv and worker running

    def __init__(self) -> None:
        if shutil.which("runsvdir") is None:
            raise Missing("runsvdir is not installed")

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        write_services(folder / "scan", workers, command)
        # runsvdir waits for the end of the second in which its folder was changed; a real one is older than that.
        os.utime(folder / "scan", times=(0, 0))

    def argv(self, folder: Path) -> list[str]:
        return ["runsvdir", str(folder / "scan")]

    def status_argv(self, folder: Path) -> list[str]:
        return ["sv", "status", str(folder / "scan" / service_name(0))]
