"""The journal of systemd, by its native protocol: each line is an entry that says whose it is."""

from __future__ import annotations

import socket
from typing import Final

from circus.stream.base import Source, Stream, lines_of
from circus.stream.datagrams import Datagrams, require_listener

ADDRESS: Final = "/run/systemd/journal/socket"


class JournaldStream(Stream):
    """Send each line to journald, with ``CIRCUS_WATCHER`` and ``CIRCUS_WID``, as in ``journalctl CIRCUS_WATCHER=web``.

    Lines of stdout have the priority ``info``, those of stderr ``err``. What journald does not take at once is held
    back, up to 1 MiB; then lines are dropped, which is counted and published as ``log_dropped``.
    """

    def __init__(self, ident: str = "", address: str = ADDRESS) -> None:
        """``ident`` is what journalctl shows before each line, by default the watcher's name."""
        self._ident = ident
        self._address = address or ADDRESS
        self._is_open = False
        self._datagrams = Datagrams(by_file=True)

    def open(self) -> None:
        """See whether journald listens."""
        if self._is_open:
            return
        require_listener(self._address, "journald")
        self._datagrams.open(socket.AF_UNIX, self._address)
        self._is_open = True

    def write(self, source: Source, data: bytes | memoryview) -> None:
        """Send each line, or hold it back."""
        about = _about(source, self._ident or source.watcher)
        dropped = bytearray()
        for line in lines_of(data):
            message = b"MESSAGE=" + line
            if not self._datagrams.send(b"%b\n%b" % (message, about), source, slice(8, len(message))):
                dropped += line + b"\n"
        if dropped:
            self.lose(source, bytes(dropped), self._datagrams.reason)

    def flush(self) -> float:
        """Send what is held back."""
        return self._datagrams.flush()

    def close(self) -> None:
        """Let go of the socket."""
        self._is_open = False
        self._datagrams.close(self)


def _about(source: Source, ident: str) -> bytes:
    fields = {
        "PRIORITY": 3 if source.name == "stderr" else 6,
        "SYSLOG_IDENTIFIER": ident,
        "SYSLOG_PID": source.pid,
        "OBJECT_PID": source.pid,
        "CIRCUS_WATCHER": source.watcher,
        "CIRCUS_WID": source.wid,
    }
    text = "".join(f"{name}={value}\n" for name, value in fields.items())
    return text.encode("utf-8", "surrogateescape")
