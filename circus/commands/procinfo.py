"""What processes use of the machine, read with psutil in a thread, so that the daemon's loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil

from circus.util import human_size

Info = dict[str, Any]

GONE = "No such process (stopped?)"
_UNREADABLE = "N/A"
_KEPT_FOR = 600.0
"""Seconds until a process that nobody asks for any more is forgotten; a percentage is then measured anew."""

_lock = threading.Lock()
_known: dict[int, tuple[psutil.Process, float]] = {}


async def collect(pids: Iterable[int], *, children: bool) -> dict[int, Info | str]:
    """Return the info of each process, or the text ``GONE`` for one that is not there any more."""
    try:
        return await asyncio.get_running_loop().run_in_executor(None, _collect, list(pids), children)
    except RuntimeError:  # no thread can be started: the loop has to wait
        return _collect(list(pids), children)


def _collect(pids: list[int], children: bool) -> dict[int, Info | str]:
    with _lock:
        families = _children_of(set(pids)) if children and pids else {}
        infos = {pid: describe(pid, families.get(pid, ())) for pid in pids}
        _forget_old()
    return infos


def describe(pid: int, children: Iterable[int] = ()) -> Info | str:
    """Return the info of one process with that of the given children, or ``GONE``."""
    process = _process(pid)
    if process is None:
        return GONE
    try:
        with process.oneshot():
            info = _read(process)
    except psutil.NoSuchProcess:
        _known.pop(pid, None)
        return GONE
    info["children"] = [describe(child) for child in children]
    return info


def _process(pid: int) -> psutil.Process | None:
    """The same object as at the last look: a percentage of CPU is counted from there."""
    now = time.monotonic()
    known = _known.get(pid)
    # is_running compares start times, so a number that was given to another process is noticed.
    if known is not None and known[0].is_running():
        _known[pid] = (known[0], now)
        return known[0]
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        _known.pop(pid, None)
        return None
    _known[pid] = (process, now)
    return process


def _forget_old() -> None:
    limit = time.monotonic() - _KEPT_FOR
    for pid in [pid for pid, (_, seen) in _known.items() if seen < limit]:
        del _known[pid]


def _children_of(parents: set[int]) -> dict[int, list[int]]:
    """One look at all processes, however many parents there are."""
    found: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        parent = process.info["ppid"]
        if parent in parents:
            found.setdefault(parent, []).append(process.pid)
    return found


def _read(process: psutil.Process) -> Info:
    created = _readable(process.create_time)
    memory = _readable(process.memory_info)
    share = _readable(process.memory_percent)
    return {
        "pid": process.pid,
        "cmdline": _readable(lambda: _program(process)),
        "username": _readable(process.username),
        "nice": _nice(process),
        "mem_info1": human_size(memory.rss) if memory != _UNREADABLE else memory,
        "mem_info2": human_size(memory.vms) if memory != _UNREADABLE else memory,
        "cpu": _readable(process.cpu_percent),
        "mem": round(share, 3) if share != _UNREADABLE else share,
        "ctime": _readable(lambda: _cpu_time(process)),
        "create_time": created,
        "age": time.time() - created if created != _UNREADABLE else created,
    }


def _readable(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (psutil.ZombieProcess, psutil.AccessDenied, KeyError, OSError):
        return _UNREADABLE


def _nice(process: psutil.Process) -> Any:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return "Zombie"
        return process.nice()
    except psutil.AccessDenied:
        return _UNREADABLE


def _program(process: psutil.Process) -> str:
    words = process.cmdline()
    return os.path.basename(words[0].split()[0] if words[0].split() else words[0]) if words else process.name()


def _cpu_time(process: psutil.Process) -> str:
    times = process.cpu_times()
    total = times.user + times.system
    return f"{int(total // 60)}:{total % 60:05.2f}"
