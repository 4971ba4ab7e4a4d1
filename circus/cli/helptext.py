"""The help of circusctl, made from the declarations of the commands."""

from __future__ import annotations

import textwrap
from shutil import get_terminal_size

from circus.cli.words import GLOBALS
from circus.commands import LOCAL, lookup, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from circus.commands.base import Command, Property

USAGE = "circusctl [options] command [arguments]"
_LOCAL_HELP = {
    "completion": "Print the completion script of a shell: bash, zsh or fish",
    "help": "Show this, or the help of a command",
}
_COMPLETION_HELP = """\
usage: circusctl completion SHELL

Print the completion script of a shell: bash, zsh or fish

It completes commands, options, and the names of the watchers that run. To have it at hand in each new shell:

  circusctl completion bash > ~/.local/share/bash-completion/completions/circusctl
  circusctl completion zsh > ~/.zfunc/_circusctl     (with 'fpath=(~/.zfunc $fpath)' before compinit in ~/.zshrc)
  circusctl completion fish > ~/.config/fish/completions/circusctl.fish"""


def local_help(word: str) -> str:
    """Return what ``circusctl help WORD`` prints for a word that is no command of the protocol."""
    return _COMPLETION_HELP if word == "completion" else overview()


def overview() -> str:
    """Return what ``circusctl --help`` prints."""
    commands = {name: summary(lookup(name)) for name in names()} | {name: _LOCAL_HELP[name] for name in LOCAL}
    lines = [
        f"usage: {USAGE}",
        "",
        "Controls a Circus daemon. Without a command: an interactive console.",
        "",
        "Commands:",
    ]
    for name, text in sorted(commands.items()):
        lines += _fold(f"  {name:<14}", text)
    lines += ["", "Options:", *_options(GLOBALS), ""]
    for text in (
        "CIRCUSCTL_ENDPOINT in the environment stands for --endpoint. 'circusctl help COMMAND' says more.",
        "Exit status: 0 done; 1 no circusd reached, or no reply in time; 2 wrong usage; 3 circusd refused.",
    ):
        lines += _fold("", text)
    return "\n".join(lines)


def command_help(command: Command) -> str:
    """Return what ``circusctl help COMMAND`` prints."""
    lines = [f"usage: circusctl {command.usage()}", "", *_documentation(command)]
    positional = [item for item in command.properties if item.positional]
    if positional:
        lines += ["", "Arguments:"]
        for item in positional:
            lines += _fold(f"  {item.name.upper():<22}", f"{item.doc}{_default(item)}")
    options = command.options()
    if options:
        lines += ["", "Options:", *_options(options)]
    if command.replies:
        lines += ["", *_fold("Reply: ", command.replies)]
    return "\n".join(lines)


def summary(command: Command) -> str:
    """Return the first line of a command's documentation."""
    return (command.__doc__ or "").strip().partition("\n")[0]


def _documentation(command: Command) -> list[str]:
    text = textwrap.dedent(f"{' ' * 4}{(command.__doc__ or '').strip()}").replace("``", "")
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += [*_fold("", paragraph), ""]
    return lines[:-1]


def _options(declared: Iterable[Property]) -> list[str]:
    lines = []
    for item in declared:
        flags = ", ".join(item.flags)
        flag = flags if item.kind == "boolean" else f"{flags} {item.name.upper()}"
        lines += _fold(f"  {flag:<38}", f"{item.doc}{_default(item)}")
    return lines


def _fold(label: str, text: str) -> list[str]:
    """Return a label and a text beside it, in lines that a terminal has room for; 120 columns where it is none."""
    columns = max(get_terminal_size((120, 0)).columns, len(label) + 20)
    return textwrap.wrap(
        text, columns, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False
    )


def _default(item: Property) -> str:
    if item.default is None or isinstance(item.default, bool):
        return ""
    return f" (default: {item.default})"
