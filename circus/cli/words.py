"""Reads circusctl's command line: the declarations of the commands say what may stand where."""

from __future__ import annotations

from circus.commands import BUILT_IN, LOCAL, lookup, names
from circus.commands.arguments import argument
from circus.commands.base import Command, Json, Property
from circus.exc import ArgumentError, UnknownCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

GLOBALS = (
    Property("endpoint", "text", "where circusd listens, such as tcp://127.0.0.1:5555 or ipc:///run/circus/endpoint"),
    Property("timeout", "number", "seconds to wait for a reply", default=5.0),
    Property("json", "boolean", "print the reply as JSON"),
    Property("prettify", "boolean", "with --json: indented and sorted"),
    Property("ssh", "text", "reach a tcp:// endpoint of another machine through ssh: user@host:port"),
    Property("ssh_keyfile", "text", "private key for --ssh"),
    Property("help", "boolean", "show help, after a command that of the command", short="h"),
    Property("version", "boolean", "show the version"),
)


class UsageError(Exception):
    """The command line is wrong; ``command`` is the one whose usage may help."""

    def __init__(self, message: str, command: Command | None = None) -> None:
        super().__init__(message)
        self.command = command


class Invocation:
    """What a command line asks for. ``command`` is None for the words of ``LOCAL``, and without any command."""

    def __init__(self) -> None:
        self.word = ""
        self.command: Command | None = None
        self.arguments: list[str] = []
        self.options: Json = {}
        self.settings: Json = {}
        """The options of circusctl itself."""

    def message(self) -> Json:
        """Return the properties of the request. Raise :class:`UsageError` if arguments are missing or wrong."""
        assert self.command is not None
        try:
            return self.command.message(self.arguments, self.options)
        except ArgumentError as error:
            raise UsageError(str(error), self.command) from None


class _Reader:
    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.at = 0
        self.found = Invocation()

    def read(self) -> Invocation:
        only_words = False
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            if word == "--" and not only_words:
                only_words = True
            elif only_words or not _is_option(word):
                self._take_word(word)
            else:
                self._take_option(word)
        self._check_options()
        return self.found

    def _take_word(self, word: str) -> None:
        found = self.found
        if not found.word:
            found.word = word.lower()
            found.command = _command(word) if found.word not in LOCAL else None
            return
        found.arguments.append(word)
        if found.command is not None and found.command.verbatim_after == len(found.arguments):
            found.arguments += self.words[self.at :]
            self.at = len(self.words)

    def _take_option(self, word: str) -> None:
        flag, equals, given = _split(word)
        declared = _flagged(GLOBALS, flag)
        target = self.found.settings
        if declared is None:
            declared = self._option_of_command(flag)
            target = self.found.options
        if declared is None:
            raise UsageError(_unknown("option", word.partition("=")[0], self._flags()), self.found.command)
        name = declared.name
        if declared.kind == "boolean":
            if equals:
                raise UsageError(f"{flag} takes no value", self.found.command)
            target[name] = True
            return
        if not equals:
            if self.at == len(self.words):
                raise UsageError(f"{flag} needs a value", self.found.command)
            given = self.words[self.at]
            self.at += 1
        try:
            target[name] = argument(declared, given)
        except ArgumentError as error:
            raise UsageError(f"{flag}: {error}", self.found.command) from None

    def _option_of_command(self, flag: str) -> Property | None:
        """Before the command is known, an option of any command will do; it is checked at the end."""
        if self.found.command is not None:
            return _flagged(self.found.command.options(), flag)
        if self.found.word:
            return None
        # What is installed is looked through only if no command of our own has it.
        return _option_of(BUILT_IN, flag) or _option_of(names(), flag)

    def _check_options(self) -> None:
        command = self.found.command
        for name in self.found.options:
            flag = "--" + name.replace("_", "-")
            if command is None or _flagged(command.options(), flag) is None:
                raise UsageError(_unknown("option", flag, self._flags()), command)

    def _flags(self) -> list[str]:
        own = self.found.command.options() if self.found.command is not None else []
        return [declared.flag for declared in (*own, *GLOBALS)]


def parse(words: list[str]) -> Invocation:
    """Read the words of a command line. Raise :class:`UsageError` for a command or an option that does not exist."""
    return _Reader(words).read()


def _is_option(word: str) -> bool:
    """A negative number is an argument: ``incr web -1``."""
    return (word.startswith("--") and len(word) > 2) or (word[:1] == "-" and word[1:2].isalpha())


def _split(word: str) -> tuple[str, str, str]:
    """Return the option in a word, what is between it and its value, and that: ``--lines=5``, ``-n5``, ``-n``."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return flag.replace("_", "-"), equals, value
    return word[:2], word[2:], word[2:]


def _flagged(declared: Iterable[Property], flag: str) -> Property | None:
    return next((item for item in declared if flag in item.flags), None)


def _option_of(commands: Iterable[str], flag: str) -> Property | None:
    every = (_flagged(lookup(command).options(), flag) for command in commands)
    return next((declared for declared in every if declared is not None), None)


def _command(word: str) -> Command:
    try:
        return lookup(word)
    except UnknownCommand:
        raise UsageError(_unknown("command", word, [*names(), *LOCAL])) from None


def _unknown(kind: str, word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "'circusctl help' lists what there is"
    return f"unknown {kind} {word!r}; {hint}"
