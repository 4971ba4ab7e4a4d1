from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LAUNCH = """
import json, os, sys
held = open(os.devnull)
os.chdir(sys.argv[1])
from circus.cli.daemonize import daemonize
print("before")
report = daemonize()
facts = {"pid": os.getpid(), "session": os.getsid(0), "parent": os.getppid(), "folder": os.getcwd()}
facts["standard"] = [os.readlink(f"/proc/self/fd/{n}") for n in range(3)]
links = [f"/proc/self/fd/{n}" for n in os.listdir("/proc/self/fd") if int(n) > 2]
facts["others"] = [os.readlink(link) for link in links if os.path.lexists(link)]
with open("facts.part", "w") as file:
    json.dump(facts, file)
os.rename("facts.part", "facts")
"""


def launch(folder: Path, end: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Daemonize, then do what ``end`` says; return how the launching process ended, and what the daemon was like."""
    run = subprocess.run(
        [sys.executable, "-c", LAUNCH + end, folder], capture_output=True, text=True, timeout=30, check=False
    )
    return run, json.loads((folder / "facts").read_text())


def test_ready(tmp_path: Path) -> None:
    run, facts = launch(tmp_path, "report(None); report('too late')")
    assert (run.returncode, run.stdout, run.stderr) == (0, "before\n", "")
    assert facts["standard"] == [os.devnull] * 3
    assert len(facts["others"]) == 1, "only the pipe to the launcher stays open"
    assert facts["folder"] == str(tmp_path)
    # A session of its own that it does not lead, so that no terminal can become its own.
    assert facts["session"] not in (facts["pid"], os.getsid(0))


def test_a_failure_reaches_whoever_launched_it(tmp_path: Path) -> None:
    run, _ = launch(tmp_path, "report('circusd: a.ini:3: bad\\ncircusd: ünd more'); report(None)")
    assert run.returncode == 1
    assert run.stderr == "circusd: a.ini:3: bad\ncircusd: ünd more\n"


def test_an_end_without_a_word(tmp_path: Path) -> None:
    run, _ = launch(tmp_path, "raise RuntimeError")
    assert run.returncode == 1
    assert "ended before it was ready" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_launcher_waits(tmp_path: Path) -> None:
    # The daemon reports only after this test has seen it alive with its launcher still waiting.
    os.mkfifo(tmp_path / "gate")
    command = [sys.executable, "-c", LAUNCH + "open('gate').read(); report(None)", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as launcher:
        with (tmp_path / "gate").open("w"):
            assert (tmp_path / "facts").exists()
            assert launcher.poll() is None
        assert launcher.wait(10) == 0


def test_a_daemon_whose_launcher_is_gone_goes_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    os.mkfifo(tmp_path / "end")
    end = "open('gate').read(); report(None); open('after', 'w'); open('end').read()"
    with subprocess.Popen([sys.executable, "-c", LAUNCH + end, tmp_path], stdout=subprocess.DEVNULL) as launcher:
        gate = (tmp_path / "gate").open("w")
        launcher.kill()
        launcher.wait(10)
    gate.close()
    with (tmp_path / "end").open("w"):
        assert (tmp_path / "after").exists()
