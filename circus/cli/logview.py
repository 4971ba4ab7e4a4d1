"""How output is shown: bytes as they are from one process, and whole lines that say whose they are from several."""

from __future__ import annotations

import json

from circus.cli.escapes import RESET, Harmless
from circus.cli.joining import Dead, Delivery, End, Piece, Process, Skipped

_LONGEST = 64 << 10
"""Bytes of a line that are held until its end comes."""
_PALETTE = (b"36", b"32", b"33", b"35", b"34", b"96", b"92", b"93", b"95", b"94")
_RED = b"31"

Stream = tuple[Process, str]


class View:
    """Turns deliveries into what is written.

    On a ``terminal`` a program can do no more than use colours; ``coloured`` adds our own. Lines that stand for
    themselves are JSON with ``as_json``.
    """

    def __init__(self, *, terminal: bool = False, coloured: bool = False, as_json: bool = False) -> None:
        self.terminal = terminal
        self.coloured = coloured
        self._as_json = as_json
        self._labels: set[str] = set()
        self._watchers: list[str] = []
        self._begun: dict[Stream, bytes] = {}
        self._filters: dict[Stream, Harmless] = {}
        self._at: Stream | None = None
        """Whose line the cursor is in."""
        self._tinted = False
        """Whether that may be left in a colour of the program's."""

    def expect(self, process: Process) -> bytes:
        """Take note of a process that may write; return what is to be written if there are several now."""
        if process.label not in self._labels:
            self._labels.add(process.label)
            if process.watcher not in self._watchers:
                self._watchers.append(process.watcher)
        return self.new_line() if len(self._labels) == 2 else b""

    def show(self, delivery: Delivery) -> bytes:
        """Return what is to be written for a delivery."""
        before = self.expect(delivery.process)
        match delivery:
            case Piece(process, stream, data):
                return before + (self._lines if self._in_lines else self._raw)((process, stream), data)
            case Skipped(process) | Dead(process):
                streams = [stream for stream in self._begun if stream[0] == process]
                return before + b"".join(map(self._rest, streams)) + self.new_line()
            case End(process, stream):
                return before + self._rest((process, stream))

    def new_line(self) -> bytes:
        """Return what ends the line that the cursor is in."""
        if self._at is None:
            return b""
        text = self._filters.pop(self._at).end() if self._at in self._filters else b""
        text += RESET if self._tinted else b""
        self._at, self._tinted = None, False
        return text + b"\n"

    def close(self) -> bytes:
        """Return what is held back; a terminal's cursor is then at the beginning of a line."""
        return b"".join(map(self._rest, list(self._begun))) + (self.new_line() if self.terminal else b"")

    @property
    def _in_lines(self) -> bool:
        return self._as_json or len(self._labels) > 1

    def _raw(self, at: Stream, data: bytes) -> bytes:
        """Return bytes as they are, or what a terminal may have of them."""
        before = self.new_line() if self._at is not None and self._at[0] != at[0] else b""
        self._at = None if data.endswith(b"\n") else at
        if not self.terminal:
            return before + data
        harmless = self._filters.setdefault(at, Harmless(returns=True))
        text = harmless.feed(data)
        self._tinted = self._tinted or harmless.coloured
        if self.coloured and at[1] == "stderr" and not harmless.coloured:
            text = _painted(text, _RED)
        return before + text

    def _lines(self, at: Stream, data: bytes) -> bytes:
        """Return the lines that are complete with these bytes."""
        data = self._begun.pop(at, b"") + data
        *lines, rest = data.split(b"\n")
        if len(rest) >= _LONGEST:
            lines, rest = [*lines, rest], b""
        if rest:
            self._begun[at] = rest
        return b"".join(self._line(at, line) for line in lines)

    def _rest(self, at: Stream) -> bytes:
        """Return the beginning of a line whose end does not come."""
        rest = self._begun.pop(at, b"")
        return self._line(at, rest) if rest else b""

    def _line(self, at: Stream, line: bytes) -> bytes:
        process, stream = at
        if self._as_json:
            whose = {"watcher": process.watcher, "wid": process.wid, "pid": process.pid, "stream": stream}
            return json.dumps({**whose, "text": line.decode("utf-8", "surrogateescape")}).encode() + b"\n"
        if not self.terminal:
            return self._prefix(at) + line + b"\n"
        harmless = Harmless(returns=False)
        text = harmless.feed(line.removesuffix(b"\r")) + harmless.end()
        return self._prefix(at) + text + (RESET if harmless.coloured else b"") + b"\n"

    def _prefix(self, at: Stream) -> bytes:
        """Return ``web.1 | ``, or ``web.1 ! `` for what came from stderr."""
        process, stream = at
        width = max(map(len, self._labels)) if self.terminal else 0
        label, mark = process.label.ljust(width).encode("utf-8", "replace"), b"!" if stream == "stderr" else b"|"
        if not self.coloured:
            return b"%b %b " % (label, mark)
        own = _PALETTE[self._watchers.index(process.watcher) % len(_PALETTE)]
        if len(self._watchers) == 1:
            return b"%b %b " % (label, _painted(mark, _RED) if stream == "stderr" else mark)
        return b"%b %b " % (_painted(label, own), _painted(mark, _RED if stream == "stderr" else own))


def _painted(text: bytes, colour: bytes) -> bytes:
    """Return text in a colour, line by line, since what follows a newline may be of another."""
    painted = [b"\x1b[%bm%b%b" % (colour, part, RESET) if part else b"" for part in text.split(b"\n")]
    return b"\n".join(painted)


def skipped_text(skipped: Skipped) -> str:
    """Say that bytes are missing."""
    size, label = skipped.size, skipped.process.label
    return f"({size:,} bytes of {label} were skipped)" if size != 1 else f"(1 byte of {label} was skipped)"
