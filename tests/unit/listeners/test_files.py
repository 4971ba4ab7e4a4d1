from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from circus.listeners import Listeners
from circus.listeners.files import SocketFile
from tests.sockets import answers, leave_behind, refusal, unix


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "web.sock"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_unix_socket_has_a_file_as_long_as_it_is_held(opened, path: Path) -> None:
    listeners = opened(unix(path))
    assert listeners.held["web"].describe() == {
        "fd": listeners.held["web"].socket.fileno(),
        "name": "web",
        "backlog": 2048,
        "path": str(path),
    }
    assert answers(str(path), socket.AF_UNIX)
    listeners.close()
    assert not path.exists()


@pytest.mark.parametrize("kind", ["SOCK_DGRAM", "SOCK_SEQPACKET"])
def test_the_other_types(opened, path: Path, kind: str) -> None:
    opened(unix(path, type=kind))
    with socket.socket(socket.AF_UNIX, getattr(socket, kind)) as client:
        client.connect(str(path))


def test_the_mode_is_that_of_the_process_or_that_of_the_option(opened, path: Path) -> None:
    before = os.umask(0o027)
    try:
        opened(unix(path), unix(f"{path}2", "open", umask=0), unix(f"{path}3", "closed", umask=0o077))
    finally:
        os.umask(before)
    assert mode(path) == 0o750
    assert mode(Path(f"{path}2")) == 0o777
    assert mode(Path(f"{path}3")) == 0o700


def test_a_socket_is_never_open_to_more_than_it_shall_be(opened, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SocketFile, "set_mask", lambda *arguments: None)
    opened(unix(path, umask=0o077))
    assert mode(path) == 0o700


def test_making_a_socket_leaves_the_mask_of_other_threads_alone(opened, path: Path) -> None:
    seen = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.add(Path("/proc/self/status").read_text().split("Umask:")[1].split()[0])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        opened(*(unix(f"{path}{number}", f"s{number}", umask=0o077) for number in range(50)))
    finally:
        over.set()
        thread.join()
    assert len(seen) == 1


def test_a_file_that_was_left_behind(listeners: Listeners, path: Path) -> None:
    leave_behind(path)
    text = refusal(listeners, unix(path))
    assert text.startswith(f"[socket:web] path: {path} exists, left behind by a process that is gone; ")
    assert "replace = True" in text
    listeners.open([unix(path, replace=True)])
    assert answers(str(path), socket.AF_UNIX)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("listening", [True, False])
def test_a_socket_that_somebody_has_is_never_taken(
    listeners: Listeners, path: Path, kind: socket.SocketKind, listening: bool
) -> None:
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(str(path))
        if listening and kind != socket.SOCK_DGRAM:
            server.listen()
            server.setblocking(False)
        text = refusal(listeners, unix(path, replace=True))
        assert text == f"[socket:web] path: {path} is in use by circusd itself; end that, or name another path"
        assert path.exists()
        if listening and kind != socket.SOCK_DGRAM:
            with pytest.raises(BlockingIOError):
                server.accept()  # who looks is no connection


def test_what_is_no_socket_stays(listeners: Listeners, path: Path) -> None:
    path.write_text("precious")
    assert f"{path} exists and is no socket; remove it" in refusal(listeners, unix(path, replace=True))
    assert path.read_text() == "precious"


@pytest.mark.parametrize("dangling", [True, False])
def test_links_are_not_followed(listeners: Listeners, path: Path, dangling: bool) -> None:
    target = path.with_name("target")
    if not dangling:
        leave_behind(target)
    path.symlink_to(target)
    assert f"{path} is a symbolic link" in refusal(listeners, unix(path, replace=True))
    assert path.is_symlink()
    assert target.exists() != dangling


def test_places_that_cannot_be(listeners: Listeners, path: Path) -> None:
    folder = path.parent
    assert f"path: the folder {folder}/no does not exist; " in refusal(listeners, unix(folder / "no" / "s"))
    (folder / "file").touch()
    assert f"path: the folder {folder}/file is no folder; " in refusal(listeners, unix(folder / "file" / "s"))
    long = folder / ("x" * 120)
    assert "bytes, and that of a Unix socket at most 107" in refusal(listeners, unix(long))


def test_a_file_that_took_the_place_is_not_removed(opened, path: Path) -> None:
    listeners = opened(unix(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        listeners.close()
    assert path.exists()


def test_the_end_of_one_whose_file_is_gone(opened, path: Path) -> None:
    listeners = opened(unix(path))
    path.unlink()
    listeners.close()
