from __future__ import annotations

from circus.commands.base import NAME, WAITING, Property
from circus.commands.incr import Incr


class Decr(Incr):
    """Decrement the number of processes of a watcher

    The number does not sink below 0. The number of processes of a singleton does not change.
    """

    name = "decr"
    properties = (NAME, Property("nb", "integer", "how many processes fewer", default=1, positional=True), WAITING)
    sign = -1


COMMAND = Decr()
