"""A change of sockets: the new is bound beside the old, and one side is let go."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from circus.exc import CircusError
from circus.listeners import Listeners, addresses
from tests.sockets import answers, leave_behind, port_of, prepare, refusal, tcp, unix


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "web.sock"


def accepts(listeners: Listeners, address: object, name: str = "web") -> bool:
    """Whether a connection to an address reaches the socket."""
    made = listeners.held[name].socket
    assert made is not None
    with socket.socket(made.family) as client:
        client.connect(address)
        try:
            made.accept()[0].close()
        except BlockingIOError:
            return False
    return True


def test_what_has_not_changed_is_the_same_object(opened, listeners: Listeners) -> None:
    opened(tcp("a"), tcp("b"), tcp("c"))
    before = dict(listeners.held)
    sockets = {name: listener.socket for name, listener in before.items()}
    port = port_of(listeners, "c")
    prepare(listeners, tcp("a"), tcp("b", host="127.0.0.2"), tcp("d")).commit()
    assert listeners.held["a"] is before["a"]
    assert listeners.held["a"].socket is sockets["a"]
    assert listeners.held["b"].describe()["host"] == "127.0.0.2"
    assert list(listeners.held) == ["a", "b", "d"]
    assert sockets["b"].fileno() == sockets["c"].fileno() == -1
    assert not answers(("127.0.0.1", port))


def test_old_and_new_are_there_until_one_is_let_go(opened, listeners: Listeners) -> None:
    opened(tcp())
    before, port = listeners.held["web"], port_of(listeners)
    change = prepare(listeners, tcp(host="127.0.0.2"))
    after = port_of(listeners)
    assert listeners.held["web"] is not before
    assert answers(("127.0.0.1", port))
    assert answers(("127.0.0.2", after))
    change.undo()
    assert listeners.held["web"] is before
    assert answers(("127.0.0.1", port))
    assert not answers(("127.0.0.2", after))


def test_a_port_that_is_taken_changes_nothing(opened, listeners: Listeners, path: Path) -> None:
    opened(tcp("a"), tcp("b"), unix(path, "u", umask=0o077))
    before, port = dict(listeners.held), port_of(listeners, "b")
    settings = [listener.settings for listener in before.values()]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = refusal(
            listeners,
            tcp("a", backlog=1),
            tcp("b", port=taken.getsockname()[1]),
            unix(path, "u", type="SOCK_DGRAM"),
            unix(f"{path}2", "v"),
        )
    assert text.startswith("[socket:b] port: ")
    assert "\n" not in text
    assert listeners.held == before
    assert [listener.settings for listener in before.values()] == settings
    assert answers(("127.0.0.1", port))
    assert answers(str(path), socket.AF_UNIX)
    assert os.listdir(path.parent) == [path.name]


def test_a_probe_finds_what_is_refused_and_changes_nothing(opened, listeners: Listeners, path: Path) -> None:
    opened(tcp("a"), unix(path, "u"), tcp("r", so_reuseport=True))
    before = dict(listeners.held)
    port = port_of(listeners, "a")
    leave_behind(path.with_name("stale"))
    names = sorted(os.listdir(path.parent))
    listeners.probe(
        sockets := [
            tcp("a", host="0.0.0.0", port=port, backlog=3),
            unix(path, "u", type="SOCK_DGRAM"),
            unix(path.with_name("stale"), "s", replace=True),
            unix(path.with_name("new"), "n"),
            tcp("r", so_reuseport=True, backlog=3),
        ],
        addresses(sockets),
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = [tcp("a", port=taken.getsockname()[1]), unix(path.parent, "u")]
        with pytest.raises(CircusError) as caught:
            listeners.probe(wrong, addresses(wrong))
    assert [line.partition(":")[2].partition("]")[0] for line in str(caught.value).splitlines()] == ["a", "u"]
    assert listeners.held == before
    assert sorted(os.listdir(path.parent)) == names
    assert not before["a"].socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    assert accepts(listeners, ("127.0.0.1", port), "a")


@pytest.mark.parametrize("undone", [False, True])
@pytest.mark.parametrize("hosts", [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
def test_the_same_port_at_another_address(opened, listeners: Listeners, hosts: tuple[str, str], undone: bool) -> None:
    opened(tcp(host=hosts[0]))
    port, old = port_of(listeners), listeners.held["web"].socket
    change = prepare(listeners, tcp(host=hosts[1], port=port))
    change.undo() if undone else change.commit()
    made = listeners.held["web"].socket
    assert (made is old) == undone
    assert made.getsockname() == (hosts[0 if undone else 1], port)
    assert not made.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    assert accepts(listeners, ("127.0.0.1", port))
    assert f"port {port} is in use" in refusal(Listeners(), tcp(port=port)), "nobody else can share it afterwards"


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
@pytest.mark.parametrize("undone", [False, True])
def test_the_same_port_with_so_reuseport_and_without(opened, listeners: Listeners, kind: str, undone: bool) -> None:
    opened(tcp(type=kind))
    port = port_of(listeners)
    shared, alone = tcp(type=kind, port=port, so_reuseport=True), tcp(type=kind, port=port)
    change = prepare(listeners, shared)
    with listeners.held["web"].fresh() as fresh:
        assert fresh.getsockname() == ("127.0.0.1", port)
    change.undo()
    assert not listeners.held["web"].socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    prepare(listeners, shared).commit()
    with listeners.held["web"].fresh():
        change = prepare(listeners, alone)
        change.undo() if undone else change.commit()
        assert (listeners.held["web"].socket is None) == undone
    assert port_of(listeners) == port
    if undone:
        with listeners.held["web"].fresh() as fresh:
            assert fresh.getsockname() == ("127.0.0.1", port)


def test_a_section_that_is_renamed_keeps_its_socket(opened, listeners: Listeners) -> None:
    opened(tcp("old"))
    port = port_of(listeners, "old")
    prepare(listeners, tcp("old", port=port)).commit()
    made = listeners.held["old"].socket
    change = prepare(listeners, tcp("new", port=port, backlog=3))
    assert listeners.held["new"].socket is made
    assert listeners.held["new"].describe()["name"] == "new"
    change.undo()
    assert list(listeners.held) == ["old"]
    prepare(listeners, tcp("new", port=port)).commit()
    assert accepts(listeners, ("127.0.0.1", port), "new")


def test_one_socket_has_one_heir(opened, listeners: Listeners) -> None:
    opened(tcp("a"))
    port = port_of(listeners, "a")
    prepare(listeners, tcp("a", port=port)).commit()
    assert refusal(listeners, tcp("x", port=port), tcp("y", port=port)).startswith("[socket:y] port: ")
    assert list(listeners.held) == ["a"]


def test_two_sockets_change_places(opened, listeners: Listeners) -> None:
    opened(tcp("a"), tcp("b"))
    a, b = port_of(listeners, "a"), port_of(listeners, "b")
    prepare(listeners, tcp("a", port=b), tcp("b", port=a)).commit()
    assert (port_of(listeners, "a"), port_of(listeners, "b")) == (b, a)
    assert accepts(listeners, ("127.0.0.1", a), "b")


def test_options_that_change_in_place(opened, listeners: Listeners, path: Path) -> None:
    opened(unix(path))
    listener, made = listeners.held["web"], listeners.held["web"].socket
    before = stat.S_IMODE(path.stat().st_mode)
    change = prepare(listeners, unix(path, backlog=0, blocking=True, umask=0o077, replace=True))
    assert listeners.held["web"] is listener
    assert listener.socket is made
    assert listener.describe()["backlog"] == 0
    assert made.getblocking()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        second.setblocking(False)
        first.connect(str(path))
        with pytest.raises(BlockingIOError):
            second.connect(str(path))
    change.undo()
    assert listener.describe()["backlog"] == 2048
    assert not made.getblocking()
    assert stat.S_IMODE(path.stat().st_mode) == before


@pytest.mark.parametrize("undone", [False, True])
def test_another_type_at_the_same_path(opened, listeners: Listeners, path: Path, undone: bool) -> None:
    opened(unix(path))
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(str(path))
        change = prepare(listeners, unix(path, type="SOCK_DGRAM"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.connect(str(path))
        change.undo() if undone else change.commit()
    assert answers(str(path), socket.AF_UNIX) == undone
    assert os.listdir(path.parent) == [path.name]
    listeners.close()
    assert not os.listdir(path.parent)


def test_a_file_that_is_gone_is_made_anew(opened, listeners: Listeners, path: Path) -> None:
    opened(unix(path), tcp("other"))
    old = listeners.held["web"].socket
    assert not listeners.lost()
    path.unlink()
    assert listeners.lost() == {"web"}
    change = prepare(listeners, unix(path, umask=0o077), tcp("other"))
    assert answers(str(path), socket.AF_UNIX)
    change.undo()
    assert listeners.held["web"].socket is old
    assert not path.exists()
    prepare(listeners, unix(path, umask=0o077), tcp("other")).commit()
    assert answers(str(path), socket.AF_UNIX)
    assert old.fileno() == -1
    path.unlink()
    path.write_text("somebody else's")
    prepare(listeners, unix(path, umask=0o007), tcp("other")).commit()
    assert path.read_text() == "somebody else's"


def test_a_path_of_its_own_for_one_that_is_new(opened, listeners: Listeners, path: Path) -> None:
    opened(unix(path, "a"))
    prepare(listeners, unix(path, "b", type="SOCK_SEQPACKET")).commit()
    assert list(listeners.held) == ["b"]
    assert path.is_socket()


def test_so_reuseport_takes_options_over_without_another_port(opened, listeners: Listeners) -> None:
    opened(tcp(so_reuseport=True))
    port = port_of(listeners)
    prepare(listeners, tcp(so_reuseport=True, blocking=True)).commit()
    assert port_of(listeners) == port
    with listeners.held["web"].fresh() as fresh:
        assert fresh.getblocking()


def test_whoever_watches_is_told_while_everything_is_open(opened, listeners: Listeners) -> None:
    opened(tcp())
    told = []
    old = listeners.held["web"].socket
    listeners.on_change = lambda: told.append((listeners.held["web"].socket, old.fileno() >= 0))
    change = prepare(listeners, tcp(host="127.0.0.2"))
    new = listeners.held["web"].socket
    assert told == [(new, True)]
    change.undo()
    assert told[1:] == [(old, True)]
    assert new.fileno() == -1
