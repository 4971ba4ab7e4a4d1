"""Completion of commands, options, watcher names and their options, for the console and for shells."""

from __future__ import annotations

from circus.cli.session import Session
from circus.cli.typed import Typed
from circus.cli.words import GLOBALS, UsageError
from circus.commands import LOCAL, lookup, names
from circus.exc import CallError, UnknownCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.commands.base import Command

_ANSWER_WITHIN = 2.0
"""Seconds that a daemon has to tell its watchers while somebody waits for a completion: when a machine has too much to
do, a daemon that is well may take one."""
_SHELLS = ("bash", "fish", "zsh")
_SIGNALS = ("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP")

# bash splits words at colons too, so its own COMP_WORDS are of no use: endpoints and names of plugins have colons.
_BASH = """\
_circusctl() {
    mapfile -t COMPREPLY < <(AUTO_COMPLETE=1 COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        "$1" 2>/dev/null)
}
complete -o default -F _circusctl circusctl"""
# The file may be sourced, or lie in a folder of $fpath, where its text is the body of the function.
_ZSH = """\
#compdef circusctl
_circusctl() {
    local -a found
    local typed="${(F)${(@Q)words}}"
    found=("${(@f)$(AUTO_COMPLETE=1 COMP_WORDS="$typed" COMP_CWORD=$((CURRENT - 1)) $words[1] 2>/dev/null)}")
    compadd -U -a found
}
if [[ $funcstack[1] == _circusctl ]]; then _circusctl "$@"; else compdef _circusctl circusctl; fi"""
_FISH = """\
function __circusctl_complete
    set -l words (commandline -opc)
    set -lx AUTO_COMPLETE 1
    set -lx COMP_CWORD (count $words)
    set -a words (commandline -ct | string unescape)
    set -lx COMP_WORDS (string join \\n -- $words | string collect -N)
    circusctl 2>/dev/null
end
complete -c circusctl -f -a '(__circusctl_complete)'"""


def script(arguments: list[str]) -> str:
    """Return the completion script of a shell. It asks circusctl itself, so that it knows every command and watcher."""
    scripts = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
    if len(arguments) != 1 or arguments[0] not in scripts:
        raise UsageError(f"usage: circusctl completion SHELL, which is one of {', '.join(_SHELLS)}")
    return scripts[arguments[0]]


def answer(environment: Mapping[str, str]) -> int:
    """Print the words that may stand where the cursor is; return the exit status that shells expect.

    There are three ways to ask: with the line up to the cursor in ``COMP_LINE`` (bash; ``COMP_BREAKS`` are the
    characters at which it splits words), or with the words in ``COMP_WORDS`` and the index of the one to complete in
    ``COMP_CWORD``. The words stand one a line, and so do those that are printed, or they are separated by blanks.
    """
    line = environment.get("COMP_LINE", "")
    if "COMP_WORDS" not in environment:
        typed = Typed(line)
        found = [
            _for_bash(word, typed, line, environment.get("COMP_BREAKS", ""))
            for word in _found(typed.words, typed.prefix)
        ]
        separator = "\n"
    else:
        separator = "\n" if "\n" in environment["COMP_WORDS"] else " "
        words = environment["COMP_WORDS"].split("\n" if separator == "\n" else None)
        try:
            index = int(environment.get("COMP_CWORD", ""))
        except ValueError:
            index = len(words) - 1
        found = _found(words[:index], words[index] if 0 <= index < len(words) else "")
    if found:
        print(separator.join(found))
    return 1


def _found(before: list[str], prefix: str) -> list[str]:
    """The candidates for a line that begins with the name of circusctl."""
    session = Session(_endpoint(before))
    try:
        return candidates(before[1:], prefix, session)
    finally:
        session.close()


def _for_bash(word: str, typed: Typed, line: str, breaks: str) -> str:
    """What bash is to put in the place of the word at the cursor, or of its part after the last break."""
    if typed.quote:
        return typed.written(word)[1:]
    last = max(
        (at for at in range(typed.start, len(line)) if line[at] in breaks and line[at - 1] != "\\"), default=None
    )
    return typed.rest(word, typed.start if last is None else last + 1) or typed.written(word)


def _endpoint(words: list[str]) -> dict[str, str]:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--endpoint" or word.startswith("--endpoint="):
            return {"endpoint": word.partition("=")[2] or following}
    return {}


def candidates(before: list[str], prefix: str, session: Session) -> list[str]:
    """Return the words that begin with ``prefix`` and may follow the words ``before`` it, sorted."""
    command, arguments, pending = _place(before)
    if pending:
        return _beginning(_values(pending), prefix)
    if prefix.startswith("-"):
        own = command.options() if command is not None else []
        return _beginning([flag for item in (*own, *GLOBALS) for flag in item.flags], prefix)
    if command is None:
        if not arguments:
            return _beginning([*names(), *LOCAL], prefix)
        return _beginning(_SHELLS if arguments[0] == "completion" else names(), prefix)
    return _beginning(_arguments(command, arguments, session), prefix)


def _place(before: list[str]) -> tuple[Command | None, list[str], str]:
    """Return the command so far, its arguments, and the option whose value comes next."""
    command: Command | None = None
    arguments: list[str] = []
    pending = ""
    for word in before:
        if pending:
            pending = ""
        elif word.startswith("-"):
            known = [*GLOBALS, *(command.options() if command is not None else [])]
            valued = [item.name for item in known if word.replace("_", "-") in item.flags and item.kind != "boolean"]
            pending = valued[0] if valued else ""
        elif command is None and not arguments:
            try:
                command = lookup(word)
            except UnknownCommand:
                arguments.append(word)
        else:
            arguments.append(word)
    return command, arguments, pending


def _values(option: str) -> tuple[str, ...]:
    return {"match": ("glob", "regex", "simple"), "signum": _SIGNALS}.get(option, ())


def _arguments(command: Command, arguments: list[str], session: Session) -> list[str]:
    positional = [item for item in command.properties if item.positional]
    if command.name in ("get", "set") and arguments:
        takes_key = command.name == "get" or len(arguments) % 2 == 1
        return _asked(session, "options", {"name": arguments[0]}, "options") if takes_key else []
    if len(arguments) >= len(positional) or command.name == "add":
        return []
    wanted = positional[len(arguments)].name
    if wanted == "name":
        return _asked(session, "list", {}, "watchers")
    if wanted == "option":
        return _asked(session, "globaloptions", {}, "options")
    if wanted in ("pid", "process"):
        pids = _asked(session, "list", {"name": arguments[0]}, "pids")
        return [*pids, *_SIGNALS] if command.name == "signal" else pids
    return list(_values(wanted))


def _asked(session: Session, command: str, properties: dict[str, str], key: str) -> list[str]:
    """What a daemon says; nothing if there is none, since whoever completes a word wants no error, and at once."""
    from circus.client import raise_if_unreachable

    try:
        client = session.client
        if client.ssh_server is None:
            raise_if_unreachable(client.endpoint)
        request = client.send({"command": command, "properties": dict(properties)})
        reply = client.receive(request, _ANSWER_WITHIN)
    except CallError:
        return []
    return [str(item) for item in (reply or {}).get(key, ())]


def _beginning(words: object, prefix: str) -> list[str]:
    assert isinstance(words, (list, tuple))
    # Names of watchers are compared without regard to case.
    return sorted(word for word in words if word.lower().startswith(prefix.lower()))
