"""What is shown on a terminal while a command with ``--waiting`` is carried out."""

from __future__ import annotations

import sys
import time

from circus.cli.session import Session
from circus.client import make_message, no_reply, raise_if_unreachable
from circus.exc import CallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.commands.base import Json

_QUIET = 0.3
"""Seconds that a command may take before anything is shown."""
_EVERY = 0.2
"""Seconds between two looks."""
_CLEAR = "\r\x1b[K"
_DOWN = ("stop", "quit", "rm")


def request(session: Session, command: str, properties: Json) -> Json:
    """Send a request, count on standard error while it is carried out, and return the reply. Raise ``CallError``."""
    client = session.client
    message = make_message(command, **properties)
    deadline = time.monotonic() + client.timeout
    id = client.send(message)
    reply = client.receive(id, min(_QUIET, client.timeout))
    if reply is None and client.ssh_server is None:
        # Nobody is there to be counted, unless a daemon comes up within our patience.
        reply = client.receive(id, client.patience - _QUIET) if not _listens(client.endpoint) else None
        if reply is None:
            raise_if_unreachable(client.endpoint)
    observer = session.derived({"timeout": 1.0})
    try:
        while reply is None and time.monotonic() < deadline:
            print(_CLEAR + _count(observer, command, properties), end="", file=sys.stderr, flush=True)
            reply = client.receive(id, min(_EVERY, max(0.0, deadline - time.monotonic())))
    finally:
        print(_CLEAR, end="", file=sys.stderr, flush=True)
        observer.close()
    if reply is None:
        raise no_reply(client.endpoint, message, client.timeout, client.ssh_server)
    return reply


def _listens(endpoint: str) -> bool:
    try:
        raise_if_unreachable(endpoint)
    except CallError:
        return False
    return True


def _count(observer: Session, command: str, properties: Json) -> str:
    """How far it is: ``start: 123/500 processes``. Older daemons do not tell how many are wanted."""
    try:
        reply = observer.request("status", {"detail": True})
        if "details" not in reply:
            return f"{command}: {observer.request('numprocesses', {}).get('numprocesses', '?')} processes"
    except CallError:
        return f"{command}: circusd is busy"
    return progress_line(command, properties.get("name"), reply["details"])


def progress_line(command: str, pattern: str | None, details: Json) -> str:
    """Return the line that counts the processes of the watchers that the command is about."""
    from fnmatch import fnmatchcase

    chosen = [
        detail
        for name, detail in details.items()
        if pattern is None or fnmatchcase(name.lower(), pattern.lower()) or name.lower() == pattern.lower()
    ]
    existing = sum(1 for detail in chosen for process in detail.get("processes", ()) if process.get("pid"))
    if command in _DOWN:
        return f"{command}: {existing} {'process' if existing == 1 else 'processes'} left"
    running = sum(detail.get("running", 0) for detail in chosen)
    return f"{command}: {running}/{sum(detail.get('wanted', 0) for detail in chosen)} processes"
