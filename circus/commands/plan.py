from __future__ import annotations

from typing import Any

from circus.commands.base import Command, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Plan(Command):
    """Show what reloadconfig would do

    The configuration file is read and checked; nothing is changed. An error lists every fault of the file.
    """

    name = "plan"
    replies = "what would be added, removed, replaced, resized and restarted"

    def execute(self, arbiter: Arbiter, properties: Json) -> Awaitable[Json]:
        return arbiter.plan_reload()

    def render(self, reply: Json) -> str:
        lines = []
        for key, value in reply.items():
            if key in ("status", "time", "id", "seq") or not value:
                continue
            lines.append(f"{key}: {_listed(value)}")
        return "\n".join(lines) or "nothing would change"


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({_listed(content)})" if content else str(name) for name, content in value.items())
    if isinstance(value, list):
        return ", ".join(map(_listed, value))
    return "yes" if value is True else str(value)


COMMAND = Plan()
