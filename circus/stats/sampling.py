"""What one process uses, read from /proc: of a thousand processes each second, so every read counts.

The file ``/proc/PID/stat`` of a process stays open from one look to the next: a read from the start is half the price
of opening it, and an open one never tells of another process that has the number now (it fails with ``ESRCH``).
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterable
from typing import Final, NamedTuple

from circus.util import human_size

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MEMORY: Final = os.sysconf("SC_PHYS_PAGES") * _PAGE
_LONGEST: Final = 1024
"""Bytes of a line of ``stat``: 52 numbers, and a name of at most 64 bytes."""

_CLUE: Final = "schedstat" if os.path.exists("/proc/self/schedstat") else "stat"
"""File that stays the same while the first thread of a process does not run: at a fifth of the price of ``stat``."""
_FRESH: Final = 5
"""Looks at which a new process is asked what it runs: it may have been a shell that made way for the program."""

_STARTED: Final = 19
"""Where the start of the process stands among the fields of ``stat``, in ticks since the machine's own."""

_RSS: Final = 21

FILES: Final = 2
"""Files that are open for one process."""

UNKNOWN: Final = "N/A"


class Usage(NamedTuple):
    """What a process uses at a moment. ``cpu`` is in percent of one core since the look before.

    ``cpu_time`` is in seconds, ``rss`` and ``vms`` in bytes, ``mem`` in percent of the machine's memory.
    """

    cpu: float
    cpu_time: float
    mem: float
    rss: int
    vms: int
    nice: int | str
    threads: int


class Sampled:
    """One process that is looked at again and again.

    ``name`` is published with it. What looks at it raises ``ProcessLookupError`` when it is gone. With ``keep_open``
    its files stay open.
    """

    __slots__ = (
        "_encoded",
        "_files",
        "_fresh",
        "_line",
        "_ran",
        "_read_at",
        "_started",
        "create_time",
        "name",
        "pid",
        "program",
        "usage",
        "username",
    )

    def __init__(self, pid: int, name: str | None = None, *, keep_open: bool = True) -> None:
        self.pid = pid
        self.name = name
        self.usage: Usage | None = None
        """As of the last look."""
        self._files: tuple[int, int] | None = None
        self._fresh = _FRESH
        self._line = b""
        self._ran = b""
        self._read_at = 0.0
        self._encoded = b""
        stat = _open(pid, "stat")
        try:
            self.username = _user_name(os.fstat(stat).st_uid)
            self._started = fields_of(os.pread(stat, _LONGEST, 0))[_STARTED]
            self.create_time = _booted_at() + int(self._started) / _TICKS
            self.program = _program(pid)
            if keep_open:
                self._files = (stat, _open(pid, _CLUE))
        finally:
            if self._files is None:
                os.close(stat)

    def look(self, mono: float) -> Usage:
        """Return what it uses at ``mono`` (monotonic seconds)."""
        if self._files is None:
            fields = fields_of(read_stat(self.pid))
            if fields[_STARTED] != self._started:
                raise ProcessLookupError(self.pid)  # another one has its number
            return self._take(fields, b"", mono)
        stat, clue = self._files
        before = self.usage
        ran = b""
        if before is None or before.threads == 1:
            ran = os.pread(clue, _LONGEST, 0)
            if before is not None and ran == self._ran:
                return self._rest(before, mono)
        line = os.pread(stat, _LONGEST, 0)
        if before is not None and line == self._line:  # it has run, for less than is counted
            self._ran = ran
            return self._rest(before, mono)
        self._line = line
        return self._take(fields_of(line), ran, mono)

    def message(self, now: float, children: Iterable[bytes] = ()) -> bytes:
        """Return what is published of it, as JSON: ``now`` is the time of day, ``children`` is JSON as well."""
        if not self._encoded:
            about = {"subtopic": self.pid, "name": self.name}
            self._encoded = json.dumps(self._info() | about).encode()[1:]
        return b'{"age": %.3f, "children": [%b], %b' % (now - self.create_time, b", ".join(children), self._encoded)

    def as_child(self, now: float) -> bytes:
        """Return what stands among the children of another process; its own ones are left out."""
        return json.dumps(self._info() | {"age": round(now - self.create_time, 3), "children": []}).encode()

    def close(self) -> None:
        """Look at it no more."""
        for descriptor in self._files or ():
            os.close(descriptor)
        self._files = None

    def _rest(self, before: Usage, mono: float) -> Usage:
        if before.cpu:
            before, self._encoded = before._replace(cpu=0.0), b""
            self.usage = before
        self._read_at = mono
        return before

    def _take(self, fields: list[bytes], ran: bytes, mono: float) -> Usage:
        before = self.usage
        cpu_time = (int(fields[11]) + int(fields[12])) / _TICKS
        cpu = 0.0
        if before is not None and mono > self._read_at:
            cpu = round(max(0.0, cpu_time - before.cpu_time) / (mono - self._read_at) * 100, 1)
        if self._fresh:
            self._fresh -= 1
            self.program = _program(self.pid)
        rss = int(fields[_RSS]) * _PAGE
        nice = "Zombie" if fields[0] == b"Z" else int(fields[16])
        usage = Usage(cpu, cpu_time, round(rss / _MEMORY * 100, 3), rss, int(fields[20]), nice, int(fields[17]))
        if usage != before:
            self._encoded = b""
        self.usage, self._ran, self._read_at = usage, ran, mono
        return usage

    def _info(self) -> dict[str, object]:
        """The process as subscribers know it: texts to be printed, and the numbers that they stand for."""
        usage = self.usage
        assert usage is not None
        return {
            "pid": self.pid,
            "cmdline": self.program,
            "username": self.username,
            "nice": usage.nice,
            "mem_info1": human_size(usage.rss),
            "mem_info2": human_size(usage.vms),
            "cpu": usage.cpu,
            "mem": usage.mem,
            "ctime": f"{int(usage.cpu_time // 60)}:{usage.cpu_time % 60:05.2f}",
            "create_time": self.create_time,
            "rss": usage.rss,
            "vms": usage.vms,
            "cpu_time": usage.cpu_time,
            "threads": usage.threads,
        }


def _open(pid: int, name: str) -> int:
    try:
        return os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None


def read_stat(pid: int) -> bytes:
    """Return the line that ``/proc/PID/stat`` holds. Raise ``ProcessLookupError`` if there is no such process."""
    stat = _open(pid, "stat")
    try:
        return os.read(stat, _LONGEST)
    finally:
        os.close(stat)


def fields_of(line: bytes) -> list[bytes]:
    """Return the fields of ``stat`` from the state to the memory: the name before it may hold blanks and brackets."""
    return line[line.rindex(b")") + 2 :].split(None, _RSS + 1)


def _program(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            words = (file.read(4096) or b"").split(b"\0")
        if words[0]:
            return os.path.basename(words[0].split()[0] if words[0].split() else words[0]).decode(errors="replace")
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:
            return (file.read() or b"").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None
    except OSError:
        return UNKNOWN


_names: dict[int, str] = {}


def _user_name(uid: int) -> str:
    if uid not in _names:
        try:
            _names[uid] = pwd.getpwuid(uid).pw_name
        except KeyError:
            _names[uid] = str(uid)
    return _names[uid]


_boot: list[float] = []


def _booted_at() -> float:
    """When the machine was started, in seconds since the epoch: what start times of processes are counted from."""
    if not _boot:
        with open("/proc/stat", "rb") as file:
            _boot.append(next(float(line.split()[1]) for line in file if line.startswith(b"btime ")))
    return _boot[0]
