"""Acting on the watchers that a name or a pattern selects."""

from __future__ import annotations

from circus.commands.base import Json, accepted
from circus.commands.matching import match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


def act(action: str, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
    """Start, stop or restart all watchers, the one that is named, or those that match, and return the reply.

    Raise ``MessageError`` when nothing matches, or for an unknown way of matching.
    """
    if properties["name"] is None:
        return accepted(getattr(arbiter, action)(), properties)
    watchers = match(arbiter, properties["name"], properties["match"])
    return accepted(getattr(arbiter, action)(watchers), properties)
