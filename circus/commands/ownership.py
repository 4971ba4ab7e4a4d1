"""What comes through an endpoint that belongs to a user must not become a way to another user's rights."""

from __future__ import annotations

import grp
import os
import pwd
from typing import TYPE_CHECKING, Any

from circus.exc import MessageError, NotPermitted

if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter

# circusd itself, with its own rights, runs the functions of hooks, opens the files of streams and sets limits.
_DONE_BY_CIRCUSD = ("hooks", "stdout_stream", "stderr_stream", "rlimit_")


class Ownership:
    """The rules of ``endpoint_owner``: that user adds and changes watchers that run as that user, and no others."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def check(self, arbiter: Arbiter, command: str, properties: dict[str, Any]) -> None:
        """Raise ``NotPermitted``, or for a foreign ``uid`` ``MessageError``, if the owner may not do it."""
        if command == "add":
            options = properties["options"] or {}
            if options.get("uid") != self.owner:
                raise MessageError("uid does not match endpoint_owner")
            self._check_options(options)
        elif command == "set":
            watcher = arbiter.get_watcher(properties["name"])
            if not self._is_owner(watcher.settings.uid):
                raise NotPermitted(f"{watcher.name} does not run as {self.owner}, who owns this endpoint")
            self._check_options(properties["options"])

    def _check_options(self, options: dict[str, Any]) -> None:
        for key, value in options.items():
            if key.startswith(_DONE_BY_CIRCUSD):
                raise NotPermitted(
                    f"{key!r} is not allowed on an endpoint with endpoint_owner: circusd does it with its own rights"
                )
            if key == "uid" and not self._is_owner(value):
                raise MessageError("uid does not match endpoint_owner")
            if key == "gid" and not self._is_own_group(value):
                raise NotPermitted(f"{self.owner}, who owns this endpoint, is not in the group {value!r}")

    def _is_owner(self, uid: Any) -> bool:
        if uid is None:
            return False
        if uid == self.owner:
            return True
        try:
            return int(uid) == pwd.getpwnam(self.owner).pw_uid
        except (KeyError, ValueError, TypeError):
            return False

    def _is_own_group(self, gid: Any) -> bool:
        if gid is None:
            return True
        try:
            number = int(gid) if str(gid).isdigit() else grp.getgrnam(str(gid)).gr_gid
            return number in os.getgrouplist(self.owner, pwd.getpwnam(self.owner).pw_gid)
        except KeyError:
            return False
