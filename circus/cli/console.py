"""The interactive console: what circusctl is without a command."""

from __future__ import annotations

import os
import shlex
import sys

from circus import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.cli.session import Session

PROMPT = "(circusctl) "
_HISTORY_LENGTH = 1000
_LEAVE = ("exit", "EOF")


class Console:
    """Reads command lines until the end of the input; each is carried out as circusctl's own would be."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._found: list[str] = []

    def run(self) -> int:
        """Print version and status, then converse; return the exit status."""
        from circus.cli.circusctl import run

        print(f"circusctl {__version__}")
        run(["status"], self.session)
        history = _open_history(self) if sys.stdin.isatty() else None
        try:
            while True:
                try:
                    line = input(PROMPT).strip()
                except EOFError:
                    print()
                    return 0
                except KeyboardInterrupt:
                    print()
                    continue
                if line in _LEAVE:
                    return 0
                self._obey(line)
        finally:
            if history is not None:
                _save_history(history)

    def _obey(self, line: str) -> None:
        from circus.cli.circusctl import run

        try:
            words = shlex.split(line)
        except ValueError as error:
            print(f"{error}; close each quotation mark", file=sys.stderr)
            return
        if not words:
            return
        if words[0] == "?":
            words[0] = "help"
        try:
            run(words, self.session)
        except KeyboardInterrupt:
            print(file=sys.stderr)

    def complete(self, prefix: str, index: int) -> str | None:
        """Return the completion with that index, as readline asks for it, or None after the last one."""
        if index == 0:
            import readline

            from circus.cli.completion import candidates
            from circus.cli.typed import Typed

            typed = Typed(readline.get_line_buffer()[: readline.get_endidx()])
            words = candidates(typed.words, typed.prefix, self.session)
            parts = [typed.rest(word, readline.get_begidx()) for word in words]
            self._found = [part + typed.quote + " " for part in parts if part is not None]
        return self._found[index] if index < len(self._found) else None


def history_file() -> str:
    """Return where the history is kept: in ``$XDG_STATE_HOME``, else in the home folder."""
    state = os.environ.get("XDG_STATE_HOME")
    return os.path.join(state, "circusctl_history") if state else os.path.expanduser("~/.circusctl_history")


def _open_history(console: Console) -> str:
    import readline

    readline.set_completer(console.complete)
    # Names of watchers may hold colons and dashes.
    readline.set_completer_delims(" \t\n")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_HISTORY_LENGTH)
    path = history_file()
    try:
        readline.read_history_file(path)
    except OSError:
        # There is none yet, or it may not be read: the console works without.
        pass
    return path


def _save_history(path: str) -> None:
    import readline

    try:
        # Values of options may be secrets, so the file is its owner's alone.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        readline.write_history_file(path)
    except OSError as error:
        print(f"the history was not saved: {error}", file=sys.stderr)
