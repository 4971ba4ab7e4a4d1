"""Circus: ours, of the environment that runs the benchmark, and the last release of before."""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clients import WATCHER, CircusClient
from benchmarks.errors import Missing
from benchmarks.peers.base import Peer
from benchmarks.tools import distribution_version, peer_environment


class Circus(Peer):
    """A circusd of whatever version: they share configuration and protocol."""

    control = "control"

    def __init__(self, name: str, programs: Path) -> None:
        self.name = name
        self.programs = programs
        self.python = programs / "python"

    @property
    def version(self) -> str:
        return distribution_version(self.programs / "python", "circus")

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        (folder / "circus.ini").write_text(
            "[circus]\n"
            f"endpoint = ipc://{folder / 'control'}\n"
            f"pubsub_endpoint = {self.pubsub(folder)}\n"
            "multicast_endpoint =\n"
            f"[watcher:{WATCHER}]\n"
            f"cmd = {command[0]}\n"
            f"args = {' '.join(command[1:])}\n"
            f"numprocesses = {workers}\n"
        )

    def argv(self, folder: Path) -> list[str]:
        return [str(self.programs / "circusd"), str(folder / "circus.ini")]

    def status_argv(self, folder: Path) -> list[str]:
        return [str(self.programs / "circusctl"), "--endpoint", f"ipc://{folder / 'control'}", "status"]

    def client(self, folder: Path) -> CircusClient:
        return CircusClient(f"ipc://{folder / 'control'}")

    @staticmethod
    def pubsub(folder: Path) -> str:
        """The endpoint of the events."""
        return f"ipc://{folder / 'events'}"


class Ours(Circus):
    """The circusd beside the interpreter that runs the benchmark."""

    def __init__(self) -> None:
        programs = Path(sys.executable).parent
        for program in ("circusd", "circusctl"):
            if not (programs / program).exists():
                raise Missing(f"{programs / program} does not exist; install circus into this environment")
        super().__init__("ours", programs)


class Released(Circus):
    """The last release before this code base, in an environment of its own."""

    period = 5.0  # check_delay, as it is by default

    def __init__(self) -> None:
        super().__init__("circus", peer_environment("CIRCUS_PEER_VENV", "circus==0.19.0", "circusd"))
