"""What a group of rows is: one measurement, and the rows of the table that it fills."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.base import Peer
from benchmarks.session import Session, launch, running
from benchmarks.tools import Programs


@dataclass(frozen=True)
class Bench:
    """The circumstances of a run."""

    programs: Programs
    root: Path
    quick: bool

    def running(
        self, peer: Peer, workers: int, write: Callable[[Path], None] | None = None
    ) -> AbstractContextManager[Session]:
        """The supervisor with all its workers running.

        write: puts another configuration than the usual one into the folder.
        """
        return running(peer, workers, self.root, write or self._usual(peer, workers))

    def launch(self, peer: Peer, workers: int) -> AbstractContextManager[Session]:
        """The supervisor just launched."""
        return launch(peer, self.root, self._usual(peer, workers))

    def _usual(self, peer: Peer, workers: int) -> Callable[[Path], None]:
        return lambda folder: peer.write(folder, workers, (*self.programs.worker, str(folder / "births")))


@dataclass(frozen=True)
class Row:
    """One line of the table. Higher says which direction is better."""

    key: str
    title: str
    unit: str
    goal: str = ""
    higher: bool = False


@dataclass(frozen=True)
class Group:
    """A measurement: takes a supervisor, returns a figure for each of its rows, or fewer where one has no meaning.

    once: the measurement takes its median itself, over many samples; it is not repeated.
    """

    name: str
    rows: tuple[Row, ...]
    measure: Callable[[Peer, Bench], Mapping[str, float]]
    peers: frozenset[str]
    once: bool = False


ALL = frozenset({"ours", "circus", "supervisor", "s6", "runit", "floor"})
CIRCUS = frozenset({"ours", "circus"})
CONTROLLED = CIRCUS | {"supervisor"}
