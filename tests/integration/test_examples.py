"""Every example is run as a user runs it, from the project's folder."""

from __future__ import annotations

import os
import re
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.support import BIN, DEADLINE, Circusd, wait_until

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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
