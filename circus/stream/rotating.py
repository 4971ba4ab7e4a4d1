"""Output in a file, and in a new one as time goes by."""

from __future__ import annotations

import os
import re
import time

from circus import kinds
from circus.stream.base import Source
from circus.stream.periods import Period
from circus.stream.registration import UNITS
from circus.stream.switching import SwitchingFile
from circus.util import to_bool

_RETRY = 60.0
"""Seconds until a new file is tried again where one could not be begun."""


class TimedRotatingFileStream(SwitchingFile):
    """A file, and a new one after ``rotate_interval`` times ``rotate_when``.

    ``rotate_when`` is ``S``, ``M``, ``H``, ``D`` (seconds, minutes, hours, days), ``midnight``, or the end of a weekday
    from Monday (``W0``) to Sunday (``W6``). The old file is renamed when the first output after that time comes; to its
    name are added a dot and the time of its beginning, such as ``20261124`` or, for hours, ``2026112421``. Of these,
    ``backup_count`` are kept; 0 keeps them all. After a restart the time counts from the file's last change.
    """

    def __init__(
        self,
        filename: str,
        time_format: str = "",
        backup_count: int | str = 0,
        rotate_when: str = "H",
        rotate_interval: int | str = 1,
        utc: bool | str = False,
        owner: str = "",
        mode: int | str | None = None,
    ) -> None:
        super().__init__(filename, time_format, owner, mode)
        self.period = Period(kinds.keyword(rotate_when, *UNITS), int(rotate_interval), to_bool(utc))
        if self.period.interval < 1:
            raise ValueError(f"rotate_interval is {rotate_interval}; write a whole number of at least 1")
        self.backup_count = int(backup_count)
        self._begun = self._end = 0.0

    def begun(self, status: os.stat_result) -> None:
        """Let the time of a new file begin now, and that of an old one with its last change."""
        now = time.time()
        self._begin(min(status.st_mtime, now) if status.st_size else now)

    def is_over(self) -> bool:
        """Whether the time of the file has come."""
        now = time.time()
        if now < self._begun:
            self._begin(now)  # the clock was set back
        return now >= self._end and self.regular

    def _begin(self, begun: float) -> None:
        self._begun = begun
        self._end = self.period.end(begun)

    def switch(self, source: Source) -> None:
        """Begin a new file. If that fails, the old one is used for another minute."""
        now = time.time()
        self.refresh()
        if self.size == 0:
            self._begin(now)
            return
        try:
            try:
                os.rename(self.path, self._old_name())
            except FileNotFoundError:
                pass  # something else has moved it away
            self.reopen()
        except OSError as error:
            self._end = now + _RETRY
            self.fail(source, f"no new file can be begun in place of {self.path}: {error}")
            return
        try:
            self._remove_oldest(source)
        except OSError as error:
            self.fail(source, f"old files of {self.path} cannot be found: {error}")

    def _old_name(self) -> str:
        """The name for the file that has ended; an hour that comes twice, as clocks are set back, has two of them."""
        name = candidate = f"{self.path}.{self.period.suffix(self._end)}"
        number = 0
        while os.path.lexists(candidate):
            number += 1
            candidate = f"{name}.{number}"
        return candidate

    def _remove_oldest(self, source: Source) -> None:
        if not self.backup_count:
            return
        folder, base = os.path.split(self.path)
        pattern = re.compile(re.escape(base) + rf"\.(\d{{{self.period.digits}}})(?:\.(\d+))?", re.ASCII)
        found = [
            (match[1], int(match[2] or 0), match[0])
            for match in map(pattern.fullmatch, os.listdir(folder or "."))
            if match
        ]
        for _, _, name in sorted(found)[: -self.backup_count]:
            try:
                os.unlink(os.path.join(folder, name))
            except OSError as error:
                self.fail(source, f"an old file cannot be removed: {error}")
