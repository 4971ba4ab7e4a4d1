"""A reload that changes where circusd listens: new endpoints are bound first, then one side is let go."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from circus.config.unserved import refuse_unprotected
from circus.exc import CircusError
from circus.util import default_endpoint, default_pubsub_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from circus.config.schema import CircusSettings
    from circus.daemon.daemon import Daemon
    from circus.daemon.reload import Change
    from circus.kernel.publisher import Publisher
    from circus.kernel.router import Router

log = logging.getLogger("circus")

FIXED: Final = ("pidfile", "event_ring_size")
"""Options of ``[circus]`` that a reload does not change."""


class Rebinding:
    """New endpoints are bound beside the old ones; then one of the two sides is let go."""

    def __init__(self, daemon: Daemon, old: CircusSettings, new: CircusSettings) -> None:
        self._daemon = daemon
        self._old, self._new = old, new
        self._bound: list[tuple[str, Router | Publisher, str, str]] = []
        refuse_unprotected(new)
        if (new.stats_endpoint, new.statsd) != (old.stats_endpoint, old.statsd):
            daemon.check_stats_endpoint(new)
        try:
            self._add("endpoint", daemon.router, old.endpoint, new.endpoint or default_endpoint())
            self._add(
                "pubsub_endpoint",
                daemon.publisher,
                old.pubsub_endpoint,
                new.pubsub_endpoint or default_pubsub_endpoint(),
            )
            daemon.plugins.settings = new
            if new != old:
                daemon.adopt(new)
        except CircusError:
            self.undo()
            raise

    def _add(self, option: str, way: Router | Publisher, old: str, new: str) -> None:
        before = getattr(self._daemon.arbiter, option)
        if new not in (old, before):
            bound = self._daemon.bind(way, new, self._new)
            self._bound.append((option, way, before, bound))
            setattr(self._daemon.plugins, option, bound)

    def commit(self) -> None:
        """Leave the old endpoints."""
        for option, way, before, bound in self._bound:
            setattr(self._daemon.arbiter, option, bound)
            self._daemon.leave(way, before)
        self._daemon.apply(self._new)
        if self._old.endpoint_owner != self._new.endpoint_owner:
            self._daemon.change_owner(self._new.endpoint_owner)
        for option in FIXED:
            if getattr(self._old, option) != getattr(self._new, option):
                log.warning("[circus] %s: the change counts from the next start of circusd on", option)

    def undo(self) -> None:
        """Leave the new endpoints."""
        self._daemon.plugins.settings = self._old
        for option, way, before, bound in self._bound:
            setattr(self._daemon.plugins, option, before)
            self._daemon.unbind(way, bound)
        if self._new != self._old:
            self._daemon.adopt(self._old)


class Both:
    """Two changes that are made together or not at all."""

    def __init__(self, *prepare: Callable[[], Change]) -> None:
        """Prepare one after the other. Raise ``CircusError``, with nothing changed, if one of them does."""
        self._changes: list[Change] = []
        try:
            for make in prepare:
                self._changes.append(make())
        except BaseException:
            self.undo()
            raise

    def commit(self) -> None:
        """Let go of what was there before."""
        for change in self._changes:
            change.commit()

    def undo(self) -> None:
        """Let go of what is new."""
        for change in reversed(self._changes):
            change.undo()
