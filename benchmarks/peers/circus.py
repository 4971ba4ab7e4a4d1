"""Circus: ours, of the environment that runs the benchmark, and the last release of before."""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clients import WATCHER, CircusClient
from benchmarks.errors import Missing
from benchmarks.peers.base import LOGS, Peer, Rotation
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

    def write(self, folder: Path, workers: int, command: Sequence[str], options: str = "") -> None:
        self.write_watchers(folder, _watcher(WATCHER, workers, command), options)

    def write_watchers(self, folder: Path, watchers: str, options: str = "") -> None:
        """Write the configuration with these sections, and more lines of ``[circus]``."""
        (folder / "circus.ini").write_text(
            "[circus]\n"
            f"endpoint = ipc://{folder / 'control'}\n"
            f"pubsub_endpoint = {self.pubsub(folder)}\n"
            f"multicast_endpoint =\n{options}{watchers}"
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


def _watcher(name: str, workers: int, command: Sequence[str]) -> str:
    return f"[watcher:{name}]\ncmd = {command[0]}\nargs = {' '.join(command[1:])}\nnumprocesses = {workers}\n"


def _log(folder: Path, name: str) -> Path:
    return folder / LOGS / name / "out.log"


def _stream(log: str, rotation: Rotation) -> str:
    return (
        "stdout_stream.class = FileStream\n"
        f"stdout_stream.filename = {log}\n"
        f"stdout_stream.max_bytes = {rotation.max_bytes}\n"
        f"stdout_stream.backup_count = {rotation.backups}\n"
    )


class Ours(Circus):
    """The circusd beside the interpreter that runs the benchmark."""

    def __init__(self) -> None:
        programs = Path(sys.executable).parent
        for program in ("circusd", "circusctl"):
            if not (programs / program).exists():
                raise Missing(f"{programs / program} does not exist; install circus into this environment")
        super().__init__("ours", programs)

    def write_capturing(self, folder: Path, workers: int, command: Sequence[str], rotation: Rotation) -> None:
        for wid in range(1, workers + 1):
            _log(folder, str(wid)).parent.mkdir(parents=True)
        log = str(_log(folder, "$(circus.wid)"))
        self.write_watchers(folder, _watcher(WATCHER, workers, command) + _stream(log, rotation))


class Released(Circus):
    """The last release before this code base, in an environment of its own."""

    period = 5.0  # check_delay, as it is by default

    def __init__(self) -> None:
        super().__init__("circus", peer_environment("CIRCUS_PEER_VENV", "circus==0.19.0", "circusd"))

    def write_capturing(self, folder: Path, workers: int, command: Sequence[str], rotation: Rotation) -> None:
        sections = []
        for number in range(1, workers + 1):
            # A watcher each: all processes of a watcher share one file here.
            log = _log(folder, str(number))
            log.parent.mkdir(parents=True)
            sections.append(_watcher(f"{WATCHER}-{number}", 1, command) + _stream(str(log), rotation))
        self.write_watchers(folder, "".join(sections))
