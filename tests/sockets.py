"""Sections of sockets, and what tests ask of those who have bound them."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest

from circus.config.schema import SocketSettings
from circus.exc import CircusError
from circus.listeners import Listeners, addresses
from circus.listeners.change import Change


def tcp(name: str = "web", **options: Any) -> SocketSettings:
    """A section with an address that only this machine reaches."""
    return SocketSettings(name=name, **{"host": "127.0.0.1", "port": 0, **options})


def unix(path: object, name: str = "web", **options: Any) -> SocketSettings:
    return SocketSettings(name=name, family="AF_UNIX", path=str(path), **options)


def port_of(listeners: Listeners, name: str = "web") -> int:
    port: int = listeners.held[name].describe()["port"]
    return port


def prepare(listeners: Listeners, *sockets: SocketSettings) -> Change:
    return listeners.prepare(sockets, addresses(sockets))


def refusal(listeners: Listeners, *sockets: SocketSettings) -> str:
    with pytest.raises(CircusError) as caught:
        prepare(listeners, *sockets)
    return str(caught.value)


def answers(address: Any, family: int = socket.AF_INET) -> bool:
    """Whether something listens there."""
    with socket.socket(family) as client:
        client.settimeout(5)
        return client.connect_ex(address) == 0


def leave_behind(path: object) -> None:
    """Make a Unix socket whose process is gone."""
    code = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
