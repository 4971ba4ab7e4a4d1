"""Which sockets a process gets."""

from __future__ import annotations

import os

import pytest

from circus.config.schema import WatcherSettings
from circus.config.variables import sockets_named
from circus.exc import CircusError
from circus.listeners import Listeners, Share
from tests.sockets import answers, port_of, tcp

CMD = "serve $(circus.sockets.web)"


def watcher(cmd: str = "serve", **options: object) -> WatcherSettings:
    return WatcherSettings(name="w", cmd=cmd, **options)


@pytest.mark.parametrize(
    ("settings", "names", "serves", "own"),
    [
        (watcher(), (), 0, ()),
        (watcher(CMD), ("web",), 1, ("web",)),
        (watcher("serve ((CIRCUS.Sockets.WEB)) $(circus.sockets.api)"), ("api", "web"), 2, ("api", "web")),
        (watcher(args="$(circus.sockets.web)"), ("web",), 1, ("web",)),
        (watcher(args=("a", "$(circus.sockets.web)")), ("web",), 1, ("web",)),
        (watcher(shell=True, shell_args="$(circus.sockets.web)"), ("web",), 1, ("web",)),
        (watcher(env={"FD": "$(circus.sockets.web)"}), ("web",), 1, ("web",)),
        (watcher(stdout_stream={"filename": "/log/$(circus.sockets.web)"}), ("web",), 1, ("web",)),
        (watcher("serve $(circus.sockets.nosuch)"), (), 0, ()),
        (watcher(use_sockets=True), ("api", "own", "web"), 3, ("api", "own", "web")),
        (watcher(CMD, use_sockets=True), ("web", "api"), 1, ("web",)),
        (watcher("serve $(circus.sockets.own)"), ("own",), 1, ("own",)),
        (watcher("serve $(circus.sockets.own)", use_sockets=True), ("own", "api", "web"), 1, ("own",)),
        (watcher("serve $(circus.sockets.nosuch)", use_sockets=True), ("api", "own", "web"), 3, ("api", "own", "web")),
        (watcher(stdin_socket="web"), (), 0, ("web",)),
        (watcher(CMD, stdin_socket="Web"), ("web",), 1, ("web",)),
        (watcher(CMD, stdin_socket="api"), ("web",), 1, ("web", "api")),
    ],
)
def test_which_sockets_a_watcher_gets(
    opened, settings: WatcherSettings, names: tuple[str, ...], serves: int, own: tuple[str, ...]
) -> None:
    listeners = opened(tcp("web"), tcp("api"), tcp("own", so_reuseport=True))
    stdin = settings.stdin_socket.lower() if settings.stdin_socket else None
    named = bool(sockets_named(repr(settings)) & {"web", "api", "own"})
    assert listeners.share(settings) == Share(names, serves, stdin, named)
    assert listeners.share(settings).told == (0 if named else serves)
    assert listeners.share(settings).own == own
    assert listeners.share(settings).all == {*names, *own}


def test_shared_sockets_are_supplied_as_they_are(opened, listeners: Listeners) -> None:
    opened(tcp("web"), tcp("api"))
    descriptors = {name: listener.socket.fileno() for name, listener in listeners.held.items()}
    supply = listeners.supply(watcher(CMD, use_sockets=True, stdin_socket="api"))
    assert list(supply.sockets.items()) == [("web", descriptors["web"]), ("api", descriptors["api"])]
    assert (supply.told, supply.stdin) == (0, descriptors["api"])
    listeners.release()
    assert answers(("127.0.0.1", port_of(listeners)))


def test_each_process_has_a_fresh_one_with_so_reuseport(opened, listeners: Listeners) -> None:
    opened(tcp(so_reuseport=True))
    first = listeners.supply(watcher(CMD, stdin_socket="web"))
    assert first.stdin == first.sockets["web"], "one socket for a process, wherever it stands"
    kept = os.dup(first.sockets["web"])
    listeners.release()
    with pytest.raises(OSError):
        os.fstat(first.sockets["web"])
    assert answers(("127.0.0.1", port_of(listeners)))
    os.close(kept)
    assert not answers(("127.0.0.1", port_of(listeners)))
    listeners.supply(watcher(CMD))
    assert answers(("127.0.0.1", port_of(listeners)))


def test_a_supply_that_cannot_be_had_leaves_nothing_open(opened, listeners: Listeners) -> None:
    opened(tcp("a", so_reuseport=True), tcp("b"))
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CircusError, match="stdin_socket: there is no socket 'bb'; accepted: a, b; did you mean 'b'"):
        listeners.supply(watcher("$(circus.sockets.a)", stdin_socket="bb"))
    listeners.held["b"].settings = tcp("b", so_reuseport=True, interface="nosuch0")
    with pytest.raises(CircusError, match=r"\[socket:b\] interface"):
        listeners.supply(watcher("$(circus.sockets.a) $(circus.sockets.b)"))
    assert os.listdir("/proc/self/fd") == before


def test_there_may_be_no_sockets(listeners: Listeners) -> None:
    assert listeners.supply(watcher(use_sockets=True)).sockets == {}
    with pytest.raises(CircusError, match="there is no socket 'web'; accepted: none, as there is no"):
        listeners.supply(watcher(stdin_socket="web"))
