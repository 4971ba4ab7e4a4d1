"""What files have in common that another one takes the place of."""

from __future__ import annotations

import os

from circus.stream import lines
from circus.stream.base import Source
from circus.stream.files import LogFile


class SwitchingFile(LogFile):
    """A file that is left for another one of that name, between two lines."""

    identity = (0, 0)
    """Device and number of the file that is open."""

    def is_over(self) -> bool:
        """Whether it is time to leave the file."""
        raise NotImplementedError

    def switch(self, source: Source) -> None:
        """Leave the file for another one. If that fails, the old one stays open and the failure is noted."""
        raise NotImplementedError

    def begun(self, status: os.stat_result) -> None:
        """Hear that another file than before is open."""

    def reopen(self) -> None:
        """Open the file anew, and see whether it is another one."""
        super().reopen()
        status = os.fstat(self._descriptor)
        if identity_of(status) != self.identity:
            self.identity = identity_of(status)
            self.begun(status)

    def put(self, source: Source, data: bytes | memoryview) -> None:
        """Append bytes; a line that is begun still goes where its beginning is."""
        rest = memoryview(data)
        if self.is_over():
            # A beginning whose end was lost is waited for no more: the old file may be what fills the disk.
            if self.in_line and not self._broken:
                end = lines.first_end(rest) or len(rest)
                self.append(source, rest[:end])
                rest = rest[end:]
            if rest:
                self.switch(source)
        if rest:
            self.append(source, rest)


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Return what tells a file from any other."""
    return status.st_dev, status.st_ino
