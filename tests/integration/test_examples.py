"""Every example is run as a user runs it, from the project's folder."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(ROOT.glob("examples/*.ini"))
DEADLINE = 20.0  # seconds


def wait_for(what: str, condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Return once ``condition`` holds; fail with ``what`` when the seconds are over."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} within {seconds} s"
        time.sleep(0.02)


class Stack:
    """A circusd on one example, with endpoints and a port of its own."""

    def __init__(self, example: Path, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.output = folder / "output"
        self.env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PORT": str(self.port),
            "CIRCUSCTL_ENDPOINT": f"ipc://{folder}/command",
            "CIRCUS_PUBSUB_ENDPOINT": f"ipc://{folder}/events",
            "CIRCUS_STATS_ENDPOINT": f"ipc://{folder}/stats",
        }
        with self.output.open("wb") as output:
            command = self.script("circusd", str(example))
            self.daemon = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=output, stderr=output)

    @staticmethod
    def script(name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-c", f"import sys; from circus.cli.{name} import main; sys.exit(main())", *arguments]

    def circusctl(self, *arguments: str) -> str:
        """What circusctl prints; nothing if it failed."""
        run = subprocess.run(
            self.script("circusctl", *arguments), env=self.env, stdout=subprocess.PIPE, text=True, timeout=30
        )
        return run.stdout if run.returncode == 0 else ""

    def pids(self) -> list[int]:
        return [
            int(pid)
            for line in self.circusctl("status").splitlines()
            for pid in self.circusctl("list", line.partition(":")[0]).strip().split(",")
            if pid
        ]


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(request.param, tmp_path)
    try:
        yield stack
    finally:
        if stack.daemon.poll() is None:
            stack.daemon.terminate()
        try:
            stack.daemon.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            stack.daemon.kill()
            stack.daemon.wait()
            raise


def all_active(stack: Stack) -> bool:
    assert stack.daemon.poll() is None, stack.output.read_text()
    states = [line.partition(":")[2].strip() for line in stack.circusctl("status").splitlines()]
    return bool(states) and all(state == "active" for state in states)


def test_example_runs_and_ends(stack: Stack) -> None:
    wait_for("every watcher is active", lambda: all_active(stack))
    pids = stack.pids()
    assert len(pids) >= 4
    stack.circusctl("quit", "--waiting")
    assert stack.daemon.wait(DEADLINE) == 0, stack.output.read_text()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("stack", [ROOT / "examples" / "quickstart.ini"], indirect=True)
def test_quickstart_does_what_its_comments_say(stack: Stack) -> None:
    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/", timeout=10) as reply:
            return reply.read().decode()

    def ticks() -> set[str]:
        return set(re.findall(r"^worker (\d+): tick 1$", stack.output.read_text(), re.MULTILINE))

    wait_for("every watcher is active", lambda: all_active(stack))
    wait_for("the web server listens", lambda: "serving" in stack.output.read_text())
    assert f"process {stack.circusctl('list', 'web').strip()}." in page()
    wait_for("two workers tick", lambda: ticks() == {"1", "2"})
    stack.circusctl("incr", "tick", "--waiting")
    wait_for("a third worker ticks", lambda: ticks() == {"1", "2", "3"})
