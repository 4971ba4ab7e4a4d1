"""Servers for tests of sockets, and visitors that open a connection for each thing that they ask."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support import DEADLINE, Circusd, wait_until

SERVE = """
import os, select, signal, socket, sys

def listener():
    if len(sys.argv) > 1:
        return socket.socket(fileno=int(sys.argv[1]))
    assert int(os.environ["LISTEN_PID"]) == os.getpid()
    names = os.environ["LISTEN_FDNAMES"].split(":")
    assert len(names) == int(os.environ["LISTEN_FDS"])
    return socket.socket(fileno=3 + names.index("web"))

def ready():
    if "NOTIFY_SOCKET" in os.environ:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))

def stop(*_):
    global stopping
    stopping = True

stopping = False
woken, waking = os.pipe()
os.set_blocking(waking, False)
signal.set_wakeup_fd(waking)
signal.signal(signal.SIGTERM, stop)
web = listener()
web.setblocking(False)
ready()
while not stopping:
    select.select([web, woken], [], [])
    try:
        connection, _ = web.accept()
    except BlockingIOError:
        continue  # another process has it
    with connection:
        connection.setblocking(True)
        if connection.recv(65536):
            body = str(os.getpid()).encode()
            head = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
            connection.sendall(head + body)
"""
"""A server of one page, its pid, which ends what it has begun before it obeys SIGTERM."""


def port_of(circusd: Circusd, name: str) -> int:
    """Return the port of a socket of circusd's."""
    return next(int(one["port"]) for one in circusd.ok("listsockets")["sockets"] if one["name"] == name)


def ask(port: int) -> int:
    """Return the pid that a server answers with. Raise ``OSError`` if there is no answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with connection.makefile("rb") as reply:
            text = reply.read()
    found = re.search(rb"\r\n\r\n(\d+)\s*$", text)
    if found is None:
        raise ConnectionError(f"no answer: {text!r}")
    return int(found[1])


def leader(pid: int) -> int:
    """Return the process of circusd's that a worker belongs to: the leader of its session. 0 if it has ended."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


@dataclass
class Visits:
    """What became of them: how many were answered, and what was wrong with the others."""

    answered: int = 0
    refused: int = 0
    broken: list[str] = field(default_factory=list)
    """An end in mid-answer, which nobody can help when a worker is killed."""


@contextlib.contextmanager
def visiting(port: int) -> Iterator[Visits]:
    """Ask again and again, while the block runs."""
    visits, over = Visits(), threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                ask(port)
                visits.answered += 1
            except ConnectionRefusedError:
                visits.refused += 1
            except OSError as error:
                visits.broken.append(repr(error))

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield visits
    finally:
        over.set()
        thread.join()


@dataclass
class Load:
    """What wrk found while it ran: requests answered, and connections that failed.

    ``unasked`` are those on which nothing could be asked: refused, or reset at once. ``broken`` are those without an
    answer.
    """

    answered: int = 0
    unasked: int = 0
    broken: int = 0


@contextlib.contextmanager
def under_load(port: int) -> Iterator[Load]:
    """Have wrk open a connection for each request, 16 at a time, while the block runs; then look at what it found."""
    command = ["wrk", "-t1", "-c16", "-d120s", "-H", "Connection: close", f"http://127.0.0.1:{port}/"]
    wrk = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    load = Load()
    try:
        yield load
    finally:
        wrk.send_signal(signal.SIGINT)  # its way to end early, with its report
        report, _ = wrk.communicate(timeout=DEADLINE)
    answered = re.search(r"(\d+) requests in", report)
    assert answered is not None, report
    load.answered = int(answered[1])
    errors = {name: int(number) for name, number in re.findall(r"(connect|read|write|timeout) (\d+)", report)}
    if errors:
        # A connection is refused after wrk has begun it: it finds out when it wants to write.
        load.unasked = errors["connect"] + errors["write"]
        load.broken = errors["read"] + errors["timeout"]


def wait_for_answer(port: int, *, of: set[int]) -> None:
    """Wait until each of these processes has answered."""
    seen: set[int] = set()

    def all_seen() -> bool:
        with contextlib.suppress(OSError):
            seen.add(leader(ask(port)))
        return of <= seen

    wait_until(all_seen, f"{sorted(of)} have answered")
