"""What a plugin's process is told when it starts, and the memory in which it leaves word of how far it has come."""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import dataclass, field
from typing import Any, Final

PROGRESS_SIZE: Final = 16
"""Bytes of the memory that outlives a plugin's process: the number of the last event that it has finished, and that of
the event that it is at, with how many processes have been at it."""

MOST_ENDS: Final = 2
"""Processes that may end in the same event: the next one passes it over, or it would end in it as well."""

_ENDS_BITS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """How to run one plugin.

    ``factory`` is what makes it, ``module:attribute``, a dotted path or ``FILE.py:attribute``. ``boot`` is the life of
    the daemon that starts it, empty by hand. ``progress`` is the descriptor of its memory, ``channel`` that by which
    what runs streams is told of them. ``daemon`` is the process id of circusd, which it does not outlive. ``log`` says
    how circusd's log is set up, ``debug`` that what the plugin prints is to be seen.
    """

    name: str
    factory: str
    config: dict[str, str] = field(default_factory=dict, repr=False)
    endpoint: str
    pubsub_endpoint: str
    check_delay: float = 5.0
    ssh_server: str | None = None
    boot: str = ""
    progress: int | None = None
    channel: int | None = None
    daemon: int | None = None
    debug: bool = False
    log: dict[str, Any] = field(default_factory=dict)


def read_briefing(descriptor: int) -> Briefing:
    """Read what circusd has to say. Raise ``ValueError`` if that is no briefing."""
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        told = json.load(file)
    if not isinstance(told, dict):
        raise ValueError("it is no object")
    known = Briefing.__dataclass_fields__
    return Briefing(**{key: value for key, value in told.items() if key in known})


class Progress:
    """How far a plugin has come in the events, where its successor finds it. Without a descriptor nobody does."""

    def __init__(self, descriptor: int | None) -> None:
        memory = mmap.mmap(-1, PROGRESS_SIZE) if descriptor is None else mmap.mmap(descriptor, PROGRESS_SIZE)
        # Native numbers are stored whole or not at all, whenever this process is killed.
        self._numbers = memoryview(memory).cast("Q")

    @property
    def seq(self) -> int:
        """The number of the last event that is finished, 0 for none; to set it finishes the one that was begun."""
        return self._numbers[0]

    @seq.setter
    def seq(self, value: int) -> None:
        self._numbers[0] = value
        self._numbers[1] = 0

    def begin(self, seq: int) -> int:
        """Take note that an event is about to be handled; return how many processes have ended while they did so."""
        at, ends = self._numbers[1] >> _ENDS_BITS, self._numbers[1] % (1 << _ENDS_BITS)
        ends = ends if at == seq else 0
        self._numbers[1] = seq << _ENDS_BITS | min(ends + 1, (1 << _ENDS_BITS) - 1)
        return ends

    def leave(self) -> None:
        """Take note that this process ends because it was told to, and not through the event that it is at."""
        self._numbers[1] = 0
