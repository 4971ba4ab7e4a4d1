"""Operations on many watchers: who comes first, and who waits for whom.

An operation claims its watchers when it is accepted. A watcher that a later command decides over is then left alone, so
a long start never undoes a stop that came after it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circus.kernel.intents import Intent
    from circus.kernel.watcher import Watcher

Act = Callable[["Watcher"], "Intent"]


def by_priority(watchers: Iterable[Watcher]) -> list[Watcher]:
    """Return watchers in starting order: plugins, then by priority, highest first; else in the order of the file."""
    return sorted(watchers, key=_rank)


def levels(watchers: Iterable[Watcher]) -> list[list[Watcher]]:
    """Return watchers in starting order, in groups of one rank."""
    return [list(group) for _, group in itertools.groupby(by_priority(watchers), key=_rank)]


def _rank(watcher: Watcher) -> tuple[bool, int]:
    return not watcher.settings.is_plugin, -watcher.settings.priority


class Operation:
    """One act on many watchers, level by level."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._tokens = {watcher: watcher.claim() for watcher in watchers}
        self.intents: list[Intent] = []

    async def ascend(self, act: Act, warmup_delay: float = 0.0) -> None:
        """Bring watchers up from high priority to low. A level waits until each slot of the one before was tried."""
        for watcher, token in self._tokens.items():
            watcher.awaiting = token
        first = True
        for level in levels(self._tokens):
            for watcher in level:
                if warmup_delay and not first:
                    await asyncio.sleep(warmup_delay)
                first = False
                self._act(watcher, act)
            for attempt in [watcher.attempt() for watcher in level]:
                await attempt.settled()

    async def descend(self, act: Act) -> None:
        """Bring watchers down from low priority to high. A level waits until the one before is gone."""
        for level in reversed(levels(self._tokens)):
            for intent in [self._act(watcher, act) for watcher in level]:
                if intent is not None:
                    await intent.settled()

    async def result(self) -> list[str]:
        """Wait until every intent is settled; return the reasons of those that failed."""
        for intent in self.intents:
            await intent.settled()
        return [intent.error for intent in self.intents if intent.error is not None]

    def overtaken(self) -> set[Watcher]:
        """Return the watchers over which a later command has decided."""
        return {watcher for watcher, token in self._tokens.items() if watcher.claimed != token}

    def _act(self, watcher: Watcher, act: Act) -> Intent | None:
        if watcher.claimed != self._tokens[watcher]:
            return None
        intent = act(watcher)
        self._tokens[watcher] = watcher.claimed
        self.intents.append(intent)
        return intent
