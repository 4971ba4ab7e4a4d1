from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from circus.cli.pidfile import Pidfile
from circus.exc import CircusError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "circusd.pid"


def refusal(path: Path) -> str:
    """The text with which the file is refused."""
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(CircusError) as caught:
        Pidfile(str(path)).create()
    if path.is_file():
        assert path.read_bytes() == before
    return str(caught.value)


def test_it_holds_the_pid_and_is_readable_by_all_under_any_umask(path: Path) -> None:
    umask = os.umask(0o077)
    try:
        pidfile = Pidfile(str(path))
        pidfile.create()
    finally:
        os.umask(umask)
    assert path.read_bytes() == f"{os.getpid()}\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    pidfile.remove()
    assert not path.exists()


def test_a_relative_path_is_taken_from_the_folder_at_that_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    pidfile = Pidfile(path.name)
    monkeypatch.chdir("/")
    pidfile.create()
    assert path.exists()
    pidfile.remove()
    assert not path.exists()


def test_a_living_process_is_respected_though_it_locks_nothing(path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as living:
        path.write_text(f"{living.pid}\n")
        assert f"pid file '{path}' is stale, current pid {living.pid}" in refusal(path)
        living.kill()


def test_a_daemon_that_holds_it_is_named(path: Path) -> None:
    code = (
        "import sys; from circus.cli.pidfile import Pidfile; Pidfile(sys.argv[1]).create(); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as daemon:
        assert daemon.stdout
        daemon.stdout.readline()
        # The lock alone counts, whatever the times say.
        os.utime(path, (1, 1))
        assert f"is stale, current pid {daemon.pid}" in refusal(path)
        daemon.kill()
        daemon.wait(10)
    pidfile = Pidfile(str(path))
    pidfile.create()
    assert path.read_text() == f"{os.getpid()}\n"
    pidfile.remove()


def test_a_pid_that_was_given_away_again_is_no_obstacle(path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as newcomer:
        path.write_text(f"{newcomer.pid}\n")
        os.utime(path, (1e9, 1e9))  # long before that process
        pidfile = Pidfile(str(path))
        pidfile.create()
        pidfile.remove()
        newcomer.kill()


def test_a_zombie_is_dead(path: Path) -> None:
    with subprocess.Popen(["true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        path.write_text(f"{zombie.pid}\n")
        pidfile = Pidfile(str(path))
        pidfile.create()
        pidfile.remove()


@pytest.mark.parametrize("content", ["", "\n", "\0\0\0\0", "999999999\n", "{own}\n"])
def test_what_a_dead_daemon_left_is_replaced(path: Path, content: str) -> None:
    path.write_text(content.format(own=os.getpid()))
    pidfile = Pidfile(str(path))
    pidfile.create()
    assert path.read_text() == f"{os.getpid()}\n"
    pidfile.remove()


def test_a_file_of_another_kind_is_left_alone(path: Path) -> None:
    path.write_text("root:x:0:0\n")
    assert "does not hold a process id" in refusal(path)


def test_places_that_cannot_be_written(path: Path) -> None:
    assert f"the folder {path} does not exist" in refusal(path / "below")
    assert "directory" in refusal(path.parent)
    path.symlink_to("elsewhere")
    assert "symbolic link" in refusal(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_a_folder_of_somebody_else(path: Path) -> None:
    path.parent.chmod(0o755)
    code = (
        "import os, sys; from circus.cli.pidfile import Pidfile\n"
        "os.seteuid(65534)\n"
        "try: Pidfile(sys.argv[1]).create()\n"
        "except Exception as exc: print(exc)"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=30, check=True)
    assert "cannot write pid file" in run.stdout
    assert "Permission denied" in run.stdout
    assert not path.exists()
