"""What a process inherits of circusd beside its settings: descriptors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FIRST_SOCKET: Final = 3
"""Where the sockets of a process begin, as systemd's protocol has it (sd_listen_fds)."""


@dataclass(frozen=True, slots=True)
class Outfit:
    """The descriptors, all of circusd's own numbering, that a process which starts now gets.

    Where ``stdin``, ``stdout`` or ``stderr`` is None, it is ``/dev/null`` if the settings close it, else circusd's own.
    ``inherited`` keep their numbers. So do ``sockets`` (by their names), unless systemd's variables are to tell of the
    first ``told`` of them: then all stand at 3, 4, 5 … in the process, in this order. A process is not told of sockets
    that it was given by number: gunicorn, for one, would take each twice, and fail.
    """

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    inherited: tuple[int, ...] = ()
    sockets: Mapping[str, int] = field(default_factory=dict)
    told: int = 0

    @property
    def numbers(self) -> dict[str, int]:
        """The descriptor that each socket has in the process."""
        if self.told:
            return {name: FIRST_SOCKET + position for position, name in enumerate(self.sockets)}
        return dict(self.sockets)
