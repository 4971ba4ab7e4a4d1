"""What circusd tells its own service manager."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from circus.daemon.systemd import notify, watchdog_interval


@pytest.mark.parametrize("where", ["abstract", "path"])
def test_circusd_tells_its_own_supervisor(where: str, tmp_path: Path) -> None:
    address = str(tmp_path / "notify") if where == "path" else f"@circus-test-{os.getpid()}-{tmp_path}"[:100]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind("\0" + address[1:] if where == "abstract" else address)
        assert notify("READY=1\nSTATUS=ü", {"NOTIFY_SOCKET": address})
        assert supervisor.recv(100).decode() == "READY=1\nSTATUS=ü"


@pytest.mark.parametrize(
    "address", [None, "", "relative", "vsock:2:1", "/nonexistent/socket", "@nobody-here", "/" + "x" * 200]
)
def test_nobody_to_tell(address: str | None) -> None:
    assert not notify("READY=1", {} if address is None else {"NOTIFY_SOCKET": address})


def test_a_supervisor_that_reads_nothing_stops_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        sent = [notify("WATCHDOG=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")}) for _ in range(2000)]
    assert sent[0]
    assert not sent[-1]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_told_twice_as_often_as_it_asks(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_interval(environ) == seconds
