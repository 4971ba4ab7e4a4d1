"""The environment that children start with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from circus.config.schema import WatcherSettings
from circus.config.variables import process_lookup
from circus.exc import SpawnError
from circus.launch.environment import environment


def env_of(mark: str = "b.1.1.1", wid: int = 1, notify_address: str = "", **options: object) -> dict[str, str]:
    settings = WatcherSettings(name="w", cmd="true", **options)  # type: ignore[arg-type]
    return environment(settings, process_lookup(settings, wid, {}), mark, notify_address)


@pytest.fixture(autouse=True)
def _unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIRCUS_MARK", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.delenv(name, raising=False)


def test_only_what_is_configured_and_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of circusd")
    assert env_of(env={"A": "1", "B": ""}) == {"A": "1", "B": "", "CIRCUS_MARK": "b.1.1.1"}


def test_copy_env_lies_beneath(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "circusd's")
    monkeypatch.setenv("B", "circusd's")
    assert env_of(copy_env=True, env={"A": "own"}) == {**os.environ, "A": "own", "CIRCUS_MARK": "b.1.1.1"}


def test_bytes_that_are_no_text_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAW", os.fsdecode(b"caf\xe9"))
    assert os.fsencode(env_of(copy_env=True)["RAW"]) == b"caf\xe9"


def test_marks_of_daemons_above_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUS_MARK", "outer.1.1.1")
    assert env_of()["CIRCUS_MARK"] == "outer.1.1.1,b.1.1.1"


@pytest.mark.parametrize(
    "name", ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]
)
def test_what_a_service_manager_told_circusd_is_not_handed_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    assert name not in env_of(copy_env=True)
    assert env_of(copy_env=True, env={name: "meant"})[name] == "meant"


def test_notify_address() -> None:
    assert env_of(notify_address="@circus-1")["NOTIFY_SOCKET"] == "@circus-1"
    assert "NOTIFY_SOCKET" not in env_of()


def test_variables_in_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    env = {"PORT": "80$(circus.wid)", "DIR": "((circus.env.home))/x", "SAME": "$(circus.nothing) $HOME"}
    result = env_of(wid=7, env=env)
    assert (result["PORT"], result["DIR"], result["SAME"]) == ("807", "/h/x", "$(circus.nothing) $HOME")


@pytest.mark.parametrize("path", ["", "/from/env"])
def test_copy_path(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(sys, "path", ["", "/a", "/b", "/a"])
    env = {"PYTHONPATH": path} if path else {}
    expected = [*([path] if path else []), os.getcwd(), "/a", "/b"]
    assert env_of(copy_env=True, copy_path=True, env=env)["PYTHONPATH"] == ":".join(expected)


def test_copy_path_with_an_inherited_pythonpath(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/inherited")
    monkeypatch.setattr(sys, "path", ["/a"])
    assert env_of(copy_env=True, copy_path=True)["PYTHONPATH"] == "/inherited:/a"


@pytest.fixture(scope="module")
def make_venv(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    made: list[Path] = []

    def make() -> Path:
        if not made:
            home = tmp_path_factory.mktemp("virtual env")
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=50)
            made.append(home)
        return made[0]

    return make


def test_virtualenv(make_venv: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_venv()
    packages = next(home.glob("lib/python*/site-packages"))
    added = tmp_path / "added"
    added.mkdir()
    (packages / "only_here.py").write_text("where = __file__\n")
    (packages / "relative").mkdir(exist_ok=True)
    (packages / "x.pth").write_text(f"# note\nimport os; os.abort()\n{added}\nrelative\n/does/not/exist\n\n")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    env = env_of(copy_env=True, virtualenv=str(home), env={"PYTHONPATH": "/own"})
    assert env["PATH"] == f"{home}/bin:/usr/bin:/bin"
    assert env["PYTHONPATH"].split(":") == [str(packages), str(added), f"{packages}/relative", "/own"]
    assert env["VIRTUAL_ENV"] == str(home)
    assert "PYTHONHOME" not in env
    code = "import only_here; print(only_here.where)"
    command = [f"{home}/bin/python", "-S", "-c", code]
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=50)
    assert found.stdout.strip() == str(packages / "only_here.py")


def test_virtualenv_of_another_python(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python2.7" / "site-packages"
    packages.mkdir(parents=True)
    for version in ("2.7", None):
        env = env_of(copy_env=True, virtualenv=str(tmp_path), virtualenv_py_ver=version)
        assert env["PYTHONPATH"] == str(packages)
    with pytest.raises(SpawnError, match=r"no site-packages for Python 3\.99"):
        env_of(copy_env=True, virtualenv=str(tmp_path), virtualenv_py_ver="3.99")


def test_virtualenv_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="is not a folder"):
        env_of(copy_env=True, virtualenv=str(tmp_path / "nothing"))
    with pytest.raises(SpawnError, match="no site-packages for any Python"):
        env_of(copy_env=True, virtualenv=str(tmp_path))
