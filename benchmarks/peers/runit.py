"""runit, where it is installed."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from signal import SIGHUP

from benchmarks.errors import Missing
from benchmarks.peers.base import LOGS, Peer, Rotation, service_name, write_services


class Runit(Peer):
    """runsvdir, and one runsv for each worker; for captured output one svlogd as well."""

    name = "runit"
    stop_signal = SIGHUP  # SIGTERM would leave every runsv and worker running

    def __init__(self) -> None:
        if shutil.which("runsvdir") is None:
            raise Missing("runsvdir is not installed")
        # It comes with runsvdir; in a #! line it must have its folder.
        self._logger = shutil.which("svlogd") or "svlogd"

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        self._write(folder, workers, command)

    def write_capturing(self, folder: Path, workers: int, command: Sequence[str], rotation: Rotation) -> None:
        self._write(folder, workers, command, (self._logger,))
        for log in (folder / LOGS).iterdir():
            (log / "config").write_text(f"s{rotation.max_bytes}\nn{rotation.backups}\n")

    def _write(self, folder: Path, workers: int, command: Sequence[str], logger: Sequence[str] = ()) -> None:
        write_services(folder / "scan", workers, command, logger)
        # runsvdir waits for the end of the second in which its folder was changed; a real one is older than that.
        os.utime(folder / "scan", times=(0, 0))

    def argv(self, folder: Path) -> list[str]:
        return ["runsvdir", str(folder / "scan")]

    def status_argv(self, folder: Path) -> list[str]:
        return ["sv", "status", str(folder / "scan" / service_name(0))]
