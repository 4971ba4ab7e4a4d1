"""The plain text that several commands print for a reply. Scripts read it."""

from __future__ import annotations

import re
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.commands.base import Json

_INFO_KEYS = ("cmdline", "username", "nice", "mem_info1", "mem_info2", "cpu", "mem", "ctime")


def printable(text: str) -> str:
    """Return a line that a program has written without its colours, and with the rest of what is no text as escapes."""
    plain = re.sub("\x1b\\[[0-9;:]*m", "", text)
    return "".join(char if char.isprintable() or char == "\t" else _escaped(char) for char in plain)


def _escaped(char: str) -> str:
    number = ord(char)
    # Bytes that are no UTF-8 have travelled as surrogates.
    return f"\\x{number - 0xDC00 if 0xDC80 <= number <= 0xDCFF else number:02x}"


def option_lines(options: Json) -> str:
    """Return a ``key: value`` line for each option: null is empty, an environment is ``A=b,C=d``."""
    return "\n".join(f"{key}: {_shown(key, value)}" for key, value in options.items())


def _shown(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key == "env" and isinstance(value, dict):
        return ",".join(f"{name}={content}" for name, content in sorted(value.items()))
    return str(value)


def info_line(info: Any) -> str:
    """Return what ``stats`` prints of one process, or the text that stands for one that is gone."""
    if not isinstance(info, dict):
        return str(info)
    values = [str(info.get(key, "N/A")) for key in _INFO_KEYS]
    return f"{info.get('pid', 'N/A')}  {' '.join(values)}"


def process_lines(infos: Json) -> list[str]:
    """Return the lines of a watcher's processes: each with its children, indented, below it."""
    lines = []
    for pid, info in sorted(infos.items(), key=lambda item: (len(item[0]), item[0])):
        lines.append(f"{pid}: {info_line(info)}")
        children = info.get("children", ()) if isinstance(info, dict) else ()
        lines += [f"    {info_line(child)}" for child in children]
    return lines
