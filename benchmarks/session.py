"""One supervisor with its workers, from an empty folder to the last process gone."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import proc
from benchmarks.births import Birth, Births
from benchmarks.clients import CircusClient, await_socket
from benchmarks.errors import Failed
from benchmarks.peers.base import Peer

START_TIMEOUT = 60.0  # seconds for all workers to come up
LOG_TAIL = 300  # characters of the supervisor's own output that a failure shows


@dataclass
class Session:
    """A launched supervisor: its folder, its process, the moment of its launch and the births of its workers."""

    peer: Peer
    folder: Path
    births: Births
    daemon: "subprocess.Popen[bytes]"
    launched_ns: int
    first: list[Birth] = field(default_factory=list)

    @property
    def workers(self) -> list[int]:
        """PIDs of the workers that came up first."""
        return [birth.pid for birth in self.first]

    def await_workers(self, count: int) -> None:
        """Wait until count workers run; raises Failed, with the last words of the supervisor."""
        try:
            self.first = self.births.wait(count, START_TIMEOUT, self.ended)
        except Failed as failure:
            raise Failed(f"{failure}; its output ends with: {self.log_tail()!r}") from failure

    def await_control(self) -> None:
        """Wait until the supervisor accepts connections for commands."""
        assert self.peer.control is not None
        await_socket(self.folder / self.peer.control, START_TIMEOUT, self.ended)

    @contextlib.contextmanager
    def client(self, patience: float) -> Iterator[CircusClient]:
        """A client of Circus's commands, with so many seconds for one reply."""
        self.await_control()
        client = CircusClient(f"ipc://{self.folder / 'control'}", patience)
        try:
            yield client
        finally:
            client.close()

    def ended(self) -> bool:
        """Whether the supervisor has ended."""
        return self.daemon.poll() is not None

    def log_tail(self) -> str:
        """The end of what the supervisor wrote to its standard output and error."""
        return (self.folder / "log").read_text(errors="replace")[-LOG_TAIL:]

    def supervisors(self) -> list[int]:
        """PIDs of the supervisor itself and of its helper processes: all below it but the workers."""
        below = set(proc.descendants(self.daemon.pid)) - set(self.workers)
        return [self.daemon.pid, *sorted(below)]

    def settle(self, age: float) -> None:
        """Sleep until the youngest worker is age seconds old.

        To every supervisor here a worker that dies in its first second is one that fails to start: it waits on purpose.
        """
        youngest = max(birth.ns for birth in self.first)
        time.sleep(max(0.0, age - (time.monotonic_ns() - youngest) / 1e9))


@contextlib.contextmanager
def launch(peer: Peer, root: Path, write: Callable[[Path], None]) -> Iterator[Session]:
    """Write the configuration and start the supervisor; at the end kill whatever is left of it and remove its files."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=root))
    births = Births(folder / "births")
    try:
        write(folder)
        argv = peer.argv(folder)
        with (folder / "log").open("wb") as log:
            launched = time.monotonic_ns()
            daemon = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
            )
        yield Session(peer, folder, births, daemon, launched)
    finally:
        proc.end_descendants()
        births.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(peer: Peer, workers: int, root: Path, write: Callable[[Path], None]) -> Iterator[Session]:
    """As launch, but all workers run already."""
    with launch(peer, root, write) as session:
        session.await_workers(workers)
        yield session
