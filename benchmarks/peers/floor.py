"""The floor: the least that any supervisor must do. What lies between it and a supervisor is the supervisor's own."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.base import Peer
from benchmarks.tools import Programs


class Floor(Peer):
    """A bare loop of posix_spawn and waitpid."""

    name = "floor"

    def __init__(self, programs: Programs) -> None:
        self._program = programs.floor

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        (folder / "argv").write_text("\0".join((str(workers), *command)))

    def argv(self, folder: Path) -> list[str]:
        return [*self._program, *(folder / "argv").read_text().split("\0")]
