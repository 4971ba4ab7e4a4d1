"""When a file that is rotated by time ends, and what it is called then. No clock is read here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_SECONDS: Final = {"S": 1, "M": 60, "H": 3600}
_FORMATS: Final = {"S": "%Y%m%d%H%M%S", "M": "%Y%m%d%H%M", "H": "%Y%m%d%H"}
_DAY_FORMAT: Final = "%Y%m%d"


class Period(NamedTuple):
    """How long a file is written to: ``interval`` times a unit, one of those of ``rotate_when``.

    Seconds, minutes and hours are lengths of time. Days go by the calendar, in UTC or the local one: those on which the
    clocks change have 23 or 25 hours. ``midnight`` and the weekdays (from Monday on) end at 24:00.
    """

    unit: str
    interval: int = 1
    utc: bool = False

    @property
    def digits(self) -> int:
        """How many digits the name of a file that has ended has after its last dot."""
        return len(datetime(2000, 1, 1, tzinfo=UTC).strftime(self._format))

    @property
    def _format(self) -> str:
        return _FORMATS.get(self.unit, _DAY_FORMAT)

    @property
    def _days(self) -> timedelta:
        return timedelta(days=self.interval * (7 if self.unit.startswith("W") else 1))

    def end(self, begun: float) -> float:
        """Return when a file ends that was begun at a time; both are seconds since 1970."""
        if self.unit in _SECONDS:
            return begun + self.interval * _SECONDS[self.unit]
        moment = self._moment(begun)
        if self.unit == "D":
            return (moment + self._days).timestamp()
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if self.unit == "midnight":
            return (midnight + self._days).timestamp()
        ahead = timedelta(days=(int(self.unit[1]) - midnight.weekday()) % 7 + 1 - 7)
        return (midnight + ahead + self._days).timestamp()

    def suffix(self, end: float) -> str:
        """Return what is put after a file's name when it has ended: the time of its beginning."""
        if self.unit in _SECONDS:
            moment = self._moment(end - self.interval * _SECONDS[self.unit])
        else:
            moment = self._moment(end) - self._days
        return moment.strftime(self._format)

    def _moment(self, seconds: float) -> datetime:
        """A time by the calendar. The local one has no zone, so that adding a day leaves the time of day as it is."""
        moment = datetime.fromtimestamp(seconds, UTC)
        return moment if self.utc else moment.astimezone().replace(tzinfo=None)
