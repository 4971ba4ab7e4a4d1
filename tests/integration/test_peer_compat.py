"""Our circusctl and clients drive the daemon of PyPI circus 0.19, and its circusctl and client drive ours.

``CIRCUS_PEER_VENV`` names a virtual environment that has circus 0.19.0; without it these tests are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.client import AsyncCircusClient, CircusClient
from circus.exc import CallError
from tests.support import DEADLINE, Circusd, wait_until

PEER = os.environ.get("CIRCUS_PEER_VENV", "")

pytestmark = pytest.mark.skipif(
    not PEER, reason="CIRCUS_PEER_VENV does not name a virtual environment with circus 0.19.0"
)

WATCHERS = """
[watcher:Web]
cmd = sleep 300
numprocesses = 2
[watcher:one]
cmd = sleep 300
singleton = True
[socket:s]
host = 127.0.0.1
port = 0
"""


class PeerDaemon:
    """A circusd of PyPI circus on a local socket of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="circus-"))
        self.endpoint = f"ipc://{self.folder}/endpoint"
        ini = self.folder / "circus.ini"
        # No test waits for the statistics or for discovery; neither may meet another test's.
        ini.write_text(
            f"[circus]\nendpoint = {self.endpoint}\npubsub_endpoint = ipc://{self.folder}/pubsub\n"
            f"multicast_endpoint =\ncheck_delay = 1\n{WATCHERS}"
        )
        with (self.folder / "log").open("wb") as log:
            command = [f"{PEER}/bin/circusd", str(ini)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=_environment())
        wait_until(self._runs, "the other circusd runs")

    def _runs(self) -> bool:
        with CircusClient(endpoint=self.endpoint, timeout=1) as client, contextlib.suppress(CallError):
            return set(client.send_message("status").get("statuses", {}).values()) == {"active"}
        return False

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run our circusctl; again while the daemon says that it has something else to do."""
        command = [sys.executable, "-m", "circus.cli.circusctl", "--endpoint", self.endpoint, "--timeout", "15", *words]
        run = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
        while "arbiter is already running" in run.stderr:
            run = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
        return run

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder)


def _environment() -> dict[str, str]:
    """Nothing that belongs to this virtual environment may be found by the other one's programs."""
    names = ("PYTHONPATH", "CIRCUSCTL_ENDPOINT", "CIRCUS_PUBSUB_ENDPOINT", "CIRCUS_STATS_ENDPOINT")
    return {name: value for name, value in os.environ.items() if name not in names}


@pytest.fixture
def peer() -> Iterator[PeerDaemon]:
    daemon = PeerDaemon()
    try:
        yield daemon
    finally:
        daemon.close()


def test_our_circusctl_asks_their_daemon(peer: PeerDaemon) -> None:
    def said(line: str) -> str:
        run = peer.ctl(*line.split())
        assert (run.returncode, run.stderr) == (0, ""), line
        return run.stdout.rstrip("\n")

    assert said("status") == "Web: active\none: active"
    assert said("status web") == "active"
    assert said("list") == "one,web"
    pids = said("list web").split(",")
    assert len(pids) == 2
    assert said("numprocesses") == "3"
    assert said("numprocesses web") == "2"
    assert said("numwatchers") == "2"
    assert "\ncmd: sleep 300\n" in said("options web")
    assert said("get web numprocesses cmd") == "numprocesses: 2\ncmd: sleep 300"
    assert f"endpoint: {peer.endpoint}\n" in said("globaloptions")
    assert said("globaloptions check_delay") == "check_delay: 1.0"
    assert "socket 's' at 127.0.0.1:" in said("listsockets")
    assert said("dstats").startswith("Main Process:\n    ")
    assert said("stats").startswith("Web:\n")
    assert f"\n{pids[0]}: {pids[0]}  sleep " in said("stats web")
    assert said(f"stats web {pids[1]} --extended").startswith(f"{pids[1]}: {pids[1]}  sleep ")
    assert said("ipython") != ""
    assert json.loads(said("list --json --prettify"))["watchers"] == ["one", "web"]


def test_our_circusctl_changes_their_daemon(peer: PeerDaemon) -> None:
    def done(line: str, output: str = "ok") -> None:
        run = peer.ctl(*line.split())
        assert (run.returncode, run.stderr, run.stdout) == (0, "", output + "\n"), line

    done("incr web 2 --waiting", "4")
    done("decr web --waiting", "3")
    done("incr one", "This watcher is a Singleton - not changing the number of processes")
    done("set web numprocesses 1 graceful_timeout 2 stop_signal quit --waiting")
    done("get web numprocesses stop_signal", "numprocesses: 1\nstop_signal: 3")
    done("set web env A=b,C=d max_age 1000 send_hup false --waiting")
    done("get web env", "env: A=b,C=d")
    done("signal web usr1 --children")
    done("signal web 12345678 9")
    done("kill web --signum TERM --graceful-timeout 1 --waiting")
    done("stop web --waiting")
    done("start w* --match glob --waiting")
    done("restart web --waiting")
    done("reload web --waiting --sequential")
    done("reload web --terminate --waiting")
    done("add --start new sleep 200")
    wait_until(lambda: peer.ctl("status", "new").stdout == "active\n", "new is active")
    done("rm new --waiting")
    done("reloadconfig --waiting")
    done("quit --waiting")
    assert peer.process.wait(DEADLINE) == 0


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        ("list nosuch", 3, "error: program nosuch not found\n"),
        ("get web nosuch", 3, "error: 'nosuch' option not found\n"),
        ("signal web 99", 3, "error: [Errno 22] Invalid argument\n"),
        ("explain web", 3, "error: unknown command: 'explain'\n"),
        ("events", 3, "error: unknown command: 'events'\n"),
        ("plan", 3, "error: unknown command: 'plan'\n"),
        ("events --follow", 1, "error: circusd does not tell its events: unknown command: 'events'\n"),
    ],
)
def test_errors_of_their_daemon(peer: PeerDaemon, words: str, status: int, reason: str) -> None:
    run = peer.ctl(*words.split())
    assert (run.returncode, run.stdout, run.stderr) == (status, "", reason)


def test_our_clients_call_their_daemon(peer: PeerDaemon) -> None:
    async def ask() -> dict[str, Any]:
        async with AsyncCircusClient(endpoint=peer.endpoint) as client:
            return await client.send_message("list")

    assert asyncio.run(ask())["watchers"] == ["one", "web"]


# The other way round.


def test_their_circusctl_drives_our_daemon(circusd: Circusd) -> None:
    circusd.start(WATCHERS)
    (socket,) = circusd.ok("listsockets")["sockets"]

    def done(line: str, output: str, status: int = 0) -> None:
        command = [f"{PEER}/bin/circusctl", "--endpoint", circusd.endpoint, "--timeout", "15", *line.split()]
        run = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=_environment(), check=False)
        assert (run.returncode, (run.stdout + run.stderr).rstrip("\n")) == (status, output), line

    done("status", "Web: active\none: active")
    done("status web", "active")
    done("list", "one,web")
    done("numprocesses", "3")
    done("numwatchers", "2")
    done("get web numprocesses cmd", "numprocesses: 2\ncmd: sleep 300")
    done("globaloptions check_delay", "check_delay: 5.0")
    done("listsockets", f"{socket['fd']}:socket 's' at 127.0.0.1:{socket['port']}")
    done("incr web --waiting", "3")
    done("decr web 2 --waiting", "1")
    done("incr one", "This watcher is a Singleton - not changing the number of processes")
    done("set web graceful_timeout 2", "ok")
    done("kill web", "ok")
    done("kill web --graceful_timeout 1 --signum TERM", "ok")
    done("signal web usr2 --recursive", "ok")
    done("stop web --waiting", "ok")
    done("start web --waiting", "ok")
    done("restart web --waiting", "ok")
    done("reload web --waiting", "ok")
    done("add --start new sleep 200", "ok")
    done("rm new", "ok")
    done("reloadconfig --waiting", "ok")
    done("list nosuch", "error: program nosuch not found", 3)
    done("quit --waiting", "ok")
    assert circusd.process is not None
    assert circusd.process.wait(DEADLINE) == 0


def test_their_client_calls_our_daemon(circusd: Circusd) -> None:
    circusd.start(WATCHERS)
    code = """
        import json, sys
        from circus.client import CircusClient
        client = CircusClient(endpoint=sys.argv[1])
        calls = [("list", {}), ("restart", {"name": "web", "waiting": True}), ("stats", {"name": "one"}), ("no", {})]
        print(json.dumps([client.send_message(command, **properties) for command, properties in calls]))
    """
    run = subprocess.run(
        [f"{PEER}/bin/python", "-c", textwrap.dedent(code), circusd.endpoint],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=_environment(),
        cwd=circusd.folder,
        check=True,
    )
    listed, restarted, stats, unknown = json.loads(run.stdout)
    assert listed["watchers"] == ["one", "web"]
    assert len(restarted["info"]["started"]) == len(restarted["info"]["stopped"]) == 2
    assert [info["cmdline"] for info in stats["info"].values()] == ["sleep"]
    assert (unknown["errno"], unknown["reason"]) == (2, "unknown command: 'no'")
