from __future__ import annotations

from circus.commands.arguments import WRONG_NUMBER
from circus.commands.base import NAME, OPERATOR, Command, Json, Property
from circus.exc import ArgumentError, MessageError
from circus.util import to_signum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter

_LARGEST = 2**31 - 1
"""Largest number that the system call takes."""


class Signal(Command):
    """Send a signal to processes of a watcher

    To all of its processes, to one (``pid``), to that one's child (``childpid``), only to the direct children
    (``children``), or to the processes and all their descendants (``recursive``). An unknown process id is no error.
    """

    name = "signal"
    properties = (
        NAME,
        Property("pid", "pid", "one process of the watcher", positional=True),
        Property("signum", "signal", "number or name of the signal", required=True, positional=True),
        Property("childpid", "pid", "one child of pid"),
        Property("children", "boolean", "the direct children only", default=False),
        Property("recursive", "boolean", "the descendants too", default=False),
    )
    role = OPERATOR

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        watcher = arbiter.get_watcher(properties["name"])
        if properties["childpid"] is not None and properties["pid"] is None:
            raise MessageError("message invalid 'childpid' needs 'pid'")
        watcher.signal(
            _number(properties["signum"]),
            pid=properties["pid"],
            childpid=properties["childpid"],
            children=properties["children"],
            recursive=properties["recursive"],
        )
        return {}

    def message(self, arguments: list[str], options: Json) -> Json:
        if len(arguments) == 2:
            return {"name": arguments[0], "signum": arguments[1], **options}
        if len(arguments) != 3:
            raise ArgumentError(WRONG_NUMBER)
        return super().message(arguments, options)


def _number(signum: int | str) -> int:
    """A number goes to the system as it is, so that the caller gets the system's own error."""
    try:
        if isinstance(signum, str) and signum.isdigit():
            signum = int(signum)
        number = signum if isinstance(signum, int) else to_signum(signum)
        if abs(number) > _LARGEST:
            raise ValueError(f"{number} is not a signal")
        return number
    except ValueError:
        raise MessageError("signal invalid") from None


COMMAND = Signal()
