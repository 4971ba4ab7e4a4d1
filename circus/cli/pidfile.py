"""The file that says which process circusd is."""

from __future__ import annotations

import errno
import os
import time

from circus.endpoints.lockfile import Held, LockFile, parse_pid
from circus.exc import CircusError

# A daemon writes its file after it has started. What started later by more than this many seconds, which a clock that
# is being set may account for, has been given the PID of a daemon that is gone.
_CLOCK_SLACK = 5.0


class Pidfile:
    """The pid file of a daemon: ``PID\\n``, mode 644, locked for life, so that one left behind is known for what it
    is.
    """

    def __init__(self, path: str) -> None:
        """Prepare for the file ``path``; a relative one is taken from the current folder now."""
        self.path = path
        self._file = LockFile(path, 0o644, self._check)

    def create(self) -> None:
        """Write the PID of this process.

        Raise :class:`~circus.exc.CircusError` when the file names a process that lives, cannot be written, or is
        something else.
        """
        try:
            self._file.acquire()
        except Held as held:
            raise self._taken(held.pid) from None
        except OSError as exc:
            raise CircusError(f"cannot write pid file '{self.path}': {self._describe(exc)}") from None

    def remove(self) -> None:
        """Remove the file if it is still this process' own."""
        self._file.release()

    def _check(self, descriptor: int, content: bytes) -> None:
        if not content.strip(b" \t\r\n\0"):
            return  # what a machine that lost power leaves
        pid = parse_pid(content)
        if pid is None:
            raise CircusError(
                f"pid file '{self.path}' does not hold a process id, so it may be something else and is left alone; "
                "remove it, or name another file"
            )
        # A daemon that does not lock its file is to be respected too.
        if pid != os.getpid() and _may_have_written(pid, os.fstat(descriptor).st_mtime):
            raise self._taken(pid)

    def _taken(self, pid: int | None) -> CircusError:
        if pid is None:
            return CircusError(f"pid file '{self.path}' is locked by another process; stop it, or name another file")
        return CircusError(
            f"pid file '{self.path}' is stale, current pid {pid}: that process is running; "
            "stop it, or name another file with --pidfile"
        )

    def _describe(self, exc: OSError) -> str:
        folder = os.path.dirname(self._file.path)
        if exc.errno == errno.ENOENT:
            return f"the folder {folder} does not exist; create it, or name another file"
        if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"{exc.strerror}; make {folder} writable for this user, or name another file"
        if exc.errno == errno.ELOOP:
            return "it is a symbolic link, which somebody else may have put there; name the real file"
        if exc.errno in (errno.EISDIR, errno.ENOTDIR):
            return f"{exc.strerror}; name a file"
        return f"{exc.strerror}; name another file"


def _may_have_written(pid: int, written_at: float) -> bool:
    """Say whether the process ``pid`` lives, and did so when the file was written."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # it lives, and belongs to somebody else
    except (ProcessLookupError, OverflowError):
        return False
    state, started_at = _state_and_start(pid)
    return state != "Z" and (started_at is None or started_at <= written_at + _CLOCK_SLACK)


def _state_and_start(pid: int) -> tuple[str, float | None]:
    """Return a process' state and when it started, in seconds since the epoch; ``("", None)`` where that cannot be
    told.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            fields = file.read().rpartition(")")[2].split()
        booted_at = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return fields[0], booted_at + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return "", None
