from __future__ import annotations

from circus.commands.base import ADMIN, Command, Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter

_MESSAGE = (
    "circusd does not run an IPython kernel: whatever blocks in it would block every watcher. "
    "'circusctl explain NAME' and 'circusctl events' show its state"
)


class IPython(Command):
    """Say that circusd runs no IPython kernel

    Answered so that clients that ask for one get a reason.
    """

    name = "ipython"
    role = ADMIN
    replies = "shell (false), msg"

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        return {"shell": False, "msg": _MESSAGE}

    def render(self, reply: Json) -> str:
        return str(reply.get("msg") or reply.get("shell") or "")


COMMAND = IPython()
