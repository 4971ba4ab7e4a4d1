"""Opening files for output: appended to, never through a link that somebody else has planted, owned as asked."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from typing import Final, NamedTuple

# A pipe without a reader, or a terminal, must not hold up who opens it or writes to it.
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class Owner(NamedTuple):
    """Whom new files are to belong to. -1 leaves it to the system."""

    uid: int = -1
    gid: int = -1


def find_owner(text: str) -> Owner:
    """Read ``user``, ``user:group`` or ``:group``, names or numbers. Raise ``ValueError`` for one that is not known.

    A user alone brings his primary group along.
    """
    user, colon, group = text.partition(":")
    uid = gid = -1
    if user:
        try:
            entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
            uid, gid = entry.pw_uid, entry.pw_gid
        except KeyError:
            if not user.isdigit():
                raise ValueError(f"there is no user {user!r}; write user or user:group") from None
            uid = int(user)
    if colon and group:
        try:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise ValueError(f"there is no group {group!r}; write user or user:group") from None
    return Owner(uid, gid)


def open_append(path: str, owner: Owner, mode: int | None = None) -> int:
    """Open a file for appending and return its descriptor. Raise ``OSError``.

    One that is not there is created, with this owner and mode (by default as the umask has it); what is there keeps
    its own, as somebody may have put it there for us to give it away. A link is followed only if it and its folder
    belong to root or to circusd's user.
    """
    try:
        return _create(path, owner, mode)
    except FileExistsError:
        pass
    try:
        return os.open(path, _FLAGS | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP or not os.path.islink(path):
            raise
    if not _is_ours(path):
        raise PermissionError(errno.EPERM, "a link that somebody else may have planted is not followed", path)
    try:
        return os.open(path, _FLAGS)
    except FileNotFoundError:
        return _create(os.path.realpath(path), owner, mode)


def _create(path: str, owner: Owner, mode: int | None) -> int:
    descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        if owner != Owner():
            os.fchown(descriptor, owner.uid, owner.gid)
    except OSError:
        os.close(descriptor)
        os.unlink(path)
        raise
    return descriptor


def _is_ours(link: str) -> bool:
    """Whether nobody but root and circusd's user can have made a link, and can change it."""
    trusted = {0, os.geteuid()}
    folder = os.stat(os.path.dirname(link) or ".")
    shared = folder.st_mode & 0o022 and not folder.st_mode & stat.S_ISVTX
    return os.lstat(link).st_uid in trusted and folder.st_uid in trusted and not shared
