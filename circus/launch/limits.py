"""Resource limits of a process, set before its program starts."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Final

from circus.exc import SpawnError
from circus.launch.syscalls import has_capability, util_linux

_CAP_SYS_RESOURCE: Final = 24
_NR_OPEN: Final = "/proc/sys/fs/nr_open"
_ALIASES: Final = {"ofile": "nofile"}


def prefix(limits: Mapping[str, int | None]) -> list[str]:
    """Return the words before a command that run it with these limits, soft and hard; ``None`` is infinity.

    The names are those of ``RLIMIT_*`` in lower case. Raise ``SpawnError`` if a limit may not be set, or util-linux is
    not installed.
    """
    words = [util_linux("prlimit", "limits")]
    privileged = has_capability(_CAP_SYS_RESOURCE)
    for option, value in limits.items():
        name = _ALIASES.get(option, option)
        number = _checked(name, value, privileged=privileged)
        shown = "unlimited" if number == resource.RLIM_INFINITY else str(number)
        words.append(f"--{name}={shown}:{shown}")
    return [*words, "--"]


def _checked(name: str, value: int | None, *, privileged: bool) -> int:
    try:
        hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
    except (AttributeError, ValueError):
        raise SpawnError("limits", f"this system has no limit rlimit_{name}") from None
    if value is None:
        if name == "nofile":
            return hard
        value = resource.RLIM_INFINITY
    if name == "nofile" and value > (most := _nr_open()):
        raise SpawnError(
            "limits", f"rlimit_nofile = {value} is above fs.nr_open = {most}; lower it, or raise that with sysctl"
        )
    if hard != resource.RLIM_INFINITY and (value == resource.RLIM_INFINITY or value > hard) and not privileged:
        shown = "infinity" if value == resource.RLIM_INFINITY else value
        raise SpawnError(
            "limits",
            f"rlimit_{name} = {shown} is above the hard limit {hard}, and circusd may not raise it (CAP_SYS_RESOURCE); "
            f"lower it, or start circusd with a higher hard limit",
        )
    return value


def _nr_open() -> int:
    with open(_NR_OPEN, "rb") as file:
        return int(file.read())
