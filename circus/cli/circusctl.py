"""circusctl: one command from a shell, or a console."""

from __future__ import annotations

import os
import sys

from circus import __version__
from circus.cli.session import Session
from circus.cli.words import Invocation, UsageError, parse
from circus.commands import origin
from circus.exc import CallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.commands.base import Json

DONE, UNREACHED, WRONG_USAGE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 130


def main(argv: list[str] | None = None) -> int:
    """Run circusctl with these words, by default those of the command line, and return the exit status."""
    try:
        if argv is None and "AUTO_COMPLETE" in os.environ:
            from circus.cli.completion import answer

            return answer(os.environ)
        status = run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has read enough; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except Exception as error:
        return _complain(
            f"circusctl met a defect of its own, please report it: {type(error).__name__}: {error}", UNREACHED
        )
    return status


def run(words: list[str], console: Session | None = None) -> int:
    """Do what one command line says and return the exit status. ``console`` is the open session of a console."""
    session = None
    try:
        invocation = parse(words)
        if invocation.settings.get("version"):
            print(f"circusctl {__version__}")
            return DONE
        if invocation.word == "help" or invocation.settings.get("help"):
            return _help(invocation)
        if invocation.word == "completion":
            return _completion(invocation)
        session = console.derived(invocation.settings) if console is not None else Session(invocation.settings)
        return _run_command(invocation, session) if invocation.command is not None else _converse(session)
    except UsageError as error:
        usage = f"\nusage: circusctl {error.command.usage()}" if error.command is not None else ""
        return _complain(f"{error}{usage}", WRONG_USAGE)
    except CallError as error:
        return _complain(f"error: {error}", WRONG_USAGE if error.kind == "bad-endpoint" else UNREACHED)
    finally:
        if session is not None and session is not console:
            session.close()


def _help(invocation: Invocation) -> int:
    from circus.cli.helptext import command_help, local_help

    topic = parse(invocation.arguments[:1]) if invocation.word == "help" and invocation.arguments else invocation
    print(command_help(topic.command) if topic.command is not None else local_help(topic.word))
    return DONE


def _completion(invocation: Invocation) -> int:
    from circus.cli.completion import script

    print(script(invocation.arguments))
    return DONE


def _converse(session: Session) -> int:
    from circus.cli.console import Console

    return Console(session).run()


def _run_command(invocation: Invocation, session: Session) -> int:
    name, properties = invocation.word, invocation.message()
    if name == "logs":
        from circus.cli.taillogs import logs

        return logs(invocation, session)
    if name == "listen" or invocation.options.get("follow"):
        from circus.cli import following

        return (following.listen if name == "listen" else following.events)(invocation, session)
    if invocation.options.get("dry_run"):
        return run(["plan", *(["--json"] if invocation.settings.get("json") else [])], session)
    plain = not invocation.settings.get("json")
    table = plain and name in ("status", "plugins") and sys.stdout.isatty()
    if table and name == "status":
        properties["detail"] = True
    if plain and properties.get("waiting") and sys.stderr.isatty():
        from circus.cli.progress import request

        reply = request(session, name, properties)
    else:
        reply = session.request(name, properties)
    return _show(invocation, reply, table)


def _show(invocation: Invocation, reply: Json, table: bool) -> int:
    refused = reply.get("status") == "error"
    if invocation.settings.get("json"):
        from circus.cli.render import as_json

        print(as_json(reply, prettify=bool(invocation.settings.get("prettify"))))
        return REFUSED if refused else DONE
    if refused:
        return _complain(f"error: {reply.get('reason')}", REFUSED)
    if table and ("details" in reply or "plugins" in reply):
        from circus.cli.render import plugins_table, status_table

        text = status_table(reply) if "details" in reply else plugins_table(reply)
    else:
        assert invocation.command is not None
        try:
            text = invocation.command.render(reply)
        except Exception as error:
            blamed = origin(invocation.word)
            if not blamed:
                raise
            return _complain(
                f"error: {invocation.word} of {blamed} cannot show the reply: {type(error).__name__}: {error}",
                UNREACHED,
            )
    if text:
        print(text)
    return DONE


def _complain(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
