"""What a program's output may do to a terminal: colours, and nothing else."""

from __future__ import annotations

import re

# What is left of a sequence at the end of a piece, and of a character of several bytes, waits for the next piece.
_OPEN = re.compile(
    rb"(?:\r|\x1b(?:\[[0-9;:]{0,32})?|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)
_COLOUR = re.compile("(\x1b\\[[0-9;:]{0,32}m)")
# C0 but tab and newline, DEL, C1, and what stands for bytes that are no UTF-8.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udcff]")

RESET = b"\x1b[0m"


class Harmless:
    """Makes the output of one stream harmless, piece by piece. Carriage returns stay with ``returns``."""

    def __init__(self, *, returns: bool) -> None:
        self.coloured = False
        """Whether the program has used a colour."""
        self._returns = returns
        self._open = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be written of ``data`` and what was left before."""
        data = self._open + data
        match = _OPEN.search(data)
        self._open = match.group() if match else b""
        return self._clean(data[: len(data) - len(self._open)])

    def end(self) -> bytes:
        """Return what is left."""
        data, self._open = self._open, b""
        return self._clean(data)

    def _clean(self, data: bytes) -> bytes:
        parts = _COLOUR.split(data.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape"))
        self.coloured = self.coloured or len(parts) > 1
        parts[::2] = [_CONTROL.sub(self._shown, part) for part in parts[::2]]
        return "".join(parts).encode()

    def _shown(self, match: re.Match[str]) -> str:
        """A control character as people write it: ``^[`` or ``\\x9b``."""
        number = ord(match.group())
        if number == ord("\r") and self._returns:
            return "\r"
        if number >= 0xDC80:
            return f"\\x{number - 0xDC00:02x}"
        return f"\\x{number:02x}" if number >= 0x80 else f"^{chr(number ^ 0x40)}"
