from __future__ import annotations

from circus.commands.base import NAME, OPERATOR, WAITING, Command, Json, Property, accepted
from circus.exc import MessageError
from circus.util import to_signum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.kernel.arbiter import Arbiter


class Kill(Command):
    """End one process of a watcher, or all of them

    The watcher stays active, so the processes are replaced. A process that has not ended after the graceful timeout
    gets SIGKILL. A process id that the watcher does not have is no error.
    """

    name = "kill"
    properties = (
        NAME,
        Property("pid", "pid", "the process; without it, all of the watcher's", positional=True),
        Property("signum", "signal", "number or name of the signal instead of the watcher's stop_signal"),
        Property("graceful_timeout", "number", "seconds until SIGKILL instead of the watcher's graceful_timeout"),
        WAITING,
    )
    role = OPERATOR

    def execute(self, arbiter: Arbiter, properties: Json) -> Json | Awaitable[Json]:
        watcher = arbiter.get_watcher(properties["name"])
        signum, timeout = properties["signum"], properties["graceful_timeout"]
        if signum is not None:
            try:
                signum = to_signum(signum)
            except ValueError:
                raise MessageError("signal invalid") from None
        if timeout is not None and not 0 <= timeout < float("inf"):
            raise MessageError("message invalid 'graceful_timeout' isn't a number of seconds")
        return accepted(watcher.kill(properties["pid"], signum, timeout), properties)


COMMAND = Kill()
