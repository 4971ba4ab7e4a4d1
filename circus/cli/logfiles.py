"""Where circusd's log goes besides standard error: files and syslog."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from logging.handlers import SysLogHandler

from circus.cli.logs import LossCounter
from circus.exc import CircusError

_SYSLOG_FORMS = "write syslog://HOST:PORT?FACILITY or syslog:///PATH?FACILITY, such as syslog:///dev/log?daemon"
_SYSLOG_PORT = 514


class LogFile(LossCounter):
    """Appends lines to a file, and opens it again when it has been moved or removed, as log rotation does."""

    def __init__(self, path: str) -> None:
        """Open the file ``path``. Raise ``OSError`` if that fails."""
        self.path = os.path.abspath(path)
        self._descriptor = self._open()
        super().__init__()  # last: logging closes what it has registered

    def deliver(self, record: logging.LogRecord, line: str) -> None:
        """Append one line."""
        self._follow()
        data = line.encode(errors="backslashreplace") + b"\n"
        written = os.write(self._descriptor, data)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()

    def _follow(self) -> None:
        try:
            moved = not os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            moved = True
        if moved:
            fresh = self._open()
            os.close(self._descriptor)
            self._descriptor = fresh

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        # Where others may create files, one of them may have laid a link to a file that only this user can write.
        if os.stat(os.path.dirname(self.path)).st_mode & stat.S_IWOTH:
            flags |= os.O_NOFOLLOW
        return os.open(self.path, flags, 0o666)


class Syslog(LossCounter):
    """Sends lines to a syslog server as datagrams, and never waits for it."""

    def __init__(self, address: str | tuple[str, int], facility: str) -> None:
        """Send to the socket at a path, or to an address given in numbers.

        Raise ``OSError`` if there is no such socket, and ``KeyError`` for an unknown facility.
        """
        self._facility = SysLogHandler.facility_names[facility]
        self._address = address
        self._socket = self._connect()
        super().__init__()

    def deliver(self, record: logging.LogRecord, line: str) -> None:
        """Send one line."""
        priority = SysLogHandler.priority_map.get(record.levelname, "warning")
        code = self._facility << 3 | SysLogHandler.priority_names[priority]
        data = f"<{code}>{line}\0".encode(errors="backslashreplace")
        try:
            self._socket.send(data)
        except BlockingIOError:
            raise
        except OSError:  # the server was started again
            fresh = self._connect()
            self._socket.close()
            self._socket = fresh
            self._socket.send(data)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()

    def _connect(self) -> socket.socket:
        if isinstance(self._address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            connection.connect(self._address)
        except BaseException:
            connection.close()
            raise
        return connection


def open_file(path: str) -> LogFile:
    """Return a handler for the log file ``path``. Raise :class:`~circus.exc.CircusError` if it cannot be written."""
    try:
        return LogFile(path)
    except OSError as exc:
        folder = os.path.dirname(os.path.abspath(path))
        reason = exc.strerror
        if exc.errno == errno.ENOENT:
            reason = f"the folder {folder} does not exist; create it, or name another file"
        elif exc.errno == errno.ELOOP:
            reason = f"it is a symbolic link in {folder}, where anybody may have put it; name the real file"
        raise CircusError(f"cannot write log file '{path}': {reason}") from None


def open_syslog(url: str) -> Syslog:
    """Return a handler for a syslog URL. Raise :class:`~circus.exc.CircusError` if it is malformed or nobody is
    there.
    """
    rest = url.removeprefix("syslog:")
    place, _, facility = rest.removeprefix("//").partition("?")
    facility = facility.lower() or "user"
    if not rest.startswith("//") or not place:
        raise CircusError(f"log output '{url}': {_SYSLOG_FORMS}")
    if facility not in SysLogHandler.facility_names:
        raise CircusError(
            f"log output '{url}': no facility '{facility}'; write one of {', '.join(SysLogHandler.facility_names)}"
        )
    try:
        return Syslog(place if place.startswith("/") else _resolve(url, place), facility)
    except OSError as exc:
        raise CircusError(f"log output '{url}': {exc.strerror}; {_SYSLOG_FORMS}") from None


def _resolve(url: str, place: str) -> tuple[str, int]:
    """Return the address in numbers, so that no line waits for a name server."""
    host, _, port = place.rpartition(":") if place.count(":") == 1 or "]:" in place else (place, "", "")
    if port and not (port.isdigit() and int(port) < 65536):
        raise CircusError(f"log output '{url}': '{port}' is not a port; {_SYSLOG_FORMS}")
    found = socket.getaddrinfo(host.strip("[]"), int(port or _SYSLOG_PORT), type=socket.SOCK_DGRAM)
    address = found[0][4]
    return str(address[0]), int(address[1])
