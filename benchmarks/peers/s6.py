"""s6, where it is installed."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import Missing
from benchmarks.peers.base import Peer, Rotation, service_name, write_services


class S6(Peer):
    """s6-svscan, and one s6-supervise for each worker; for captured output one s6-log with its s6-supervise as well."""

    name = "s6"

    def __init__(self) -> None:
        if shutil.which("s6-svscan") is None:
            raise Missing("s6-svscan is not installed")

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        write_services(folder / "scan", workers, command)

    def write_capturing(self, folder: Path, workers: int, command: Sequence[str], rotation: Rotation) -> None:
        logger = ("s6-log", f"n{rotation.backups}", f"s{rotation.max_bytes}")
        write_services(folder / "scan", workers, command, logger)

    def argv(self, folder: Path) -> list[str]:
        services = sum(1 for _ in (folder / "scan").iterdir())
        return ["s6-svscan", "-c", str(services + 10), str(folder / "scan")]

    def status_argv(self, folder: Path) -> list[str]:
        return ["s6-svstat", str(folder / "scan" / service_name(0))]
