"""What is run: the words of a command line, and where its program and its folder are."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from circus.config.variables import Lookup, expand
from circus.exc import SpawnError

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings

SHELL: Final = "/bin/sh"
_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_FIRST_LINE: Final = 256
"""Bytes of a file that Linux looks at to tell what it is."""


def words(settings: WatcherSettings, lookup: Lookup) -> list[str]:
    """The words of the command line. Variables come before splitting, so that one can hold several words."""
    text = expand(settings.cmd, lookup)
    args = settings.args
    if settings.shell:
        tail = expand(args, lookup) if isinstance(args, str) else shlex.join(expand(arg, lookup) for arg in args)
        if not text.strip():
            raise SpawnError("exec", "cmd is empty; write what to run")
        extra = _split(expand(settings.shell_args, lookup), "shell_args") if settings.shell_args else ()
        return [SHELL, "-c", f"{text} {tail}".rstrip(), *extra]
    found = list(_split(text, "cmd"))
    if isinstance(args, str):
        found += _split(expand(args, lookup), "args")
    else:
        found += [expand(arg, lookup) for arg in args]
    if not found or not found[0]:
        raise SpawnError("exec", "cmd is empty; write what to run")
    return found


@lru_cache(maxsize=256)
def _split(text: str, option: str) -> tuple[str, ...]:
    if not any(quote in text for quote in "\"'\\"):
        return tuple(word for word in _BLANKS.split(text) if word)
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise SpawnError("exec", f"{option} cannot be split into words: {error}; the text is {text!r}") from None


def find_program(name: str, cwd: str, env: Mapping[str, str]) -> str:
    """Return the path of a program, as seen from ``cwd``, looked up as the process itself would.

    A name with a slash is relative to ``cwd`` (empty: circusd's), any other is searched in PATH: that of ``env``, or
    circusd's own if it has none. Raise ``SpawnError`` if there is none that can be run.
    """
    if "/" in name:
        path = os.path.join(cwd, name)
        check_directory(cwd)
        reason = _unfit(path)
        if reason:
            raise SpawnError("exec", f"{path} {reason}")
        return name
    whose = "the process's own" if "PATH" in env else "circusd's"
    search = env["PATH"] if "PATH" in env else os.environ.get("PATH", os.defpath)
    refused = ""
    for folder in search.split(os.pathsep):
        path = os.path.join(cwd, folder, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
        if not refused and os.access(path, os.F_OK):
            refused = f"; {path} {_unfit(path)}"
    raise SpawnError("exec", f"program {name!r} not found in PATH ({whose}: {search}){refused}")


def check_loadable(program: str, cwd: str) -> None:
    """Raise ``SpawnError`` if the system would refuse a program that :func:`find_program` has found.

    For programs that another one starts in its own place: what it meets then is told to nobody but its exit code, and
    a shell would even take any text for a script.
    """
    path = os.path.join(cwd, program)
    try:
        with open(path, "rb") as file:
            start = file.read(_FIRST_LINE)
    except OSError:
        return  # it may be run without being read
    if start.startswith(b"#!"):
        interpreter = os.fsdecode(re.split(rb"[ \t\n]", start[2:].lstrip(b" \t"), maxsplit=1)[0])
        if not interpreter or not os.path.exists(os.path.join(cwd, interpreter)):
            raise no_interpreter(path)
    elif b"\0" not in start:  # each format of programs has one, also those that binfmt_misc knows
        raise no_program(path)


def no_interpreter(path: str) -> SpawnError:
    """The error for a program whose interpreter or loader is missing."""
    return SpawnError("exec", f"{path}: the interpreter named in its first line, or its loader, is missing")


def no_program(path: str) -> SpawnError:
    """The error for a file that is no program."""
    return SpawnError("exec", f"{path} is neither a program of this system nor a script with a #! line")


def _unfit(path: str) -> str:
    """Say why a file cannot be run; an empty text if it can."""
    if os.access(path, os.X_OK) and os.path.isfile(path):
        return ""
    try:
        os.stat(path)
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be reached: {os.strerror(error.errno or 0)}"
    if not os.path.isfile(path):
        return "is not a file"
    return "is not executable (chmod +x makes it so, unless its file system is mounted with noexec)"


def absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)
    except FileNotFoundError:
        raise SpawnError(
            "chdir", f"working_dir {folder!r} is relative to a folder that is gone: circusd's own"
        ) from None


def check_directory(cwd: str) -> None:
    if not cwd:
        return
    try:
        os.stat(os.path.join(cwd, "."))
    except OSError as error:
        raise SpawnError("chdir", f"working_dir {cwd}: {os.strerror(error.errno or 0)}") from None
    if not os.access(cwd, os.X_OK):
        raise SpawnError("chdir", f"working_dir {cwd}: no permission to enter it")
