"""Which of circusd's sockets the processes of a watcher get: the one rule for spawning, reloading and checking."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from circus.config.variables import sockets_named

if TYPE_CHECKING:
    from circus.config.schema import SocketSettings, WatcherSettings

# Options of a socket that change without another socket. Processes have to know of one alone: blocking.
_ADJUSTABLE = ("backlog", "blocking", "umask", "replace")


@dataclass(frozen=True, slots=True)
class Share:
    """The sockets that each process of a watcher gets.

    It serves the first ``serves`` of ``names``. ``named``: the settings give it the numbers of these, and LISTEN_FDS
    tells it of none. ``stdin`` is its descriptor 0. A name may be that of a socket which does not exist.
    """

    names: tuple[str, ...] = ()
    serves: int = 0
    stdin: str | None = None
    named: bool = False

    @property
    def told(self) -> int:
        """How many of ``names`` LISTEN_FDS tells the process of."""
        return 0 if self.named else self.serves

    @property
    def own(self) -> tuple[str, ...]:
        """The sockets that the watcher is there to serve, each once."""
        return tuple(dict.fromkeys((*self.names[: self.serves], *filter(None, (self.stdin,)))))

    @property
    def all(self) -> frozenset[str]:
        """Every socket that a process of the watcher holds."""
        return frozenset((*self.names, *filter(None, (self.stdin,))))


def which(watcher: WatcherSettings, sockets: Iterable[SocketSettings]) -> Share:
    """Return which of ``sockets`` the processes of a watcher get.

    Those that it names as ``$(circus.sockets.NAME)`` come first, and it serves these alone; LISTEN_FDS tells it of
    none, since gunicorn, for one, would take a socket twice. With ``use_sockets`` it gets the others too, and where it
    names none, it is told of all.
    """
    stdin = watcher.stdin_socket.lower() if watcher.stdin_socket else None
    named = named_sockets(watcher)
    if not named and not watcher.use_sockets:
        return Share(stdin=stdin)
    by_name = {socket.name: socket for socket in sockets}
    first = sorted(named & by_name.keys())
    others: list[str] = []
    if watcher.use_sockets:
        # One with SO_REUSEPORT is a socket of the process's own. Nobody else would accept what the system hands to
        # it, so that whoever serves on others must not have it.
        others = sorted(name for name in by_name.keys() - named if not (first and by_name[name].so_reuseport))
    return Share((*first, *others), len(first or others), stdin, bool(first))


def named_sockets(watcher: WatcherSettings) -> set[str]:
    """The names, in lower case, that a watcher has as ``$(circus.sockets.NAME)`` in whatever a spawn expands."""
    args = (watcher.args,) if isinstance(watcher.args, str) else watcher.args
    texts = [watcher.cmd, *args, watcher.shell_args, watcher.executable, watcher.working_dir, watcher.virtualenv]
    streams = (watcher.stdout_stream.get("filename"), watcher.stderr_stream.get("filename"))
    text = "\n".join(filter(None, (*texts, *watcher.env.values(), *streams)))
    # Each spawn asks, and hardly any names one.
    return sockets_named(text) if "circus.sockets." in text.lower() else set()


def same_binding(before: SocketSettings, after: SocketSettings) -> bool:
    """Whether one bound socket does for both settings, whatever they are called."""
    ignored = ("name", *_ADJUSTABLE)
    options = [item.name for item in dataclasses.fields(before) if item.name not in ignored]
    return all(getattr(before, option) == getattr(after, option) for option in options)
