"""Unix sockets and their files: who has one, what its mode is, and whose it is to remove."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import stat
from typing import TYPE_CHECKING

from circus.config.sockets import no_folder, too_long
from circus.listeners import holders
from circus.listeners.binding import closing_on_error, make, refusal

if TYPE_CHECKING:
    from circus.config.schema import SocketSettings


class SocketFile:
    """The file of a Unix socket that this process has bound."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        found = os.lstat(self.path)
        self._identity = (found.st_dev, found.st_ino)
        self._aside = ""

    def is_at(self, path: str) -> bool:
        """Whether the file stands at a path. Another one may have taken its place."""
        try:
            found = os.lstat(path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity and stat.S_ISSOCK(found.st_mode)

    def set_mask(self, mask: int | None) -> None:
        """Give it the mode that ``mask`` leaves; None stands for the mask of this process.

        Nothing happens to a file that took its place. Raise ``OSError`` if the mode cannot be changed.
        """
        wanted = 0o777 & ~(_process_mask() if mask is None else mask)
        # The file itself, and not what a link says that somebody puts there meanwhile.
        descriptor = os.open(self.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if (found.st_dev, found.st_ino) == self._identity and stat.S_IMODE(found.st_mode) != wanted:
                os.chmod(f"/proc/self/fd/{descriptor}", wanted)
        finally:
            os.close(descriptor)

    def put_aside(self) -> None:
        """Clear its place for another socket; who has connected stays connected. Raise ``OSError`` if that fails."""
        aside = f"{self.path}.{secrets.token_hex(4)}"
        os.rename(self.path, aside)
        self._aside = aside

    def put_back(self) -> None:
        """Let it stand where it was, whatever stands there now. Nothing happens if it was not put aside."""
        if self._aside:
            os.rename(self._aside, self.path)
            self._aside = ""

    def remove(self) -> None:
        """Remove the file, unless another one stands in its place."""
        path = self._aside or self.path
        try:
            if self.is_at(path):
                os.unlink(path)
        except OSError:  # gone already, or the folder is not this user's any more
            pass


def bind_file(settings: SocketSettings, path: str) -> tuple[socket.socket, SocketFile]:
    """Return a socket that is bound to a file, and the file.

    With ``replace`` a file that a dead process left behind makes way. Raise :class:`~circus.exc.CircusError` if the
    place cannot be had.
    """
    stale = check_place(settings, path)
    made = make(settings)
    with closing_on_error(made):
        if stale:
            _remove_stale(settings, path)
        if settings.umask is not None:
            # It is never open to more than it shall be, and the mask of this process, which is that of all its
            # threads, stays as it is.
            os.fchmod(made.fileno(), 0o777 & ~settings.umask)
        try:
            made.bind(path)
            file = SocketFile(path)
        except OSError as error:
            raise refusal(settings, "path", _bind_text(path, error)) from None
        if settings.umask is not None:
            try:
                file.set_mask(settings.umask)
            except OSError as error:
                file.remove()
                raise refusal(settings, "umask", f"{path} cannot be given its mode: {error.strerror}") from None
    return made, file


def check_place(settings: SocketSettings, path: str) -> bool:
    """Return whether a dead process has left a socket at a path that is to be removed.

    Raise :class:`~circus.exc.CircusError` if the place cannot be had.
    """
    if text := too_long(path) or no_folder(path):
        raise refusal(settings, "path", text)
    try:
        mode = os.lstat(path).st_mode
    except OSError:  # the bind says what is wrong, if anything is
        return False
    if stat.S_ISLNK(mode):
        raise refusal(settings, "path", f"{path} is a symbolic link; remove it, or name the file that it leads to")
    if not stat.S_ISSOCK(mode):
        raise refusal(settings, "path", f"{path} exists and is no socket; remove it, or name another path")
    used = _in_use(path)
    if used is None or used:
        who = holders.of_path(path)
        by = f" by {who}" if who else ""
        text = f"{path} is in use{by}; end that" if used else f"{path} exists and may be in use{by}; remove it"
        raise refusal(settings, "path", f"{text}, or name another path")
    if not settings.replace:
        raise refusal(
            settings,
            "path",
            f"{path} exists, left behind by a process that is gone; remove it, or set replace = True, so that circusd "
            "removes such a file by itself",
        )
    return True


def _remove_stale(settings: SocketSettings, path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        raise refusal(settings, "replace", f"{path} cannot be removed: {error.strerror}; remove it") from None


def _in_use(path: str) -> bool | None:
    """Whether a process has the socket at a path; None if that cannot be told. Who listens there does not notice."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError as error:
            # It is a socket of another type, or one that listens to somebody else alone.
            return True if error.errno in (errno.EPROTOTYPE, errno.EPERM) else None
    return True


def _bind_text(path: str, error: OSError) -> str:
    folder = os.path.dirname(os.path.abspath(path))
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"this user may not write in {folder}; let it, or name another path"
    if error.errno == errno.EADDRINUSE:
        return f"{path} has just been taken by somebody else; name another path"
    return f"{path} cannot be bound: {error.strerror}"


def _process_mask() -> int:
    """The mask of this process, read without changing it for a moment."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    return 0o022
