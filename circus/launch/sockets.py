"""Start a process that is told of sockets in systemd's way: LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES.

The protocol wants the sockets at 3, 4, 5 …, and the process's own pid in its environment, which nobody knows before it
is there. ``posix_spawn`` puts the descriptors in their places, and a constant script of the shell writes its pid, which
stays, and replaces itself by the program. What is to be run comes in parameters only, never in the script's text.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Final

from circus.exc import SpawnError
from circus.launch.command import SHELL
from circus.launch.outfit import FIRST_SOCKET, Outfit
from circus.launch.syscalls import inherited_descriptors

# PWD and OLDPWD are the shell's additions: what the process is to have of them comes through env.
_SCRIPT: Final = '[ -z "$1" ] || cd "$1" || exit 126; shift; unset PWD OLDPWD; export LISTEN_PID=$$; exec "$@"'
_PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)


def spawn(words: Sequence[str], env: Mapping[str, str], cwd: str, outfit: Outfit, closed: Sequence[bool]) -> int:
    """Start ``words`` in ``cwd`` (empty: circusd's folder) with what its outfit gives it, and return its pid.

    ``closed`` says of stdin, stdout and stderr whether they are ``/dev/null`` where the outfit has none. What a program
    that embeds Circus makes inheritable after its first spawn is not closed in the child. Raise ``OSError`` or
    ``ValueError`` if the system refuses, ``SpawnError`` if the descriptors do not go together.
    """
    duplicates: list[int] = []
    try:
        return os.posix_spawn(
            SHELL,
            [SHELL, "-c", _SCRIPT, "sh", cwd, *words],
            {**env, **_told(outfit)},
            file_actions=_places(outfit, closed, duplicates),
            setsid=True,
            setsigmask=(),
            setsigdef=_PYTHON_IGNORES,
        )
    finally:
        for descriptor in duplicates:
            os.close(descriptor)


def _told(outfit: Outfit) -> dict[str, str]:
    names = list(outfit.sockets)[: outfit.told]
    return {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(name.replace(":", "_") for name in names)}


def _places(outfit: Outfit, closed: Sequence[bool], duplicates: list[int]) -> list[tuple[int, ...]]:
    """What ``posix_spawn`` is to do with descriptors; those that were made for it are added to ``duplicates``."""
    beyond = FIRST_SOCKET + len(outfit.sockets)
    places: list[tuple[int, ...]] = []

    def place(descriptor: int, number: int) -> None:
        if descriptor < beyond:  # another one is put there
            descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, beyond)
            duplicates.append(descriptor)
        places.append((os.POSIX_SPAWN_DUP2, descriptor, number))

    for number, descriptor in enumerate((outfit.stdin, outfit.stdout, outfit.stderr)):
        if descriptor is not None:
            place(descriptor, number)
        elif closed[number]:
            places.append((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0))  # type: ignore[arg-type]
    for number, descriptor in enumerate(outfit.sockets.values(), FIRST_SOCKET):
        place(descriptor, number)
    for descriptor in outfit.inherited:
        if descriptor < beyond:
            raise SpawnError(
                "sockets",
                f"descriptor {descriptor} is to stay where it is, and {len(outfit.sockets)} sockets need the numbers "
                f"from {FIRST_SOCKET} to {beyond - 1}; give the process fewer sockets",
            )
        # In its own place, a descriptor is no longer close-on-exec.
        places.append((os.POSIX_SPAWN_DUP2, descriptor, descriptor))
    needed = {descriptor for action, descriptor, *_ in places if action == os.POSIX_SPAWN_DUP2}
    closing = [(os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in inherited_descriptors() - needed]
    return [*closing, *places]
