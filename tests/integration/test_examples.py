"""Every example is run as a user runs it, from the project's folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from tests.support import BIN, DEADLINE, Circusd, free_port, wait_until

ROOT = Path(__file__).parents[2]


def run(circusd: Circusd, example: Path, **variables: str) -> None:
    """Start circusd on an example, on endpoints of its own, and wait until all of it is active."""
    circusd.ini = example
    env = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "CIRCUSCTL_ENDPOINT": circusd.endpoint,
        "CIRCUS_PUBSUB_ENDPOINT": circusd.pubsub_endpoint,
        "CIRCUS_STATS_ENDPOINT": f"ipc://{circusd.folder}/stats",
    }
    circusd.launch(env=env | variables, cwd=ROOT)
    circusd.wait_until_ready()
    # A watcher whose hook waits for something is still starting.
    wait_until(lambda: set(circusd.ok("status")["statuses"].values()) == {"active"}, "all are active")


@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*.ini")), ids=lambda path: path.name)
def test_example_runs_and_ends(circusd: Circusd, example: Path) -> None:
    run(circusd, example, PORT=str(free_port()))
    assert len(circusd.descendants()) >= 4
    circusd.ok("quit")
    assert circusd.process is not None
    assert circusd.process.wait(DEADLINE) == 0, circusd.output()
    assert not circusd.descendants()


def test_the_example_of_a_distribution_passes_its_own_tests(tmp_path: Path) -> None:
    """It is laid out as an installer would, and tested from outside of this project."""
    project = tomllib.loads((ROOT / "examples/plugin/pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    shutil.copytree(ROOT / "examples/plugin/circus_chronicle", site / "circus_chronicle")
    shutil.copytree(ROOT / "examples/plugin/tests", tmp_path / "tests")
    metadata = site / f"circus_chronicle-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: circus-chronicle\nVersion: {project['version']}\n"
    )
    entry_points = [f"{name} = {value}" for name, value in project["entry-points"]["circus"].items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[circus]", *entry_points]))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert (run.returncode, "5 passed" in run.stdout) == (0, True), run.stdout + run.stderr


def test_the_stream_keeps_errors(circusd: Circusd) -> None:
    shutil.copy(ROOT / "examples" / "errors.py", circusd.folder)
    cmd = circusd.program("web.py", "import time\nprint('fine\\nERROR: 1\\nERROR: 2', flush=True)\ntime.sleep(1000)\n")
    database = circusd.folder / "errors.sqlite"
    circusd.start(f"""
        [watcher:web]
        cmd = {cmd}
        stdout_stream.class = ./errors.py:Errors
        stdout_stream.database = {database}
    """)

    def kept() -> list[tuple[int, str]]:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
            return connection.execute("SELECT pid, line FROM errors").fetchall() if tables else []

    (pid,) = circusd.pids("web")
    wait_until(lambda: kept() == [(pid, "ERROR: 1"), (pid, "ERROR: 2")], "both are kept")


def test_quickstart_does_what_its_comments_say(circusd: Circusd) -> None:
    port = free_port()

    def ticks() -> set[str]:
        return set(re.findall(r"^worker (\d+): tick 1$", circusd.output(), re.MULTILINE))

    run(circusd, ROOT / "examples" / "quickstart.ini", PORT=str(port))
    wait_until(lambda: "serving" in circusd.output(), "the web server listens")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE) as reply:
        assert reply.read().decode() == f"Hello from process {circusd.pids('web')[0]}.\n"
    wait_until(lambda: ticks() == {"1", "2"}, "two workers tick")
    circusd.ok("incr", name="tick")
    wait_until(lambda: ticks() == {"1", "2", "3"}, "a third worker ticks")
