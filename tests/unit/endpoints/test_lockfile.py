from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from circus.endpoints.lockfile import Held, LockFile, parse_pid

HOLD = """
import sys
from circus.endpoints.lockfile import Held, LockFile
file = LockFile(sys.argv[1], 0o600)
sys.stdin.readline()
try:
    file.acquire()
    print("got", flush=True)
except Held as held:
    print("held", held.pid, flush=True)
sys.stdin.read()
"""


def contender(path: Path) -> subprocess.Popen[str]:
    """A process that takes the lock when it gets a line, and keeps it until its input ends."""
    command = [sys.executable, "-c", HOLD, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process: subprocess.Popen[str]) -> str:
    """Let a contender try, and return what came of it."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_the_file_names_this_process_and_goes_with_it(tmp_path: Path) -> None:
    file = LockFile(str(tmp_path / "lock"), 0o640)
    file.acquire()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o640
    file.release()
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_learns_who_holds_it(tmp_path: Path) -> None:
    file = LockFile(str(tmp_path / "lock"), 0o600)
    file.acquire()
    with contender(tmp_path / "lock") as other:
        assert tell(other) == f"held {os.getpid()}"
        other.communicate(timeout=10)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    file.release()


def test_one_of_many_wins(tmp_path: Path) -> None:
    # What a dead process left makes all of them replace the same file.
    (tmp_path / "lock").write_text("999999999\n")
    contenders = [contender(tmp_path / "lock") for _ in range(4)]
    try:
        for process in contenders:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.stdout.readline().split() for process in contenders if process.stdout]
        winners = [process for process, answer in zip(contenders, answers, strict=True) if answer == ["got"]]
        assert len(winners) == 1
        assert (tmp_path / "lock").read_text() == f"{winners[0].pid}\n"
        assert {answer[1] for answer in answers if answer[0] == "held"} == {str(winners[0].pid)}
    finally:
        for process in contenders:
            process.communicate(timeout=10)


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    with contender(tmp_path / "lock") as other:
        assert tell(other) == "got"
        with pytest.raises(Held) as caught:
            LockFile(str(tmp_path / "lock"), 0o600).acquire()
        assert caught.value.pid == other.pid
        other.kill()
        other.wait(10)
    assert (tmp_path / "lock").read_text() == f"{other.pid}\n"
    file = LockFile(str(tmp_path / "lock"), 0o600)
    file.acquire()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    file.release()


def test_a_file_that_another_process_replaces_meanwhile_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").write_text("999999999\n")
    left = (tmp_path / "lock").stat().st_ino
    flock = fcntl.flock
    with contender(tmp_path / "lock") as other:

        def flock_late(descriptor: int, operation: int) -> None:
            if os.fstat(descriptor).st_ino == left:  # opened by this process, and not locked yet
                assert tell(other) == "got"
            flock(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", flock_late)
        with pytest.raises(Held) as caught:
            LockFile(str(tmp_path / "lock"), 0o600).acquire()
        assert caught.value.pid == other.pid
        other.communicate(timeout=10)


def test_a_file_that_somebody_else_put_there_is_not_removed(tmp_path: Path) -> None:
    file = LockFile(str(tmp_path / "lock"), 0o600)
    file.acquire()
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").write_text("1\n")
    file.release()
    assert (tmp_path / "lock").read_text() == "1\n"


def test_a_forked_child_does_not_release_it(tmp_path: Path) -> None:
    file = LockFile(str(tmp_path / "lock"), 0o600)
    file.acquire()
    child = os.fork()
    if child == 0:
        file.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "lock").exists()
    file.release()
    file.release()


def test_what_the_check_refuses_stays(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("precious")

    def refuse(descriptor: int, content: bytes) -> None:
        raise ValueError(content.decode())

    with pytest.raises(ValueError, match="precious"):
        LockFile(str(tmp_path / "lock"), 0o600, refuse).acquire()
    assert (tmp_path / "lock").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_remainder_with_this_pid_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".lock.{os.getpid()}").write_text("")
    file = LockFile(str(tmp_path / "lock"), 0o600)
    file.acquire()
    file.release()
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("1\n")
    (tmp_path / "lock").symlink_to("target")
    with pytest.raises(OSError, match="symbolic"):
        LockFile(str(tmp_path / "lock"), 0o600).acquire()
    assert (tmp_path / "target").read_text() == "1\n"


@pytest.mark.parametrize(
    ("content", "pid"),
    [(b"12\n", 12), (b" 7 ", 7), (b"", None), (b"0\n", None), (b"-3\n", None), (b"x", None), (b"1" * 40, None)],
)
def test_parse_pid(content: bytes, pid: int | None) -> None:
    assert parse_pid(content) == pid
