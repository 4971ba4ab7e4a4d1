"""Output as JSON, one object a line: what collectors of logs read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring

from circus.stream.base import Failure, Loss, Source, Stream
from circus.stream.console import StdoutStream
from circus.stream.files import FileStream


class JSONStream(Stream):
    """Write an object for each line: ``time`` (ISO 8601, UTC), ``watcher``, ``wid``, ``pid``, ``stream``, ``line``.

    They go to circusd's standard output, or to a file, which is rotated as that of ``FileStream``. What is no UTF-8 in
    a line becomes the replacement character.
    """

    def __init__(
        self,
        filename: str = "",
        max_bytes: int | str = 0,
        backup_count: int | str = 0,
        owner: str = "",
        mode: int | str | None = None,
    ) -> None:
        self._target: Stream = StdoutStream()
        if filename:
            self._target = FileStream(filename, max_bytes=max_bytes, backup_count=backup_count, owner=owner, mode=mode)

    def open(self) -> None:
        """Open the file, if it is one."""
        self._target.open()

    def write(self, source: Source, data: bytes | memoryview) -> None:
        """Write an object for each line."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        about = {
            "time": now,
            "watcher": source.watcher,
            "wid": source.wid,
            "pid": source.pid,
            "stream": source.name,
        }
        head = json.dumps(about, ensure_ascii=False)[:-1] + ', "line": '
        # All of it at once: what is broken at the end of a line ends there, as a newline is part of no character.
        lines = bytes(data).removesuffix(b"\n").decode("utf-8", "replace").split("\n")
        text = head + f"}}\n{head}".join(map(encode_basestring, lines)) + "}\n"
        self._target.write(source, text.encode("utf-8", "replace"))

    def flush(self) -> bool | float:
        """Pass on what is held back."""
        return self._target.flush()

    def reopen(self) -> None:
        """Open the file anew, if it is one."""
        self._target.reopen()

    def close(self) -> None:
        """Let go of the file, if it is one."""
        self._target.close()

    def take_losses(self) -> Mapping[Source, Loss]:
        """Return what the file or standard output did not take, as objects."""
        return self._target.take_losses()

    def take_failures(self) -> Mapping[Source, Failure]:
        """Return what went wrong with the file."""
        return self._target.take_failures()
