from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from circus.listeners import Listeners
from tests.sockets import answers, port_of, refusal, tcp

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root's rights")
UNPRIVILEGED = """
import encodings.idna, os, sys
from circus.config.schema import SocketSettings
from circus.exc import CircusError
from circus.listeners import Listeners
os.setgid(65534)
os.setuid(65534)
try:
    Listeners().open([SocketSettings(name="web", **eval(sys.argv[1]))])
except CircusError as error:
    print(error)
"""


def as_nobody(**options: object) -> str:
    """What is said to a daemon without root's rights."""
    run = subprocess.run([sys.executable, "-c", UNPRIVILEGED, repr(options)], capture_output=True, text=True)
    assert not run.stderr
    return run.stdout


def test_a_tcp_socket_listens_and_is_described(opened) -> None:
    listeners: Listeners = opened(tcp(backlog=7))
    made = listeners.held["web"].socket
    assert made is not None
    assert not made.get_inheritable()
    assert not made.getblocking()
    assert made.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert not made.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    port = made.getsockname()[1]
    assert listeners.held["web"].describe() == {
        "fd": made.fileno(),
        "name": "web",
        "backlog": 7,
        "host": "127.0.0.1",
        "port": port,
    }
    assert answers(("127.0.0.1", port))


def test_close_gives_the_port_back(listeners: Listeners) -> None:
    listeners.open([tcp()])
    port = port_of(listeners)
    listeners.close()
    assert not answers(("127.0.0.1", port))


def test_blocking_is_kept_where_it_is_wanted(opened) -> None:
    assert opened(tcp(blocking=True)).held["web"].socket.getblocking()


def test_a_udp_socket_gets_datagrams(opened) -> None:
    listeners = opened(tcp(type="SOCK_DGRAM", blocking=True))
    made = listeners.held["web"].socket
    made.settimeout(10)
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", ("127.0.0.1", port_of(listeners)))
    assert made.recv(10) == b"hello"


def test_a_udp_port_is_had_once(opened) -> None:
    listeners = opened(tcp(type="SOCK_DGRAM"))
    port = port_of(listeners)
    other = Listeners()
    assert f"127.0.0.1 port {port} is in use by circusd itself" in refusal(other, tcp(type="SOCK_DGRAM", port=port))


@pytest.mark.parametrize("host", ["::", "*", "::ffff:127.0.0.1"])
def test_ipv4_reaches_a_socket_of_ipv6(opened, listeners: Listeners, host: str) -> None:
    opened(tcp(host=host, family="AF_INET6"))
    assert answers(("127.0.0.1", port_of(listeners)))


def test_ipv4_and_ipv6_share_a_port(opened, listeners: Listeners) -> None:
    opened(tcp("six", host="::", family="AF_INET6", ipv6_only=True))
    port = port_of(listeners, "six")
    other = Listeners()
    other.open([tcp("four", host="0.0.0.0", port=port)])
    try:
        assert answers(("::1", port), socket.AF_INET6)
        assert answers(("127.0.0.1", port))
    finally:
        other.close()


@pytest.mark.parametrize("host", ["localhost", "::1", "[::1]"])
def test_ipv6_addresses(opened, host: str) -> None:
    assert opened(tcp(host=host, family="AF_INET6")).held["web"].describe()["host"] == "::1"


def test_every_address(opened) -> None:
    assert opened(tcp(host="*")).held["web"].describe()["host"] == "0.0.0.0"


@as_root
def test_a_socket_is_bound_to_an_interface(opened) -> None:
    made = opened(tcp(host="0.0.0.0", interface="lo")).held["web"].socket
    assert made.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"
    assert answers(("127.0.0.1", made.getsockname()[1]))


@as_root
@pytest.mark.parametrize("proto", ["1", "icmp", "ICMP"])
def test_a_raw_socket_and_its_protocol(opened, proto: str) -> None:
    made = opened(tcp(type="SOCK_RAW", proto=proto)).held["web"].socket
    assert (made.type, made.proto) == (socket.SOCK_RAW, socket.IPPROTO_ICMP)


def test_a_port_that_is_taken(listeners: Listeners) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = refusal(listeners, tcp(port=port))
    assert text.startswith(f"[socket:web] port: 127.0.0.1 port {port} is in use by circusd itself; ")
    assert text.endswith("end that, or name another port")


@contextlib.contextmanager
def server(host: str, port: int = 0) -> Iterator[tuple[int, int]]:
    """Another process that listens; its PID and port."""
    program = (
        "import socket, sys; host, port = sys.argv[1:]; family = socket.AF_INET6 if ':' in host else socket.AF_INET; "
        "s = socket.create_server((host, int(port)), family=family); print(s.getsockname()[1], flush=True); input()"
    )
    arguments = [sys.executable, "-c", program, host, str(port)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.communicate("\n")


def test_who_has_the_port_is_told(listeners: Listeners) -> None:
    with server("127.0.0.1") as (pid, port):
        assert f"(pid {pid})" in refusal(listeners, tcp(port=port))
        assert f"(pid {pid})" in refusal(listeners, tcp(port=port, host="0.0.0.0"))
        with server("127.0.0.2", port) as (other, _), server("::1", port) as (six, _):
            assert f"(pid {pid})" in refusal(listeners, tcp(port=port)), "and not who has the port of another address"
            assert f"(pid {other})" in refusal(listeners, tcp(port=port, host="127.0.0.2"))
            assert f"(pid {six})" in refusal(listeners, tcp(port=port, host="::1", family="AF_INET6"))


def test_what_else_is_refused(listeners: Listeners) -> None:
    assert "[socket:web] host: 'nosuch.invalid' leads to no address: " in refused(tcp(host="nosuch.invalid"))
    assert "[socket:web] host: this machine has no address 192.0.2.1; " in refused(tcp(host="192.0.2.1"))
    text = refused(tcp(interface="nosuch0"))
    assert text.startswith("[socket:web] interface: there is no network interface 'nosuch0'; accepted: ")
    assert "lo" in text
    assert "[socket:web] type: this system has no SOCK_RDM for AF_INET; " in refused(tcp(type="SOCK_RDM"))
    assert "[socket:web] proto: this system has no SOCK_STREAM with protocol 17 for AF_INET" in refused(tcp(proto="17"))


def refused(settings) -> str:
    return refusal(Listeners(), settings)


@as_root
def test_what_root_alone_may_do() -> None:
    assert as_nobody(host="127.0.0.1", port=1).startswith(
        "[socket:web] port: only root (or CAP_NET_BIND_SERVICE) may use port 1; "
    )
    assert "only root (or CAP_NET_RAW) may open SOCK_RAW" in as_nobody(type="SOCK_RAW", proto="1")


def test_every_failure_is_named_and_nothing_is_bound(listeners: Listeners) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        ports = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        text = refusal(
            listeners, tcp("a", port=ports[0]), tcp("b", port=ports[1]), tcp("c", port=0, interface="nosuch0")
        )
    assert [line.partition(":")[2].partition("]")[0] for line in text.splitlines()] == ["a", "c"]
    assert not listeners.held
    assert not answers(("127.0.0.1", ports[1]))


def test_so_reuseport_keeps_the_port_and_serves_nobody(opened, listeners: Listeners) -> None:
    opened(tcp(so_reuseport=True, backlog=5))
    listener = listeners.held["web"]
    assert listener.socket is None
    port = port_of(listeners)
    assert port
    assert not answers(("127.0.0.1", port))
    with listener.fresh() as first, listener.fresh() as second:
        assert first.getsockname() == second.getsockname() == ("127.0.0.1", port)
        assert first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert answers(("127.0.0.1", port))
    assert not answers(("127.0.0.1", port))
    text = refusal(Listeners(), tcp(port=port))
    assert f"127.0.0.1 port {port} is in use" in text


def test_so_reuseport_with_datagrams_has_none_that_nobody_reads(opened, listeners: Listeners) -> None:
    opened(tcp(so_reuseport=True, type="SOCK_DGRAM"))
    listener = listeners.held["web"]
    port = port_of(listeners)
    assert listener.describe()["fd"] == -1
    with listener.fresh() as made, socket.socket(type=socket.SOCK_DGRAM) as client:
        made.settimeout(10)
        for number in range(20):
            client.bind(("127.0.0.1", 0)) if not number else None
            client.sendto(b"%d" % number, ("127.0.0.1", port))
            assert made.recv(10) == b"%d" % number


def test_a_port_that_only_so_reuseport_could_share(listeners: Listeners) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = refusal(listeners, tcp(so_reuseport=True, port=server.getsockname()[1]))
    assert "is in use" in text
