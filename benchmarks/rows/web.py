"""A web stack on one shared socket: what its visitors meet while its workers come and go."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from benchmarks import tools
from benchmarks.clients import CircusClient
from benchmarks.errors import Failed
from benchmarks.peers.base import Peer
from benchmarks.peers.circus import Circus
from benchmarks.rows.base import CIRCUS, Bench, Group, Row

WEB = "web"
WORKERS = 4
CONNECTIONS = 16
AT_ONCE = 1  # seconds that wrk waits for an answer before it counts a timeout, as one that is slow
PACE = 0.1  # seconds between two kills
PATIENCE = 10.0  # seconds for one reply, and until the stack answers at all


class _Web(Circus):
    """A circusd with a web stack."""

    def __init__(self, peer: Peer) -> None:
        assert isinstance(peer, Circus)
        super().__init__(peer.name, peer.programs)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])

    def write(self, folder: Path, workers: int, command: Sequence[str]) -> None:
        super().write(folder, workers, command)
        with (folder / "circus.ini").open("a") as ini:
            ini.write(
                f"[socket:{WEB}]\nhost = 127.0.0.1\nport = {self.port}\n"
                f"[watcher:{WEB}]\ncmd = {sys.executable} {tools.HERE / 'native' / 'web.py'} $(circus.sockets.{WEB})\n"
                f"use_sockets = True\nnumprocesses = {WORKERS}\n"
            )


def _web(peer: Peer, bench: Bench) -> Mapping[str, float]:
    if shutil.which("wrk") is None:
        raise Failed("wrk is not installed")
    web = _Web(peer)
    seconds = 3.0 if bench.quick else 10.0
    figures: dict[str, float] = {"web-broken": 0}
    with bench.running(web, 1) as session, session.client(PATIENCE) as client:
        _await_page(web.port)
        with _visitor(web.port) as refused:
            for key, meanwhile in _TROUBLES.items():
                with _wrk(web.port) as found:
                    end = time.monotonic() + seconds
                    while (left := end - time.monotonic()) > 0:
                        meanwhile(client, left)
                figures[f"web-{key}"] = found["rate"]
                if key == "kill":
                    figures["web-lost"] = found["failed"]
                else:
                    figures["web-broken"] += found["failed"]
        figures["web-refused"] = len(refused)
    return figures


def _await_page(port: int) -> None:
    """The control socket is there before all others are."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if connection.recv(65536):
                return
        time.sleep(0.01)
    raise Failed("the web stack does not answer")


@contextlib.contextmanager
def _visitor(port: int) -> Iterator[list[int]]:
    """Open one connection after the other while the block runs. Gives a list that grows with each that is refused."""
    refused: list[int] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    connection.recv(65536)
            except ConnectionRefusedError:
                refused.append(1)
            except OSError:
                pass  # it broke in mid-answer

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield refused
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _wrk(port: int) -> Iterator[dict[str, float]]:
    """Open a connection for each page, so many at a time, while the block runs. Gives what was found afterwards."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d600s", f"--timeout={AT_ONCE}s", "-H", "Connection: close"]
    wrk = subprocess.Popen([*command, f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = {}
    try:
        yield found
    finally:
        wrk.send_signal(signal.SIGINT)  # it ends early, with its report
        report, _ = wrk.communicate()
    # wrk does not tell a refused connection from one that broke: it finds out when it wants to write.
    found["failed"] = sum(int(number) for number in re.findall(r"(?:connect|read|write|timeout) (\d+)", report))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if rate is None:
        raise Failed(f"wrk has found nothing out: {report!r}")
    found["rate"] = float(rate[1])


def _nothing(_client: CircusClient, left: float) -> None:
    time.sleep(left)


def _reload(client: CircusClient, _left: float) -> None:
    client.call("reload", name=WEB, waiting=True)


def _reload_in_turn(client: CircusClient, _left: float) -> None:
    client.call("reload", name=WEB, sequential=True, waiting=True)


def _kill(client: CircusClient, _left: float) -> None:
    pids = client.call("list", name=WEB)["pids"]
    if pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[next(_TURN) % len(pids)], signal.SIGKILL)
    time.sleep(PACE)


_TURN = count()
_TROUBLES: dict[str, Callable[[CircusClient, float], None]] = {
    "rest": _nothing,
    "reload": _reload,
    "sequential": _reload_in_turn,
    "kill": _kill,
}

ROWS = (
    Row("web-rest", "pages of 4 workers on one socket", "/s", higher=True),
    Row("web-reload", "   while they are reloaded again and again", "/s", "as usual", higher=True),
    Row("web-sequential", "   while they are reloaded one by one", "/s", "as usual", higher=True),
    Row("web-kill", "   while one is killed every 100 ms", "/s", higher=True),
    Row("web-refused", "   connections refused in all of these", "", "0"),
    Row("web-broken", "   pages that failed or took 1 s, but for kills", "", "0"),
    Row("web-lost", "   the same while one is killed every 100 ms", ""),
)
GROUPS = (Group("web", ROWS, _web, CIRCUS),)
