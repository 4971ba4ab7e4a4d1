"""Output in a file, and in those that came before it once it was full."""

from __future__ import annotations

import os
import stat

from circus.stream import lines
from circus.stream.base import Source, Stream, timestamp
from circus.stream.opening import find_owner, open_append


class LogFile(Stream):
    """A file that is appended to: what all kinds of files have in common.

    ``time_format`` puts the time and the process id before each line. ``owner`` (``user`` or ``user:group``) and
    ``mode`` (octal) are for files that are created.
    """

    def __init__(self, filename: str, time_format: str = "", owner: str = "", mode: int | str | None = None) -> None:
        if not filename:
            raise ValueError("filename is empty; name a file")
        self.filename = filename
        self.time_format = time_format
        self.takes_pieces = not time_format
        self.path = filename
        """The file itself, where ``filename`` is a link."""
        self.size = 0
        self.regular = False
        """Whether this is a file on a disk, which can be renamed, and no device or pipe."""
        self.in_line = False
        """Whether the last byte that was written is no newline."""
        self._broken = False
        self._descriptor = -1
        self._owner = find_owner(owner)
        self._mode = int(mode, 8) if isinstance(mode, str) and mode else mode or None

    def open(self) -> None:
        """Open the file, and create it if need be."""
        if self._descriptor < 0:
            self.reopen()

    def reopen(self) -> None:
        """Open the file anew, and let go of the old one only then."""
        descriptor = open_append(self.filename, self._owner, self._mode)
        self.close()
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.size = status.st_size
        self.regular = stat.S_ISREG(status.st_mode)
        self.path = os.path.realpath(self.filename) if os.path.islink(self.filename) else self.filename
        self.in_line = self._broken = False

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, source: Source, data: bytes | memoryview) -> None:
        """Append output, with the time before each line if that is wanted."""
        if self.time_format:
            data = lines.prefixed(data, b"%b [%d] | " % (timestamp(self.time_format), source.pid))
        self.put(source, data)

    def put(self, source: Source, data: bytes | memoryview) -> None:
        """Append bytes as they are to the file that they belong to, which may be a new one."""
        self.append(source, data)

    def append(self, source: Source, data: bytes | memoryview) -> bool:
        """Append bytes to this file. Return False if the system does not take all; the others are counted as lost."""
        rest = memoryview(data)
        try:
            if self._broken:
                self.size += os.write(self._descriptor, b"\n")
                self.in_line = self._broken = False
            while rest:
                count = os.write(self._descriptor, rest)
                self.size += count
                self.in_line = rest[count - 1] != 10
                rest = rest[count:]
        except OSError as error:
            # The end of a line is lost; what is written next must not look like it.
            self._broken = self.in_line
            self.lose(source, rest, f"{self.filename}: {error.strerror}")
            return False
        return True

    def refresh(self) -> None:
        """Find out how large the file is: something else may have cut it."""
        self.size = os.fstat(self._descriptor).st_size


class FileStream(LogFile):
    """A file, and a new one when it is full.

    When a line would make the file larger than ``max_bytes``, it is renamed to ``NAME.1``, what had this name to
    ``NAME.2``, and so on up to ``backup_count``; what comes after is overwritten. Without ``backup_count`` nothing is
    ever thrown away, so the file just grows. A line that comes in pieces stays where it began, up to 1 MiB.
    """

    def __init__(
        self,
        filename: str,
        time_format: str = "",
        max_bytes: int | str = 0,
        backup_count: int | str = 0,
        owner: str = "",
        mode: int | str | None = None,
    ) -> None:
        super().__init__(filename, time_format, owner, mode)
        self.max_bytes = int(max_bytes)
        self.backup_count = int(backup_count)
        self._limit = self.max_bytes if self.backup_count else 0

    def put(self, source: Source, data: bytes | memoryview) -> None:
        """Append bytes, and turn to a new file between two lines wherever this one is full."""
        rest = memoryview(data)
        while self._limit and self.regular and self.size + len(rest) > self._limit:
            self.refresh()
            end = self._fitting(rest)
            written = self.append(source, rest[:end])
            rest = rest[end:]
            done = self.size < self._limit + lines.LONGEST if self.in_line else not rest
            if done or not written or not self._turn(source):
                break
        if rest:
            self.append(source, rest)

    def _fitting(self, data: memoryview) -> int:
        """How many bytes still go into this file: whole lines as they fit, but at least one into an empty file."""
        end = lines.last_end(data, self._limit - self.size)
        if end == 0 and (self.in_line or self.size == 0):
            end = lines.first_end(data) or len(data)
        return end

    def _turn(self, source: Source) -> bool:
        """Begin a new file; return False if that fails, and the old one is used for the time being."""
        try:
            for number in range(self.backup_count - 1, -1, -1):
                old = f"{self.path}.{number}" if number else self.path
                try:
                    os.rename(old, f"{self.path}.{number + 1}")
                except FileNotFoundError:
                    continue
            self.reopen()
        except OSError as error:
            self._limit = self.size + self.max_bytes
            self.fail(source, f"{self.path} is full, and no new file can be begun: {error}")
            return False
        self._limit = self.max_bytes
        return True
