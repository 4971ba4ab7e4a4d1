"""The floor: the least that any supervisor must do. What lies between it and a supervisor is the supervisor's own."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.base import LOGS, Peer, Rotation
from benchmarks.tools import Programs


class Floor(Peer):
    """A bare loop of posix_spawn and waitpid. Output goes straight into a file, which is not rotated."""

    name = "floor"
    captures = 'exec "$@" > {logs}/$$.log'

    def __init__(self, programs: Programs) -> None:
        self._program = programs.floor

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        (folder / "argv").write_text("\0".join((str(workers), *command)))

    def write_capturing(self, folder: Path, workers: int, command: Sequence[str], rotation: Rotation) -> None:
        (folder / LOGS).mkdir()
        script = self.captures.format(logs=folder / LOGS)
        self.write(folder, workers, ("/bin/sh", "-c", script, "sh", *command))

    def argv(self, folder: Path) -> list[str]:
        return [*self._program, *(folder / "argv").read_text().split("\0")]


class Cat(Floor):
    """The same, but output goes through a pipe and a cat: the least that anything between program and file must do."""

    name = "cat"
    captures = '"$@" | cat > {logs}/$$.log'
