"""Which files a command consists of, and when they count as changed; with real files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from circus.plugins.command_files import Change, Look, command_of, look


def files(tmp_path: Path, cmd: str, environ: dict[str, str] | None = None, **options: Any) -> list[str]:
    """The files of a command that are there, as names below the folder; others as they are."""
    given = {"cmd": cmd, "args": "", "executable": None, "shell": False, "working_dir": str(tmp_path), "env": {}}
    command = command_of({**given, **options}, environ or {"PATH": f"{tmp_path}/bin:/nowhere"})
    paths = [path for path, _ in command.files()] if command is not None else []
    return [path.removeprefix(f"{tmp_path}/") for path in paths]


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def programs(tmp_path: Path) -> None:
    for name in ("python3.11", "bash", "tail", "app", "env"):
        program(tmp_path / "bin" / name)


@pytest.mark.parametrize(
    ("cmd", "expected"),
    [
        ("bin/app", ["bin/app"]),
        ("app --port 80", ["bin/app"]),
        ("/elsewhere/app", ["/elsewhere/app"]),
        ("./app 'a b'", ["./app"]),
        ("python3.11 app.py data.txt", ["bin/python3.11", "app.py"]),
        ("python3.11 -u -W error -X dev app.py", ["bin/python3.11", "app.py"]),
        ("python3.11 -m http.server", ["bin/python3.11"]),
        ("python3.11 -uc 'print(1)'", ["bin/python3.11"]),
        ("bash -o pipefail --norc run.sh", ["bin/bash", "run.sh"]),
        ("bash -c 'run.sh'", ["bin/bash"]),
        ("tail -f app.log", ["bin/tail"]),
        ("env -i A=1 python3.11 app.py", ["bin/python3.11", "app.py"]),
        ("bin/env", ["bin/env"]),
        ("app-$(circus.wid)", []),
        ("python3.11 app-$(circus.wid).py", ["bin/python3.11"]),
        ("$(circus.working_dir)/bin/app", ["bin/app"]),
        ("((circus.env.app)) x", ["bin/app"]),
        ("'unfinished", []),
        ("", []),
    ],
)
def test_the_files_of_a_command(tmp_path: Path, cmd: str, expected: list[str]) -> None:
    environ = {"PATH": f"{tmp_path}/bin", "app": "bin/app"}
    assert files(tmp_path, cmd, environ) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"args": "app.py"}, ["bin/python3.11", "app.py"]),
        ({"args": ["-u", "my app.py"]}, ["bin/python3.11", "my app.py"]),
        ({"args": "app.py", "executable": "bin/app"}, ["bin/app"]),
        ({"args": "app.py > log", "shell": True}, ["bin/python3.11", "app.py"]),
        ({"args": "app.py", "env": {"PATH": "other"}}, ["other/python3.11", "app.py"]),
        ({"virtualenv": "venv"}, ["venv/bin/python3.11"]),
    ],
)
def test_options_that_say_what_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program(tmp_path / "other" / "python3.11")
    program(tmp_path / "venv" / "bin" / "python3.11")
    assert files(tmp_path, "python3.11", **options) == expected


def test_a_shell_gets_past_what_stands_before_the_program(tmp_path: Path) -> None:
    assert files(tmp_path, "A=1 exec ./app", shell=True) == ["./app"]
    assert files(tmp_path, "exec ./app") != ["./app"], "without a shell that is a program's name"


def test_path_is_searched_anew_each_time(tmp_path: Path) -> None:
    environ = {"PATH": f"{tmp_path}/first:{tmp_path}/bin"}
    assert files(tmp_path, "app", environ) == ["bin/app"]
    program(tmp_path / "first" / "app")
    assert files(tmp_path, "app", environ) == ["first/app"]


class Watched:
    """A command with a program and a script, looked at again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "app.py"
        self.script.write_text("1")
        options = {
            "cmd": "bin/python3.11 app.py",
            "args": "",
            "executable": None,
            "shell": False,
            "env": {},
            "working_dir": str(folder),
        }
        command = command_of(options, {})
        assert command is not None
        self.command = command
        self.change = Change(self.look())

    def look(self) -> Look:
        return look(self.command)

    def restarts(self) -> bool:
        """Look once, and accept what has settled."""
        seen = self.look()
        settled = self.change.has_settled(seen)
        if settled:
            self.change.accept(seen)
        return settled

    def many(self) -> int:
        return sum(self.restarts() for _ in range(5))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_nothing_happens_to_files_that_stay(watched: Watched) -> None:
    watched.script.chmod(0o700)
    assert watched.many() == 0


def test_a_file_that_was_written_has_settled_at_the_next_look(watched: Watched) -> None:
    watched.script.write_text("22")
    assert [watched.restarts() for _ in range(4)] == [False, True, False, False]


def test_one_that_is_written_on_and_on_has_not(watched: Watched) -> None:
    for length in range(2, 8):
        watched.script.write_text("2" * length)
        assert not watched.restarts()
    assert watched.many() == 1


def test_the_time_of_a_file_alone_counts(watched: Watched) -> None:
    os.utime(watched.script, (1e9, 1e9))
    assert watched.many() == 1


def test_a_file_put_in_its_place_has_changed_whatever_its_time(watched: Watched) -> None:
    other = watched.folder / "other"
    shutil.copy2(watched.script, other)
    other.replace(watched.script)
    assert watched.many() == 1


def test_a_link_that_leads_elsewhere_has_changed(watched: Watched) -> None:
    for release in ("a", "b"):
        (watched.folder / release).mkdir()
    (watched.folder / "a" / "app.py").write_text("1")
    # Tools that deploy link a file that is the same in the next release.
    (watched.folder / "b" / "app.py").hardlink_to(watched.folder / "a" / "app.py")
    link = watched.folder / "current"
    link.symlink_to("a")
    watched.script.unlink()
    watched.script.symlink_to("current/app.py")
    watched.change.accept(watched.look())
    assert watched.many() == 0
    (watched.folder / "next").symlink_to("b")
    (watched.folder / "next").replace(link)
    assert watched.many() == 1


def test_one_that_is_missing_is_waited_for(watched: Watched) -> None:
    watched.script.unlink()
    assert watched.many() == 0
    watched.script.write_text("22")
    assert watched.many() == 1


def test_a_program_that_cannot_be_run_yet_is_waited_for(watched: Watched) -> None:
    python = watched.folder / "bin" / "python3.11"
    python.write_text("other")
    python.chmod(0o644)
    watched.script.write_text("22")
    assert watched.many() == 0
    python.chmod(0o755)
    assert watched.many() == 1, "once for both"


def test_what_comes_back_as_it_was_has_not_changed(watched: Watched) -> None:
    aside = watched.folder / "aside"
    watched.script.rename(aside)
    assert watched.many() == 0
    aside.rename(watched.script)
    assert watched.many() == 0


def test_a_change_stays_until_it_is_accepted(watched: Watched) -> None:
    watched.script.write_text("22")
    found = [watched.change.has_settled(watched.look()) for _ in range(4)]
    assert found == [False, True, True, True]


@pytest.mark.parametrize("link", [False, True])
def test_what_was_put_there_after_a_moment_can_be_taken_for_a_change(watched: Watched, link: bool) -> None:
    if link:
        watched.script.rename(watched.folder / "target.py")
        watched.script.symlink_to("target.py")
        watched.change.accept(watched.look())
    since = watched.script.lstat().st_ctime
    watched.change.doubt(since)
    assert watched.many() == 0
    watched.change.doubt(since - 0.001)
    assert watched.many() == 1


def test_whoever_is_started_runs_what_was_there_before(watched: Watched) -> None:
    watched.script.write_text("22")
    changed = watched.script.stat().st_ctime
    watched.change.accept_before(watched.look(), changed - 1)
    assert watched.many() == 1, "it was written after the start"
    watched.script.write_text("333")
    watched.change.accept_before(watched.look(), watched.script.stat().st_ctime + 1)
    assert watched.many() == 0
