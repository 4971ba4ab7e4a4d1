"""Who has the address that a socket was to be bound to: looked up only to say so in an error."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

_EVERY: Final = frozenset(("0.0.0.0", "::"))
"""Addresses that stand for every one of this machine."""

_STATES: Final = {"tcp": ("0A", "07"), "udp": ("07",)}
"""Of /proc/net: sockets that listen, or are bound."""


def of_port(family: str, type: str, host: str, port: int) -> str:
    """Return ``NAME (pid N)`` of a process that has a port of an address; an empty text if that cannot be told."""
    table = {"SOCK_STREAM": "tcp", "SOCK_DGRAM": "udp"}.get(type)
    if table is None or not port:
        return ""
    suffix = f":{port:04X}"
    for name in (f"{table}6", table) if family == "AF_INET6" else (table, f"{table}6"):
        for fields in _rows(f"/proc/net/{name}"):
            if len(fields) < 10 or not fields[1].endswith(suffix) or fields[3] not in _STATES[table]:
                continue
            there = _address(fields[1].removesuffix(suffix))
            if there == host or not _EVERY.isdisjoint((there, host)):
                return _of_inode(fields[9])
    return ""


def _address(shown: str) -> str:
    """An address that the system's tables show 32 bits at a time, as this machine reads a number."""
    numbers = struct.unpack(f">{len(shown) // 8}I", bytes.fromhex(shown))
    packed = struct.pack(f"={len(numbers)}I", *numbers)
    return socket.inet_ntop(socket.AF_INET if len(numbers) == 1 else socket.AF_INET6, packed).removeprefix("::ffff:")


def of_path(path: str) -> str:
    """Return ``NAME (pid N)`` of a process that has a Unix socket; an empty text if that cannot be told."""
    for fields in _rows("/proc/net/unix"):
        if len(fields) > 7 and " ".join(fields[7:]) in (path, os.path.abspath(path)):
            return _of_inode(fields[6])
    return ""


def _rows(table: str) -> list[list[str]]:
    try:
        with open(table, errors="surrogateescape") as file:
            return [line.split() for line in file][1:]
    except OSError:
        return []


def _of_inode(inode: str) -> str:
    """The process that has the socket open. Those of other users are seen by root alone."""
    target = f"socket:[{inode}]"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        folder = f"/proc/{pid}/fd"
        try:
            descriptors = os.listdir(folder)
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(f"{folder}/{descriptor}") == target:
                    return "circusd itself" if int(pid) == os.getpid() else _named(pid)
            except OSError:
                continue
    return ""


def _named(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return f"{file.read().strip()} (pid {pid})"
    except OSError:
        return f"pid {pid}"
