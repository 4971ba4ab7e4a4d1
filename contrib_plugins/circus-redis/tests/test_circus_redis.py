"""The plugin beside a real circusd, which runs a real redis-server, and a UDP socket in place of statsd."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from circus_redis import RedisObserver

from circus.testing import Circusd, RunPlugin, is_alive, wait_until

PREFIX = "circus.redis_observer.watcher.redis_stats."


class Statsd:
    """Keeps what is sent to it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        """All lines so far."""
        try:
            while True:
                self._lines += self._socket.recv(65535).decode("ascii").split("\n")
        except BlockingIOError:
            return self._lines

    def wait_for(self, name: str, value: str) -> str:
        """Wait for a line with that name and a value and type like the pattern; return the value."""
        line = re.compile(re.escape(PREFIX + name) + f":({value})")
        found = wait_until(lambda: [match[1] for match in map(line.fullmatch, self.lines()) if match], line.pattern)
        return str(found[-1])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def statsd() -> Iterator[Statsd]:
    server = Statsd()
    yield server
    server.close()


@pytest.fixture
def server(circusd: Circusd) -> Path:
    """The socket of a redis-server that is the watcher ``redis``."""
    path = circusd.folder / "redis"
    circusd.start(
        f"""
        [watcher:redis]
        cmd = redis-server --port 0 --unixsocket {path} --save "" --dir {circusd.folder}
        graceful_timeout = 1
        """
    )
    wait_until(lambda: answers(path), "redis-server answers")
    return path


@pytest.fixture
def options(server: Path, statsd: Statsd) -> dict[str, Any]:
    return {"redis_url": f"unix://{server}", "host": "127.0.0.1", "port": statsd.port, "loop_rate": 0.1}


def answers(path: Path) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(path)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_numbers_become_gauges(run_plugin: RunPlugin, server: Path, statsd: Statsd, options: dict[str, Any]) -> None:
    with redis.Redis(unix_socket_path=str(server)) as client:
        client.mset({"a": 1, "b": 2})
        run_plugin(RedisObserver, **options)
        statsd.wait_for("connected_clients", r"2\|g")
        statsd.wait_for("db0.keys", r"2\|g")
        assert int(statsd.wait_for("used_memory", r"\d+\|g").removesuffix("|g")) > 100_000
        assert not [line for line in statsd.lines() if not re.fullmatch(r"[\w.-]+:-?[\d.e-]+\|g", line)]
        client.set("c", 3)
        statsd.wait_for("db0.keys", r"3\|g")


def test_a_server_that_hangs_is_restarted_once(
    circusd: Circusd, run_plugin: RunPlugin, server: Path, statsd: Statsd, options: dict[str, Any]
) -> None:
    [pid] = circusd.pids("redis")
    run_plugin(RedisObserver, timeout=0.5, restart_on_timeout="redis", **options)
    statsd.wait_for("uptime_in_seconds", r"\d+\|g")
    circusd.kill(pid, signal.SIGSTOP)
    assert circusd.wait_for("reap", watcher="redis").data["process_pid"] == pid
    assert not is_alive(pid)
    wait_until(lambda: answers(server), "the new one answers")
    statsd.wait_for("timeout", r"1\|c")
    statsd.wait_for("restart_on_timeout", r"1\|c")
    before = len(statsd.lines())
    wait_until(lambda: "uptime_in_seconds" in str(statsd.lines()[before:]), "the new one is measured")
    assert len(circusd.events.of("reap", watcher="redis")) == 1


def test_a_server_that_is_not_there_is_left_alone(
    circusd: Circusd, run_plugin: RunPlugin, statsd: Statsd, options: dict[str, Any]
) -> None:
    circusd.ok("stop", name="redis")
    run_plugin(RedisObserver, restart_on_timeout="redis", **options)
    statsd.wait_for("error", r"1\|c")
    assert circusd.ok("status", name="redis")["status"] == "stopped"
    circusd.ok("start", name="redis")
    statsd.wait_for("uptime_in_seconds", r"\d+\|g")


def test_circusd_runs_it_as_it_is_installed(circusd: Circusd, statsd: Statsd) -> None:
    section = f"redis_url = unix:///nowhere\nhost = 127.0.0.1\nport = {statsd.port}\nloop_rate = 0.1\n"
    old = f"[plugin:old]\nuse = circus.plugins.redis_observer.RedisObserver\napplication_name = old\n{section}"
    circusd.start(f"[plugin:redis_observer]\n{section}\n{old}")
    statsd.wait_for("error", r"1\|c")
    wait_until(lambda: "circus.old.watcher.redis_stats.error:1|c" in statsd.lines(), "the old path means it too")


def test_a_mistake_in_its_options_is_found_before_anything_starts(circusd: Circusd) -> None:
    with pytest.raises(AssertionError, match=r"timeout.*soon|soon.*timeout"):
        circusd.start("[plugin:redis_observer]\ntimeout = soon\n")
