"""What a measurement has to know of a supervisor."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from benchmarks.clients import Client

LOGS = "logs"
"""The folder in the folder of a run in which captured output is kept."""


@dataclass(frozen=True)
class Rotation:
    """When a file is rotated, in bytes, and how many rotated ones are kept."""

    max_bytes: int
    backups: int


class Peer(ABC):
    """A supervisor: how it is configured, started, asked and stopped.

    Everything that belongs to one run lies in the folder that the methods are given, nothing in the object. Its
    constructor raises Missing when the supervisor is not installed.
    """

    name: str
    stop_signal: int = SIGTERM
    """The signal that asks the supervisor to end itself and all workers."""
    period = 0.0
    """Seconds between the looks of one that polls for deaths; kills are spread over them."""
    python: Path | None = None
    """The interpreter that it runs on."""
    control: str | None = None
    """Name of its unix socket for commands, in the folder."""

    @property
    def version(self) -> str:
        """For the heading of the table."""
        return ""

    @abstractmethod
    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        """Write the configuration: so many workers, all with this command line."""

    def write_capturing(self, folder: Path, workers: int, command: Sequence[str], rotation: Rotation) -> None:
        """As write, but the standard output of each worker goes into rotating files of its own, in LOGS."""
        raise NotImplementedError(f"{self.name} captures no output")

    @abstractmethod
    def argv(self, folder: Path) -> list[str]:
        """The command line that starts the supervisor in the foreground."""

    def status_argv(self, folder: Path) -> list[str] | None:
        """The command line that shows the state of the first worker; None where there is none."""
        return None

    def client(self, folder: Path) -> Client:
        """A connection for commands; only for supervisors with a control socket."""
        raise NotImplementedError(f"{self.name} has no control socket")


def run_file(command: Sequence[str]) -> str:
    """The run file of a service directory in its fastest form, without a shell in between where that is possible."""
    if len(command) == 2:
        return f"#!{command[0]} {command[1]}\n"
    return f"#!/bin/sh\nexec {' '.join(command)}\n"


def write_services(scan: Path, workers: int, command: Sequence[str], logger: Sequence[str] = ()) -> None:
    """One service directory for each worker, as s6 and runit know them; logger gets the folder of the log as well."""
    for number in range(workers):
        service = scan / service_name(number)
        _write_service(service, command)
        if logger:
            log = scan.parent / LOGS / service_name(number)
            log.mkdir(parents=True)
            _write_service(service / "log", (*logger, str(log)))


def _write_service(service: Path, command: Sequence[str]) -> None:
    service.mkdir(parents=True)
    (service / "run").write_text(run_file(command))
    (service / "run").chmod(0o755)


def service_name(number: int) -> str:
    """Name of a service directory."""
    return f"w{number:04}"
