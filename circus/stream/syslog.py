"""The system's log, or that of another machine: each line is a message in the format of RFC 3164."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Final

from circus import kinds
from circus.stream.base import Source, Stream, lines_of
from circus.stream.datagrams import Datagrams, require_listener
from circus.stream.registration import FACILITIES

_LOCAL_LIMIT: Final = 8192  # what rsyslog takes by default
_REMOTE_LIMIT: Final = 2048  # what RFC 5426 asks every receiver to take
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_NOT_IN_A_TAG: Final = re.compile(r"[^\x21-\x7e]|[\[\]:]")
_RETRY: Final = 30.0
"""Seconds until the name of a host that could not be found is looked up again."""


class SyslogStream(Stream):
    """Send each line to syslog, with the process id.

    Lines of stdout have the severity ``info``, those of stderr ``err``. A line that is longer than a message may be
    (8 KiB, over the network 2 KiB) goes in several. What syslog does not take at once is held back, up to 1 MiB; then
    lines are dropped, which is counted and published as ``log_dropped``. A network loses messages without a sign.
    """

    def __init__(self, address: str = "/dev/log", facility: str = "daemon", ident: str = "") -> None:
        """``address`` is a file, or ``HOST:PORT`` for UDP; ``ident`` stands before each line, by default the watcher.

        Raise ``ValueError`` for another address or an unknown facility.
        """
        self._address = kinds.log_address(address or "/dev/log")
        self._facility = FACILITIES.index(kinds.keyword(facility or "daemon", *FACILITIES))
        self._ident = ident
        self._datagrams = Datagrams()
        self._is_open = False
        self._error: OSError | None = None
        self._retry_at = 0.0

    @property
    def _is_local(self) -> bool:
        return self._address.startswith("/")

    def open(self) -> None:
        """Find the host in the background, or see whether somebody listens at the socket."""
        if self._is_open:
            return
        if not self._is_local:
            self._is_open = True
            self._look_up()
            return
        require_listener(self._address, "syslog")
        self._datagrams.open(socket.AF_UNIX, self._address)
        self._is_open = True

    def write(self, source: Source, data: bytes | memoryview) -> None:
        """Send each line, or hold it back."""
        self._require_address()
        head = self._head(source)
        limit = (_LOCAL_LIMIT if self._is_local else _REMOTE_LIMIT) - len(head)
        dropped = bytearray()
        for line in lines_of(data):
            for piece in _pieces(line, limit):
                if not self._datagrams.send(head + piece, source, slice(len(head), None)):
                    dropped += piece
                    dropped += b"\n"
        if dropped:
            self.lose(source, bytes(dropped), self._datagrams.reason)

    def flush(self) -> float:
        """Send what is held back."""
        return self._datagrams.flush() if self._error is None else 0.0

    def close(self) -> None:
        """Let go of the socket."""
        self._is_open = False
        self._datagrams.close(self)

    def _head(self, source: Source) -> bytes:
        now = time.localtime()
        when = f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        host = "" if self._is_local else f" {os.uname().nodename.partition('.')[0]}"
        tag = _NOT_IN_A_TAG.sub("_", self._ident or source.watcher)
        severity = 3 if source.name == "stderr" else 6
        return f"<{self._facility * 8 + severity}>{when}{host} {tag}[{source.pid}]: ".encode()

    def _look_up(self) -> None:
        """Find the host in a thread: a name server may take its time."""
        host, _, port = self._address.rpartition(":")
        self._error = None
        threading.Thread(target=self._found, args=(host.strip("[]"), int(port)), daemon=True).start()

    def _found(self, host: str, port: int) -> None:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            if self._is_open:  # it may have been closed meanwhile
                self._datagrams.open(family, address)
        except OSError as error:
            self._retry_at = time.monotonic() + _RETRY
            self._error = OSError(error.errno, f"the host of syslog is not found: {error.strerror}", self._address)

    def _require_address(self) -> None:
        if self._error is not None and time.monotonic() >= self._retry_at:
            self._look_up()
        if self._error is not None:
            raise self._error


def _pieces(line: bytes, limit: int) -> Iterator[bytes]:
    """Cut a line into pieces that are short enough, none of them in the middle of a character."""
    while len(line) > limit:
        end = limit
        while end > limit - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        yield line[:end]
        line = line[end:]
    yield line
