"""The page of a plugin that a real circusd runs, scraped by a real Prometheus."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from circus_prometheus import Exporter

from circus.testing import Circusd, RunPlugin, daemon, wait_until

BUSY = "while True:\n    pass\n"


def free_port() -> int:
    """A port that nobody uses, below those that the system takes for connections."""
    while True:
        with socket.socket() as probe:
            port = random.randrange(12000, 32000)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as reply:
        return str(reply.read().decode())


class Prometheus:
    """A Prometheus that scrapes one page each second: it gives up on a page that takes longer than until the next."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        job = {"job_name": "circus", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        config = folder / "prometheus.yml"  # JSON is YAML
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )

    def ask(self, what: str, **parameters: str) -> Any:
        """Ask its API."""
        try:
            reply = json.loads(get(f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"))
        except (urllib.error.URLError, ConnectionError):
            assert self.process.poll() is None, "prometheus has ended"
            return None
        assert reply["status"] == "success", reply
        return reply["data"]

    def value(self, query: str) -> float | None:
        """Return what a query gives that has one result."""
        data = self.ask("query", query=query)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    def wait_for(self, query: str, value: float) -> None:
        """Wait until a query gives that."""
        wait_until(lambda: self.value(query) == value, f"{query} is {value}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Circusd, Prometheus]]:
    """One daemon and one Prometheus for all tests of this module: both take a while to start."""
    with ExitStack() as stack:
        circusd, port = stack.enter_context(daemon()), free_port()
        busy = circusd.program("busy.py", BUSY)
        circusd.start(
            f"""
            [plugin:prometheus]
            port = {port}

            [watcher:Web Server]
            cmd = sleep 300
            numprocesses = 2

            [watcher:busy]
            cmd = {busy}
            """
        )
        prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), port)
        stack.callback(prometheus.close)
        wait_until(lambda: prometheus.ask("targets"), "prometheus answers")
        prometheus.wait_for("circus_up", 1)
        yield circusd, prometheus


def test_prometheus_takes_the_page_without_complaint(running: tuple[Circusd, Prometheus]) -> None:
    _, prometheus = running
    [target] = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


def test_states_and_processes(running: tuple[Circusd, Prometheus]) -> None:
    circusd, prometheus = running
    prometheus.wait_for('circus_watcher_processes{watcher="Web Server"}', 2)
    circusd.ok("incr", name="web server")
    prometheus.wait_for('circus_watcher_processes{watcher="Web Server"}', 3)
    prometheus.wait_for('circus_watcher_processes_wanted{watcher="Web Server"}', 3)
    prometheus.wait_for('circus_watcher_state{watcher="Web Server",state="active"}', 1)
    circusd.ok("stop", name="web server")
    prometheus.wait_for('circus_watcher_state{watcher="Web Server",state="active"}', 0)
    prometheus.wait_for('circus_watcher_state{watcher="Web Server",state="stopped"}', 1)
    circusd.ok("start", name="web server")


def test_events_and_crashes_are_counted(running: tuple[Circusd, Prometheus]) -> None:
    circusd, prometheus = running
    prometheus.wait_for('circus_unexpected_exits_total{watcher="crashing"} or vector(-1)', -1)
    [pid] = circusd.add("crashing", "sleep 300")
    prometheus.wait_for('circus_unexpected_exits_total{watcher="crashing"}', 0)
    circusd.kill(pid)
    circusd.wait_for("spawn", watcher="crashing", count=2)
    circusd.ok("restart", name="crashing")
    prometheus.wait_for('circus_unexpected_exits_total{watcher="crashing"}', 1)
    prometheus.wait_for('circus_events_total{watcher="crashing",action="reap"}', 2)
    prometheus.wait_for('circus_events_total{watcher="crashing",action="spawn"}', 3)


def test_cpu_and_memory(running: tuple[Circusd, Prometheus]) -> None:
    circusd, prometheus = running
    wait_until(lambda: (prometheus.value("sum(circus_process_cpu_seconds_total{watcher='busy'})") or 0) > 1, "it burns")
    resident = prometheus.value("circus_process_resident_memory_bytes{watcher='busy',wid='1'}")
    assert resident is not None
    [pid] = circusd.pids("busy")
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    assert resident == pytest.approx(pages * 4096, rel=0.02)
    prometheus.wait_for("time() - circus_process_start_time_seconds{watcher='busy'} < bool 300", 1)


def test_the_page_in_the_test_s_own_process(circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300")
    exporter = run_plugin(Exporter, port=0)
    page = get(f"http://127.0.0.1:{exporter.port}/metrics")
    assert 'circus_watcher_processes{watcher="web"} 1.0\n' in page
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"http://127.0.0.1:{exporter.port}/")
    run_plugin.stop(exporter)
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(f"http://127.0.0.1:{exporter.port}/metrics")


def test_a_daemon_that_does_not_answer_is_down(circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300")
    exporter = run_plugin(Exporter, port=0)
    assert "circus_up 1.0\n" in get(f"http://127.0.0.1:{exporter.port}/metrics")
    circusd.stop()
    page = get(f"http://127.0.0.1:{exporter.port}/metrics")
    assert "circus_up 0.0\n" in page
    assert 'circus_unexpected_exits_total{watcher="web"} 0.0\n' in page
    assert "circus_watcher_state" not in page


def test_a_port_that_is_taken_is_told_of(circusd: Circusd) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        circusd.write(f"[plugin:prometheus]\nport = {taken.getsockname()[1]}\n")
        circusd.launch()
        wait_until(lambda: "Address already in use" in circusd.output(), "the log says why")
