"""A file that names the process that holds it: ``PID\\n``, locked for as long as that process lives.

The lock goes with its process however that ends, so that a file left behind by a dead one never stands in the way,
whoever has its PID today.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable

_READ_LIMIT = 4096
# How often, and after how many seconds, to look again at a locked file that names no living process. That of a holder
# in another PID namespace stays like this.
_LOOKS = 100
_MOMENT = 0.001


class Held(Exception):
    """The file is locked by a living process; ``pid`` is the PID it wrote there, or None if there is none to read."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"held by pid {pid}")
        self.pid = pid


def parse_pid(content: bytes) -> int | None:
    """Return the PID that ``content`` states, or None if it states none."""
    text = content.strip()
    return int(text) if text.isdigit() and len(text) <= 10 and int(text) > 0 else None


class LockFile:
    """One lock file. ``acquire`` takes it, ``release`` removes it; the process that took it holds it until then.

    The file appears with its content and already locked, under its name in one step: nobody reads an empty one, and
    of two processes that start at once one wins.
    """

    def __init__(self, path: str, mode: int, check: Callable[[int, bytes], None] | None = None) -> None:
        """Prepare for the file ``path`` with the permissions ``mode``.

        ``check`` is called with the descriptor and content of a file that exists and is not locked; it raises when
        that file must not be replaced.
        """
        self.path = os.path.abspath(path)
        self._mode = mode
        self._check = check
        self._descriptor = -1
        self._owner = 0
        self._patience = _LOOKS

    def acquire(self) -> None:
        """Create or replace the file, and lock it. Raise :class:`Held`, ``OSError``, or what ``check`` raises."""
        folder, name = os.path.split(self.path)
        temporary = os.path.join(folder, f".{name}.{os.getpid()}")
        descriptor = self._write(temporary)
        try:
            while not self._place(temporary):
                pass
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            _unlink(temporary)
        self._descriptor = descriptor
        self._owner = os.getpid()

    @property
    def held(self) -> bool:
        """Whether this process has taken the file, and not released it."""
        return self._descriptor >= 0 and self._owner == os.getpid()

    def release(self) -> None:
        """Remove the file if it is still the one that this process took. Calling it again, or in a forked child, does
        nothing.
        """
        if not self.held:
            return
        if _is_at(self._descriptor, self.path):
            _unlink(self.path)
        os.close(self._descriptor)
        self._descriptor = -1

    def _write(self, temporary: str) -> int:
        # Left by a process that was killed here and had this PID, as PID 1 in a container has every time.
        _unlink(temporary)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            os.fchmod(descriptor, self._mode)
        except BaseException:
            os.close(descriptor)
            _unlink(temporary)
            raise
        return descriptor

    def _place(self, temporary: str) -> bool:
        """Give the temporary file its name; False if somebody else changed what stands there, and it must be looked
        at again.
        """
        try:
            os.link(temporary, self.path)
            return True
        except FileExistsError:
            pass
        try:
            present = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        try:
            return self._replace(present, temporary)
        finally:
            os.close(present)

    def _replace(self, present: int, temporary: str) -> bool:
        try:
            fcntl.flock(present, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = parse_pid(os.pread(present, _READ_LIMIT, 0))
            if self._patience and not (_is_at(present, self.path) and _is_alive(pid)):
                # Another one is just about to replace what a dead process left: it is the one to be told of.
                self._patience -= 1
                time.sleep(_MOMENT)
                return False
            raise Held(pid) from None
        # Only who holds the lock of the file that stands there may replace or remove it.
        if not _is_at(present, self.path):
            return False
        if self._check is not None:
            self._check(present, os.pread(present, _READ_LIMIT, 0))
        os.rename(temporary, self.path)
        return True


def _is_at(descriptor: int, path: str) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor), found)


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
