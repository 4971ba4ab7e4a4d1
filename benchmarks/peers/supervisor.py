"""supervisord, in an environment of its own."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.clients import SupervisorClient
from benchmarks.peers.base import LOGS, Peer, Rotation
from benchmarks.tools import distribution_version, peer_environment


class Supervisor(Peer):
    """One program with as many processes."""

    name = "supervisor"
    control = "control"
    period = 1.0

    def __init__(self) -> None:
        self.programs = peer_environment("SUPERVISOR_VENV", "supervisor==4.3.0", "supervisord")
        self.python = self.programs / "python"

    @property
    def version(self) -> str:
        return distribution_version(self.programs / "python", "supervisor")

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        self._write(folder, workers, command, "stdout_logfile = NONE\n")

    def write_capturing(self, folder: Path, workers: int, command: Sequence[str], rotation: Rotation) -> None:
        for number in range(workers):
            (folder / LOGS / f"{number:04}").mkdir(parents=True)
        output = (
            f"stdout_logfile = {folder / LOGS}/%(process_num)04d/out.log\n"
            f"stdout_logfile_maxbytes = {rotation.max_bytes}\n"
            f"stdout_logfile_backups = {rotation.backups}\n"
        )
        self._write(folder, workers, command, output)

    def _write(self, folder: Path, workers: int, command: Sequence[str], output: str) -> None:
        (folder / "supervisord.conf").write_text(
            "[supervisord]\n"
            "nodaemon = true\n"
            f"logfile = {folder / 'supervisord.log'}\n"
            f"pidfile = {folder / 'supervisord.pid'}\n"
            f"childlogdir = {folder}\n"
            "[unix_http_server]\n"
            f"file = {folder / 'control'}\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            "[supervisorctl]\n"
            f"serverurl = unix://{folder / 'control'}\n"
            "[program:worker]\n"
            f"command = {' '.join(command)}\n"
            f"numprocs = {workers}\n"
            "process_name = %(program_name)s_%(process_num)04d\n"
            "autorestart = true\n"
            "stderr_logfile = NONE\n"
            f"{output}"
        )

    def argv(self, folder: Path) -> list[str]:
        return [str(self.programs / "supervisord"), "-c", str(folder / "supervisord.conf")]

    def status_argv(self, folder: Path) -> list[str]:
        return [str(self.programs / "supervisorctl"), "-c", str(folder / "supervisord.conf"), "status"]

    def client(self, folder: Path) -> SupervisorClient:
        return SupervisorClient(folder / "control")
