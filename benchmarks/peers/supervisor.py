"""supervisord, in an environment of its own."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.clients import SupervisorClient
from benchmarks.peers.base import Peer
from benchmarks.tools import distribution_version, peer_environment


class Supervisor(Peer):
    """One program with as many processes; their output is not captured, as nowhere here."""

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
            "stdout_logfile = NONE\n"
            "stderr_logfile = NONE\n"
        )

    def argv(self, folder: Path) -> list[str]:
        return [str(self.programs / "supervisord"), "-c", str(folder / "supervisord.conf")]

    def status_argv(self, folder: Path) -> list[str]:
        return [str(self.programs / "supervisorctl"), "-c", str(folder / "supervisord.conf"), "status"]

    def client(self, folder: Path) -> SupervisorClient:
        return SupervisorClient(folder / "control")
