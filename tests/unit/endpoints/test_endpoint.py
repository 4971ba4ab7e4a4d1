from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from circus.endpoints.endpoint import (
    IPC_PATH_LIMIT,
    bind_error_text,
    check_exposure,
    give_to,
    ipc_path,
    is_loopback,
    lock,
    prepare_dir,
)
from circus.exc import CircusError

HOLD = """
import sys
from circus.endpoints.endpoint import lock
held = lock(sys.argv[1])
print("locked", flush=True)
sys.stdin.read()
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root's rights")


def refusal(endpoint: str) -> str:
    with pytest.raises(CircusError) as caught:
        lock(endpoint)
    assert endpoint in str(caught.value)
    return str(caught.value)


def bind_error(endpoint: str) -> str:
    """What is said about an endpoint that ZeroMQ refuses to bind."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        with pytest.raises(zmq.ZMQError) as caught:
            router.bind(endpoint)
        return bind_error_text(endpoint, caught.value)


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("ipc:///run/x", "/run/x"),
        ("ipc://x", "x"),
        ("ipc://@abstract", None),
        ("ipc://*", None),
        ("tcp://127.0.0.1:5555", None),
        ("inproc://x", None),
    ],
)
def test_ipc_path(endpoint: str, path: str | None) -> None:
    assert ipc_path(endpoint) == path
    if path is None:
        assert lock(endpoint) is None


def test_a_second_daemon_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/endpoint"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout
        first.stdout.readline()
        assert refusal(endpoint) == (
            f"another circusd (pid {first.pid}) serves {endpoint}; stop it or name another endpoint"
        )
        first.kill()
        first.wait(10)
    assert (tmp_path / "endpoint.lock").exists()
    held = lock(endpoint)
    assert held
    assert "this process serves" in refusal(endpoint)
    held.release()
    held.release()
    assert not (tmp_path / "endpoint.lock").exists()


def test_a_socket_that_a_dead_daemon_left_is_no_obstacle(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "endpoint"))
        dead.listen()
    endpoint = f"ipc://{tmp_path}/endpoint"
    held = lock(endpoint)
    assert held
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
    held.release()
    assert list(tmp_path.iterdir()) == [], "nor does this one leave anything"


@pytest.mark.parametrize("backlog", [0, 10])
def test_who_listens_without_a_lock_is_not_pushed_aside(backlog: int, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/endpoint"
    code = f"""
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen({backlog}); print(flush=True); sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "endpoint"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        assert f"another process (pid {other.pid}) serves {endpoint}" in refusal(endpoint)
        assert "serves" in refusal(endpoint), "even when its queue is full"
        other.kill()
    assert not (tmp_path / "endpoint.lock").exists()


def test_a_file_that_is_no_socket_is_not_taken_away(tmp_path: Path) -> None:
    (tmp_path / "endpoint").write_text("precious")
    assert "exists and is no socket" in refusal(f"ipc://{tmp_path}/endpoint")
    assert (tmp_path / "endpoint").read_text() == "precious"
    assert not (tmp_path / "endpoint.lock").exists()


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    longest = f"{tmp_path}/".ljust(IPC_PATH_LIMIT, "x")
    assert f"{IPC_PATH_LIMIT + 1} bytes" in refusal(f"ipc://{longest}x")
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        held = lock(f"ipc://{longest}")
        assert held
        router.bind(f"ipc://{longest}")
        held.release()


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    assert f"the folder {tmp_path}/sub does not exist" in refusal(f"ipc://{tmp_path}/sub/endpoint")


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the default endpoints, for this test."""
    monkeypatch.setattr("circus.endpoints.endpoint.runtime_dir", lambda: str(tmp_path / "run" / "circus"))
    return tmp_path / "run" / "circus"


def test_the_default_folder_is_made_for_this_user_alone(runtime: Path) -> None:
    umask = os.umask(0)
    try:
        prepare_dir(f"ipc://{runtime}/endpoint")
    finally:
        os.umask(umask)
    assert runtime.stat().st_mode & 0o777 == 0o700
    runtime.chmod(0o777)
    prepare_dir(f"ipc://{runtime}/endpoint")
    assert runtime.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("endpoint", ["ipc://{folder}/other/x", "ipc://{folder}", "tcp://127.0.0.1:5555"])
def test_other_folders_are_left_alone(endpoint: str, runtime: Path) -> None:
    prepare_dir(endpoint.format(folder=runtime))
    assert not runtime.exists()


@as_root
def test_a_default_folder_of_somebody_else_is_refused(runtime: Path) -> None:
    runtime.mkdir(parents=True)
    os.chown(runtime, 65534, -1)
    runtime.chmod(0o755)
    with pytest.raises(CircusError, match=r"belongs to nobody"):
        prepare_dir(f"ipc://{runtime}/endpoint")
    assert runtime.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("kind", ["file", "link", "parent"])
def test_a_default_folder_that_is_none_is_refused(kind: str, runtime: Path, tmp_path: Path) -> None:
    if kind == "parent":
        runtime.parent.write_text("")
    else:
        runtime.parent.mkdir()
        runtime.symlink_to(tmp_path) if kind == "link" else runtime.write_text("")
    with pytest.raises(CircusError, match="name another endpoint"):
        prepare_dir(f"ipc://{runtime}/endpoint")


@as_root
@pytest.mark.parametrize("owner", ["nobody", "65534"])
def test_the_socket_file_is_given_to_its_owner(owner: str, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/endpoint"
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        assert give_to(endpoint, owner) is None
        assert (tmp_path / "endpoint").stat().st_uid == 65534


@as_root
def test_an_owner_who_cannot_reach_the_endpoint_is_a_warning(runtime: Path) -> None:
    runtime.mkdir(parents=True)
    (runtime / "endpoint").write_text("")
    assert "nobody may not enter" in (give_to(f"ipc://{runtime}/endpoint", "nobody") or "")
    assert give_to(f"ipc://{runtime}/endpoint", "root") is None


def test_owners_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(CircusError, match="no user 'no-such-user'"):
        give_to(f"ipc://{tmp_path}/endpoint", "no-such-user")
    with pytest.raises(CircusError, match="no user '99999999999'"):
        give_to(f"ipc://{tmp_path}/endpoint", "99999999999")
    with pytest.raises(CircusError, match="cannot give"):
        give_to(f"ipc://{tmp_path}/endpoint", "root")
    assert give_to("tcp://127.0.0.1:5555", "root") is None


LOOPBACK = ["127.0.0.1", "127.8.9.10", "127.1", "localhost", "lo", "[::1]", "::1"]
EXPOSED = ["*", "0.0.0.0", "0", "10.1.2.3", "[::]", "[2001:db8::1]", "no-such-host.invalid", "no-such-interface0"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_open_to_local_users_only(host: str) -> None:
    endpoint = f"tcp://{host}:5555"
    assert is_loopback(host)
    assert check_exposure(endpoint, None, False, 1000) == (None, None)
    error, warning = check_exposure(endpoint, None, False, 0)
    assert error is None
    assert warning
    assert re.search("as root through tcp://.*use an ipc:// endpoint", warning)
    assert check_exposure(endpoint, None, True, 0) == (None, None)


@pytest.mark.parametrize("host", EXPOSED)
def test_the_network_needs_keys_or_a_word_that_it_is_meant(host: str) -> None:
    endpoint = f"tcp://{host}:5555"
    for euid in (0, os.geteuid()):
        error, warning = check_exposure(endpoint, None, False, euid)
        assert error
        assert warning is None
        assert endpoint in error
        assert "use an ipc:// endpoint" in error
        assert "insecure = True" in error
    assert check_exposure(endpoint, "curve", False, 0) == (None, None)
    error, warning = check_exposure(endpoint, None, True, 0)
    assert error is None
    assert warning
    assert endpoint in warning


@pytest.mark.parametrize("endpoint", ["ipc:///run/x", "ipc://x", "inproc://x"])
def test_local_transports_expose_nothing(endpoint: str) -> None:
    assert check_exposure(endpoint, None, False, 0) == (None, None)


@pytest.mark.parametrize(
    "endpoint", ["", "x", "127.0.0.1:5555", "tcp://", "ipc://", "http://127.0.0.1:80", "udp://237.0.0.1:1"]
)
def test_what_is_no_endpoint(endpoint: str) -> None:
    error, _ = check_exposure(endpoint, None, False, 1000)
    assert error
    assert "write ipc://PATH or tcp://ADDRESS:PORT" in error


def test_an_address_in_use() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        assert bind_error(endpoint).startswith(f"cannot bind {endpoint}: the address is in use")


@pytest.mark.parametrize(
    ("endpoint", "word"),
    [
        ("tcp://192.0.2.1:5555", "no such address"),
        ("tcp://no-such-interface0:5555", "no such address or interface"),
        ("tcp://127.0.0.1", "malformed"),
        ("nosuch://x", "unknown transport"),
        ("ipc:///nonexistent/x", "the folder /nonexistent does not exist"),
        ("ipc:///dev/null/x", "/dev/null is no folder"),
    ],
)
def test_other_reasons(endpoint: str, word: str) -> None:
    assert word in bind_error(endpoint)


def test_reasons_that_nobody_foresaw() -> None:
    assert (
        bind_error_text("tcp://127.0.0.1:1", OSError(24, "x")) == "cannot bind tcp://127.0.0.1:1: Too many open files"
    )
    assert bind_error_text("tcp://127.0.0.1:1", ValueError("odd")) == "cannot bind tcp://127.0.0.1:1: odd"
