"""As whom a process runs: user, group, supplementary groups."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from typing import Final

from circus.exc import SpawnError
from circus.launch.syscalls import has_capability, util_linux

_CAP_SETGID: Final = 6
_CAP_SETUID: Final = 7
_MAX_ID: Final = 2**32 - 2
"""The number above means "unchanged" to the system calls."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and a group, None where it is circusd's own; supplementary groups, None if they stay as they are."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None

    def __str__(self) -> str:
        parts = [f"uid {self.uid}"] if self.uid is not None else []
        return ", ".join([*parts, f"gid {self.gid}"] if self.gid is not None else parts)

    def prefix(self) -> list[str]:
        """Return the words before a command that run it as this user.

        Raise ``SpawnError`` if util-linux is not installed.
        """
        words = [util_linux("setpriv", "credentials")]
        if self.uid is not None:
            words += ["--reuid", str(self.uid)]
        if self.gid is not None:
            words += ["--regid", str(self.gid)]
        if self.groups is None:
            words += ["--keep-groups"]
        elif self.groups:
            words += ["--groups", ",".join(map(str, self.groups))]
        else:
            words += ["--clear-groups"]
        return [*words, "--"]


def identity(user: int | str | None, group: int | str | None) -> Identity | None:
    """Look up a user and a group, each a name, a number or None; with a user alone, the group is the user's own.

    Return None if circusd is that user already. Raise ``SpawnError`` if there is no such user or group, or circusd may
    not become it. Nothing is remembered, so that a change of the user database is seen at the next spawn.
    """
    if user is None and group is None:
        return None
    # First of all: it needs a descriptor, and a lookup without one would say that there is no such user.
    privileged = has_capability(_CAP_SETUID) and has_capability(_CAP_SETGID)
    gid = None if group is None else _group(group)
    if user is None:
        wanted = Identity(None, gid, None)
    else:
        uid, name, own_gid = _user(user)
        if gid is None:
            gid = own_gid
        if gid is None:
            raise SpawnError("credentials", f"uid {uid} is in no user database, so it has no group; set gid too")
        groups = os.getgrouplist(name, gid) if name else [gid]
        wanted = Identity(uid, gid, tuple(sorted(set(groups))))
    if _is_own(wanted):
        return None
    if not privileged:
        raise SpawnError(
            "credentials",
            f"circusd runs as uid {os.geteuid()} and may not become {wanted}; "
            "start circusd as root, or remove uid and gid",
        )
    return wanted


def _is_own(wanted: Identity) -> bool:
    """Whether nothing changes. Groups that an unprivileged circusd lacks are not a reason to refuse its own user."""
    own_user = wanted.uid is None or wanted.uid == os.getuid() == os.geteuid()
    own_group = wanted.gid is None or wanted.gid == os.getgid() == os.getegid()
    if not (own_user and own_group):
        return False
    return wanted.groups is None or os.geteuid() != 0 or set(wanted.groups) == set(os.getgroups())


def _user(user: int | str) -> tuple[int, str, int | None]:
    try:
        entry = pwd.getpwnam(user) if isinstance(user, str) and not user.isdigit() else pwd.getpwuid(int(user))
    except (KeyError, OverflowError):
        if (isinstance(user, int) or user.isdigit()) and 0 <= int(user) <= _MAX_ID:
            return int(user), "", None
        raise SpawnError("credentials", f"there is no user {user!r} on this system; correct the option uid") from None
    return entry.pw_uid, entry.pw_name, entry.pw_gid


def _group(group: int | str) -> int:
    try:
        if isinstance(group, str) and not group.isdigit():
            return grp.getgrnam(group).gr_gid
        if 0 <= int(group) <= _MAX_ID:
            return int(group)
        raise KeyError(group)
    except KeyError:
        raise SpawnError("credentials", f"there is no group {group!r} on this system; correct the option gid") from None
