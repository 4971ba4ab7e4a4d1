"""The functions for hooks that come with Circus, against real sockets, servers, files and commands."""

from __future__ import annotations

import http.server
import logging
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from circus.hooks import ready_made
from circus.hooks.ready import circus_register_hooks
from circus.hooks.ready_made import run_command, wait_for_file, wait_for_http, wait_for_port
from circus.hooks.running import RUNNING, Run
from tests.support import free_port, is_alive, wait_until

ARBITER: Any = SimpleNamespace(endpoint="ipc:///somewhere")


class Watcher:
    """As much of a watcher as these functions look at."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.name = "web"
        self._options = {
            "working_dir": str(folder),
            "env": {},
            "copy_env": True,
            "copy_path": False,
            "virtualenv": None,
        }
        self._options.update(options)

    def options(self) -> dict[str, Any]:
        return self._options


@pytest.fixture
def watcher(tmp_path: Path) -> Any:
    return Watcher(tmp_path)


@pytest.fixture
def run() -> Iterator[Run]:
    """What the functions of the test take for the run that they belong to."""
    made = Run("web", "before_start")
    token = RUNNING.set(made)
    yield made
    RUNNING.reset(token)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "circus")
    return caplog


def later(act: Any) -> None:
    """Do it once whoever waits has had to try again."""
    threading.Timer(ready_made.PAUSE * 2.5, act).start()


# Ports.


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", ""])
def test_a_port_that_is_opened_later_is_waited_for(watcher: Any, host: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        later(server.listen)
        address = f"{host}:{server.getsockname()[1]}"
        assert wait_for_port(watcher, ARBITER, "before_start", address, pid=3)


def test_a_unix_socket_is_waited_for_and_begins_in_the_working_dir(watcher: Any, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        later(lambda: (server.bind(str(tmp_path / "s")), server.listen()))
        assert wait_for_port(watcher, ARBITER, "before_start", "./s")


def test_a_port_that_stays_closed_is_told_with_the_last_error(watcher: Any) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(TimeoutError, match=rf"waited 0.3 s for connections at {address}; the last error: .*refused"):
        wait_for_port(watcher, ARBITER, "before_start", address, timeout="0.3")


@pytest.mark.parametrize("address", ["localhost", "localhost:", "localhost:http", "localhost:0", "localhost:65536"])
def test_an_address_without_a_port_is_refused(watcher: Any, address: str) -> None:
    with pytest.raises(ValueError, match="write HOST:PORT"):
        wait_for_port(watcher, ARBITER, "before_start", address)


@pytest.mark.parametrize("timeout", ["soon", "-1", "nan", "inf"])
def test_a_timeout_that_is_none_is_refused(watcher: Any, timeout: str) -> None:
    with pytest.raises(ValueError, match="write a number of seconds"):
        wait_for_port(watcher, ARBITER, "before_start", "localhost:1", timeout=timeout)


# HTTP.


@pytest.fixture
def server() -> Iterator[Any]:
    """A server that answers with the statuses in its list, the last one again and again."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            statuses = self.server.statuses  # type: ignore[attr-defined]
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.statuses = [200]  # type: ignore[attr-defined]
    made.url = f"http://127.0.0.1:{made.server_port}/?a=b"  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.parametrize(
    ("statuses", "status"),
    [([503, 500, 404, 200], ""), ([503, 302], ""), ([200, 204], "204"), ([500, 404, 401], "401, 404 403")],
)
def test_a_url_is_waited_for_until_it_answers_well(watcher: Any, server: Any, statuses: list[int], status: str) -> None:
    server.statuses = list(statuses)
    assert wait_for_http(watcher, ARBITER, "before_start", server.url, status=status)
    assert len(server.statuses) == 1 or status.startswith("401"), "it was asked until the last"


@pytest.mark.parametrize(("statuses", "status"), [([503], ""), ([200], "204")])
def test_a_url_that_answers_badly_is_told(watcher: Any, server: Any, statuses: list[int], status: str) -> None:
    server.statuses = statuses
    with pytest.raises(TimeoutError, match=f"the last error: it answers with the status {statuses[0]}"):
        wait_for_http(watcher, ARBITER, "before_start", server.url, timeout="0.3", status=status)


def test_a_server_that_never_answers_and_one_that_talks_nonsense_are_told(watcher: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(TimeoutError, match=r"the last error: .*timed out"):
            wait_for_http(watcher, ARBITER, "h", f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout="0.3")
        answered = threading.Event()

        def answer() -> None:
            while not answered.is_set():
                connection, _ = silent.accept()
                with connection:
                    connection.sendall(b"220 mail.example.com\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(TimeoutError, match="no answer in HTTP"):
            wait_for_http(watcher, ARBITER, "h", f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout="0.5")
        answered.set()
        socket.create_connection(silent.getsockname()).close()
        thread.join()


def test_what_is_no_url_or_no_status_is_refused(watcher: Any) -> None:
    with pytest.raises(ValueError, match="write http://"):
        wait_for_http(watcher, ARBITER, "before_start", "file:///etc/passwd")
    with pytest.raises(ValueError, match="write a number such as 200"):
        wait_for_http(watcher, ARBITER, "before_start", "http://localhost", status="2xx")


# Files.


def test_a_file_is_waited_for_and_begins_in_the_working_dir(watcher: Any, tmp_path: Path) -> None:
    later((tmp_path / "ready").touch)
    assert wait_for_file(watcher, ARBITER, "before_start", "ready")
    assert wait_for_file(watcher, ARBITER, "before_start", str(tmp_path / "ready"), timeout="0")


def test_a_file_that_does_not_come_is_told(watcher: Any, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=rf"waited 0.2 s for the file {tmp_path}/ready; the last error: .*No such"):
        wait_for_file(watcher, ARBITER, "before_start", "ready", timeout="0.2")


def test_waiting_ends_when_nobody_wants_it_and_at_the_hooks_deadline(watcher: Any, run: Run) -> None:
    run.deadline = time.time() + 0.2
    with pytest.raises(TimeoutError, match=r"waited 0\.\d+ s"):
        wait_for_file(watcher, ARBITER, "before_start", "ready", timeout="1000")
    run.deadline = None
    later(run.abort)
    with pytest.raises(InterruptedError, match="until nobody wanted it any more"):
        wait_for_file(watcher, ARBITER, "before_start", "ready", timeout="1000")


def test_a_command_that_nobody_wants_any_more_when_it_begins_is_killed(watcher: Any, run: Run) -> None:
    run.abort()
    with pytest.raises(RuntimeError, match="was killed by SIGKILL"):
        run_command(watcher, ARBITER, "before_start", "sleep 1000")


# Commands.


def python(code: str) -> str:
    return f"{sys.executable} -c {shlex.quote(code)}"


def test_a_command_has_the_watchers_place_and_environment_and_what_the_hook_passes(tmp_path: Path) -> None:
    watcher: Any = Watcher(tmp_path, copy_env=False, env={"A": "b c"})
    code = "import json, os; json.dump([os.getcwd(), dict(os.environ)], open('seen', 'w'))"
    assert run_command(watcher, ARBITER, "after_spawn", python(code), pid=12, stats={})
    import json

    folder, env = json.loads((tmp_path / "seen").read_text())
    assert folder == str(tmp_path)
    env.pop("LC_CTYPE", None)  # Python's own doing
    assert env == {
        "A": "b c",
        "CIRCUS_HOOK_NAME": "after_spawn",
        "CIRCUS_WATCHER_NAME": "web",
        "CIRCUS_PID": "12",
        "CIRCUSCTL_ENDPOINT": "ipc:///somewhere",
    }


def test_with_copy_env_the_runners_own_secrets_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/of/the/runner")
    monkeypatch.setenv("PYTHONPATH", "/of/the/runner")
    monkeypatch.setenv("CIRCUS_MARK", "m.1")
    monkeypatch.setenv("INHERITED", "yes")
    command = "sh -c 'echo \"$NOTIFY_SOCKET-$PYTHONPATH-$CIRCUS_MARK-$INHERITED-${PATH%%:*}\" > seen'"
    (tmp_path / "venv").mkdir()
    assert run_command(Watcher(tmp_path, virtualenv=str(tmp_path / "venv")), ARBITER, "h", command)  # type: ignore[arg-type]
    assert (tmp_path / "seen").read_text() == f"--m.1-yes-{tmp_path}/venv/bin\n"


def test_what_a_command_prints_is_logged(watcher: Any, log: pytest.LogCaptureFixture) -> None:
    assert run_command(watcher, ARBITER, "before_start", "sh -c 'echo one; echo two >&2; printf three'")
    assert [record.message for record in log.records] == [f"before_start of web: {w}" for w in ("one", "two", "three")]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("sh -c 'exit 3'", "ended with exit code 3; its output is in the log"),
        ("sh -c 'kill -9 $$'", "was killed by SIGKILL"),
        ("no-such-program", "cannot be run: .*No such file"),
        ("sh -c 'open", "cannot be run: No closing quotation"),
        ("", "cannot be run: it is empty"),
    ],
)
def test_a_command_that_fails_is_an_error(watcher: Any, command: str, why: str) -> None:
    with pytest.raises(RuntimeError, match=why):
        run_command(watcher, ARBITER, "before_start", command)


STUBBORN = (
    "trap '' TERM; echo $$ > leader; sh -c 'trap \"\" TERM; echo $$ > child; sleep 1000' & set -m; sleep 1000 & wait"
)


def test_a_command_whose_time_is_up_is_killed(watcher: Any) -> None:
    with pytest.raises(TimeoutError, match=r"had not ended after 0\.2 s and was killed"):
        run_command(watcher, ARBITER, "before_start", "sleep 1000", timeout="0.2")


def test_a_command_is_killed_with_its_session_when_nobody_wants_it(watcher: Any, tmp_path: Path, run: Run) -> None:
    files = [tmp_path / "leader", tmp_path / "child"]

    def end() -> None:
        wait_until(lambda: all(file.exists() and file.read_text() for file in files))
        run.abort()

    threading.Thread(target=end).start()
    with pytest.raises(RuntimeError, match="was killed by SIGKILL"):
        run_command(watcher, ARBITER, "before_start", f"sh -c {shlex.quote(STUBBORN)}")
    for file in files:
        wait_until(lambda file=file: not is_alive(int(file.read_text())), f"the {file.name} is gone")


def test_what_a_command_leaves_behind_is_not_waited_for(watcher: Any, tmp_path: Path) -> None:
    assert run_command(watcher, ARBITER, "before_start", "sh -c 'sleep 1000 & echo $! > child'", timeout="20")
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_each_one_is_registered() -> None:
    for spec in circus_register_hooks():
        module, _, name = spec.function.partition(":")
        assert module == "circus.hooks.ready_made"
        assert getattr(ready_made, name).__name__ == spec.name
