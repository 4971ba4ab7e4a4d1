from __future__ import annotations

from circus.commands.base import OPERATOR, Command, Json, Property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class Verdict(Command):
    """Answer at a gate: whether what a watcher is about to do may happen

    Each verdict is published as ``hook_success`` or, with an ``error``, as ``hook_failure``. One for a gate that is
    closed is an error, and changes nothing.
    """

    name = "verdict"
    properties = (
        Property("gate", "integer", "number of the gate, from its event", required=True, cli=False),
        Property("sync", "text", "token with which the plugin has registered", required=True, cli=False),
        Property("allow", "boolean", "whether it may happen", required=True, cli=False),
        Property("error", "text", "why the hook has failed, if it has", cli=False),
        Property("result", "object", "what the hook gives back: for extended_stats, keys to add", cli=False),
    )
    role = OPERATOR

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        arbiter.gates.verdict(
            properties["gate"], properties["sync"], properties["allow"], properties["error"], properties["result"]
        )
        return {}


COMMAND = Verdict()
