"""The files that a watcher's command consists of, and when they have changed."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

_VARIABLE: Final = re.compile(r"\$\(circus\.([^()\s]+)\)|\(\(circus\.([^()\s]+)\)\)", re.IGNORECASE)
_INTERPRETER: Final = re.compile(
    r"(python|pypy|perl|ruby|node|nodejs|php|lua|luajit|tclsh|Rscript|sh|bash|dash|ash|zsh|ksh|fish)[\d.]*\Z"
)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")

_TAKES_A_WORD: Final = frozenset(("-W", "-X", "-r", "-o", "+o"))
"""Options of interpreters after which a word stands that is no script."""

_GRANULARITY: Final = 0.02
"""Seconds by which the times of a file system may be late."""


class Command(NamedTuple):
    """A program, and the script that it runs if it is an interpreter, as written; where they are looked for."""

    program: str
    script: str
    folder: str
    path: str

    def files(self) -> Iterator[tuple[str, bool]]:
        """Yield each file, as it is found now, and whether it must be executable."""
        yield _find(self.program, self.folder, self.path), True
        if self.script:
            yield os.path.join(self.folder, self.script), False


@dataclass(frozen=True, slots=True)
class State:
    """What tells one content of a file from another, and when it was put there (seconds since the epoch)."""

    target: str
    inode: int
    mtime: int
    size: int
    changed: float = field(compare=False)


Look = tuple[State | None, ...]


def command_of(options: Mapping[str, Any], environ: Mapping[str, str]) -> Command | None:
    """Return the command that a watcher's options stand for; ``environ`` is circusd's environment.

    It is None where no program is named, or one that differs from process to process.
    """
    env: Mapping[str, str] = options["env"]

    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        kind, _, variable = name.partition(".")
        value = env.get(variable, environ.get(variable)) if kind.lower() == "env" else options.get(name.lower())
        return str(value) if isinstance(value, str | int | float) else match[0]

    def expand(text: str) -> str:
        return _VARIABLE.sub(replace, text)

    words = _words(options, expand)
    program = expand(options["executable"]) if options["executable"] else words[0] if words else ""
    if not program or _VARIABLE.search(program):
        return None
    folder = os.path.abspath(expand(options["working_dir"]))
    path = env.get("PATH", environ.get("PATH", os.defpath))
    if options.get("virtualenv"):
        path = os.pathsep.join([os.path.join(os.path.abspath(expand(options["virtualenv"])), "bin"), path])
    script = _script(words[1:]) if _INTERPRETER.match(os.path.basename(program)) else ""
    return Command(program, "" if _VARIABLE.search(script) else script, folder, path)


def _words(options: Mapping[str, Any], expand: Callable[[str], str]) -> list[str]:
    """The words of the command line, without what stands before the program in a shell or after ``env``."""
    args = options["args"] or ""
    try:
        words = shlex.split(expand(options["cmd"]))
        words += shlex.split(expand(args)) if isinstance(args, str) else [expand(arg) for arg in args]
    except ValueError:  # a quote that does not end: only a shell may know what to make of it
        return []
    while words and (
        (options["shell"] and (words[0] == "exec" or _ASSIGNMENT.match(words[0])))
        or (len(words) > 1 and os.path.basename(words[0]) == "env")
    ):
        is_env = os.path.basename(words.pop(0)) == "env"
        while is_env and words and (words[0].startswith("-") or _ASSIGNMENT.match(words[0])):
            words.pop(0)
    return words


def _script(words: list[str]) -> str:
    """The script among the arguments of an interpreter; empty if it runs none."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _TAKES_A_WORD:
            skip = True
        elif word.startswith("-") and not word.startswith("--") and word[-1] in "cme":
            return ""  # code, or a module
        elif not word.startswith(("-", "+")):
            return word
    return ""


def _find(program: str, folder: str, path: str) -> str:
    """The file of a program as its process would find it; where it is missing, any path at which it could be."""
    if "/" in program:
        return os.path.join(folder, program)
    places = [os.path.join(folder, place, program) for place in path.split(os.pathsep)]
    return next((place for place in places if os.access(place, os.X_OK) and os.path.isfile(place)), places[0])


def look(command: Command) -> Look:
    """Return how each file of a command is now; None for one that is missing or cannot be run."""
    return tuple(_state(path, executable) for path, executable in command.files())


def _state(path: str, executable: bool) -> State | None:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or (executable and not os.access(path, os.X_OK)):
            return None
        # A link, or a folder on the way that is one, may lead elsewhere now, to a file with the same times.
        changed = max([found.st_ctime, *_link_times(path)])
        return State(os.path.realpath(path), found.st_ino, found.st_mtime_ns, found.st_size, changed)
    except OSError:
        return None


def _link_times(path: str) -> Iterator[float]:
    """Since when each link on the way to a file leads where it does."""
    while path != os.path.dirname(path):
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            yield found.st_ctime
        path = os.path.dirname(path)


def is_older(seen: Look, moment: float) -> bool:
    """Return whether the files were put there before a moment (seconds since the epoch)."""
    return all(state is None or state.changed <= moment - _GRANULARITY for state in seen)


class Change:
    """Finds that files have changed, and waits until they have settled: all are there, and stay so for a look more."""

    def __init__(self, seen: Look) -> None:
        self.known = seen
        self._unsettled: Look | None = None

    def has_settled(self, seen: Look) -> bool:
        """Take a look, and return whether there is a change that is complete; it stays so until it is accepted."""
        incomplete = any(now is None and before is not None for now, before in zip(seen, self.known, strict=True))
        if seen == self.known or incomplete:
            self._unsettled = None
            return False
        settled = seen == self._unsettled
        self._unsettled = seen
        return settled

    def accept(self, seen: Look) -> None:
        """Take the files as they are now for those that run."""
        self.known, self._unsettled = seen, None

    def accept_before(self, seen: Look, moment: float) -> None:
        """As :meth:`accept`, if the files were put there before a moment (seconds since the epoch)."""
        if is_older(seen, moment):
            self.accept(seen)

    def doubt(self, moment: float) -> None:
        """Take what was put there after a moment (seconds since the epoch) for a change."""
        self.known = tuple(None if state is None or state.changed > moment else state for state in self.known)
