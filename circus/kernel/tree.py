"""Who is whose child, read from ``/proc``. A process that vanishes meanwhile is left out, and never an error."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Container, Iterable
from typing import Final, TypeVar

_PROC: Final = "/proc"
_READ: Final = 65536
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MARK: Final = b"CIRCUS_MARK="
_REUSE: Final = 5
"""A table of all processes serves this many times as long as it took to read: a thousand stops cost a few tables."""

_has_children_file = os.path.exists(f"{_PROC}/thread-self/children")


class _Table:
    """Every process's children, where the kernel does not list them by itself (CONFIG_PROC_CHILDREN)."""

    def __init__(self) -> None:
        self._children: dict[int, list[int]] = {}
        self._expires = 0.0

    def children(self, pid: int) -> list[int]:
        began = time.monotonic()
        if began >= self._expires:
            self._children = _scan()
            ended = time.monotonic()
            self._expires = ended + _REUSE * (ended - began)
        return [child for child in self._children.get(pid, ()) if _parent_of(child) == pid]


_table = _Table()


def children(pid: int) -> list[int]:
    """Return the children of a process, zombies too, in ascending order."""
    if _has_children_file:
        return sorted(_listed_children(pid))
    return _table.children(pid)


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on; parents come before their children."""
    found: dict[int, None] = {}
    pending = [pid]
    while pending:
        for child in children(pending.pop()):
            if child not in found and child != pid:
                found[child] = None
                pending.append(child)
    return list(found)


def families(pids: Iterable[int]) -> set[int]:
    """Return these processes and all that they started."""
    found = set(pids)
    for pid in list(found):
        found.update(descendants(pid))
    return found


def own_children(known: Container[int] = ()) -> list[int]:
    """Return the children of this process, those that it inherited too, except the ``known`` ones.

    Where the kernel does not list children, each that is known saves a look at it.
    """
    own = os.getpid()
    if _has_children_file:
        return [pid for pid in _listed_children(own) if pid not in known]
    return [pid for pid in _all_pids() if pid not in known and _parent_of(pid) == own]


def session_of(pid: int) -> int | None:
    """Return the session that a process is in; None if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def start_time(pid: int) -> float | None:
    """Return when a process started, in seconds since the boot: with the pid, its identity. None if it is gone."""
    fields = _stat(pid)
    return int(fields[19]) / _TICKS if fields else None


def is_starting(pid: int) -> bool:
    """Return whether a process is between two programs, or ends: for a moment its environment cannot be read."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in (b"Z", b"X") and not _read(f"{_PROC}/{pid}/cmdline")


def marks_of(pid: int) -> str:
    """Return the marks, joined by commas, of a process; empty if it has none, is gone, starting, or may not be read."""
    text = _read(f"{_PROC}/{pid}/environ")
    for entry in text.split(b"\0"):
        if entry.startswith(_MARK):
            return os.fsdecode(entry[len(_MARK) :])
    return ""


def _parent_of(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _stat(pid: int) -> list[bytes]:
    """The fields from the state on: the name before them may hold blanks and parentheses."""
    return _read(f"{_PROC}/{pid}/stat").rpartition(b")")[2].split()


def _listed_children(pid: int) -> list[int]:
    folder = f"{_PROC}/{pid}/task"
    try:
        threads = _surely(os.listdir, folder)
    except OSError:
        return []
    listed = b" ".join([_read(f"{folder}/{thread}/children") for thread in threads])
    return list(map(int, listed.split()))


def _scan() -> dict[int, list[int]]:
    table: dict[int, list[int]] = {}
    for pid in _all_pids():
        parent = _parent_of(pid)
        if parent is not None:
            table.setdefault(parent, []).append(pid)
    return table


def _all_pids() -> list[int]:
    return [int(name) for name in _surely(os.listdir, _PROC) if name.isdigit()]


def _read(path: str) -> bytes:
    try:
        return _surely(_content, path)
    except OSError:
        return b""


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _READ):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


_Found = TypeVar("_Found")
_spare: Final = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)]


def _surely(look: Callable[[str], _Found], path: str) -> _Found:
    """Look at a path. When no descriptor is free, a spare one gives way: what cannot be seen must not pass for gone."""
    try:
        return look(path)
    except OSError as error:
        if error.errno != errno.EMFILE or not _spare:
            raise
    os.close(_spare.pop())
    try:
        return look(path)
    finally:
        _spare.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
