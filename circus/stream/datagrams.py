"""Messages to a log service on a datagram socket, which is never waited for."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
from collections import deque
from typing import Any, Final, NamedTuple

from circus.stream.base import HELD_BACK, Patience, Source, Stream

_LATER: Final = frozenset(
    {
        errno.EAGAIN,  # its queue is full
        errno.ENOBUFS,
        errno.ENOENT,  # it is restarting
        errno.ECONNREFUSED,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
    }
)


def require_listener(path: str, service: str) -> None:
    """Raise ``OSError`` if nobody listens at a socket's path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as tried:
        try:
            tried.connect(path)
        except OSError as error:
            raise OSError(error.errno, f"there is no {service}: {error.strerror}", path) from None


class _Held(NamedTuple):
    """A datagram that waits, whose it is, and where in it stands what was written."""

    datagram: bytes
    source: Source
    line: slice


class Datagrams:
    """Sends datagrams in order to one address, which may be told later. What is not taken at once is held back."""

    def __init__(self, *, by_file: bool = False) -> None:
        """With ``by_file`` one that is too long goes as a sealed file in memory, as journald has it."""
        self._by_file = by_file
        self._socket: socket.socket | None = None
        self._address: Any = None
        self._held: deque[_Held] = deque()
        self._bytes = 0
        self._patience = Patience()
        self.reason = "the log service is slow"
        """Why the last one was not taken at once."""

    def open(self, family: socket.AddressFamily, address: Any) -> None:
        """Say where they go. The address is looked up for each of them, so that a service may be restarted."""
        new = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._hang_up()
        self._address = address
        self._socket = new

    def send(self, datagram: bytes, source: Source, line: slice) -> bool:
        """Send a datagram, or hold it back; return False if it is dropped. Raise ``OSError`` if it cannot be sent.

        ``line`` is where in it stands what ``source`` has written.
        """
        self._push()
        if not self._held and self._transmitted(datagram):
            return True
        if self._bytes + len(datagram) > HELD_BACK:
            return False
        self._held.append(_Held(datagram, source, line))
        self._bytes += len(datagram)
        return True

    def flush(self) -> float:
        """Send what is held back as far as it is taken. Return the seconds until that is tried again, 0 if never."""
        sent = self._push()
        return self._patience.after(sent, len(self._held))

    def close(self, stream: Stream) -> None:
        """Send what is held back as far as it is taken; ``stream`` loses the rest."""
        self._push()
        for held in self._held:
            stream.lose(held.source, held.datagram[held.line] + b"\n", self.reason)
        self._held.clear()
        self._bytes = 0
        self._hang_up()

    def _push(self) -> int:
        """Send what is held back as far as it is taken, and return how many datagrams that were."""
        count = len(self._held)
        while self._held:
            try:
                if not self._transmitted(self._held[0].datagram):
                    break
            except OSError:
                pass  # one that cannot be sent must not hold back the others
            self._bytes -= len(self._held.popleft().datagram)
        return count - len(self._held)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _transmitted(self, datagram: bytes) -> bool:
        if self._socket is None:
            self.reason = "the address of the log service is being looked up"
            return False
        try:
            self._socket.sendto(datagram, self._address)
        except OSError as error:
            if error.errno == errno.EMSGSIZE and self._by_file:
                return self._transmitted_as_file(self._socket, datagram)
            return self._not_now(error)
        return True

    def _transmitted_as_file(self, sender: socket.socket, datagram: bytes) -> bool:
        descriptor = os.memfd_create("circus-log", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            os.write(descriptor, datagram)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
            sender.sendmsg([], ancillary, 0, self._address)
        except OSError as error:
            return self._not_now(error)
        finally:
            os.close(descriptor)
        return True

    def _not_now(self, error: OSError) -> bool:
        if error.errno not in _LATER:
            raise error
        slow = error.errno in (errno.EAGAIN, errno.ENOBUFS)
        self.reason = "the log service is slow" if slow else f"the log service is gone: {error.strerror}"
        return False
