"""Becoming a daemon, in such a way that whoever launched it learns how its start went."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from circus.exc import CircusError

_READY = b"+"
_FAILED = b"-"

Report = Callable[[str | None], None]


def daemonize() -> Report:
    """Go on as a daemon: a session of its own, all descriptors closed, 0 to 2 on ``/dev/null``, the working folder
    kept.

    The process that called waits and does not come back from here: it exits with 0 once the daemon reports that it is
    ready, and with 1, the daemon's words on its standard error, once the daemon reports a failure or ends without a
    word.

    Return the function by which the daemon reports: ``report(None)`` for ready, ``report(text)`` for a failure. The
    first report counts. Call this before anything is open that the daemon is to keep: sockets, an event loop, a
    ZeroMQ context.

    Raise :class:`~circus.exc.CircusError` when no process can be started.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    launched = _fork()
    if launched:
        os.close(writer)
        _wait(reader, launched)
    os.setsid()
    report = _reporter(writer)
    try:
        daemon = _fork()
    except CircusError as exc:
        report(str(exc))
        os._exit(1)
    if daemon:
        os._exit(0)
    _close_descriptors(keep=writer)
    return report


def _fork() -> int:
    try:
        return os.fork()
    except OSError as exc:
        raise CircusError(
            f"cannot start the daemon's process: {exc.strerror}; end some processes, or raise the limit"
        ) from None


def _wait(reader: int, launched: int) -> NoReturn:
    # An interrupt ends the waiting, not the daemon, and leaves no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.waitpid(launched, 0)
    with open(reader, "rb") as pipe:
        message = pipe.read()
    if message == _READY:
        os._exit(0)
    text = message[len(_FAILED) :].decode(errors="replace")
    print(
        text or "circusd: ended before it was ready; start it without --daemon to see why", file=sys.stderr, flush=True
    )
    os._exit(1)


def _reporter(writer: int) -> Report:
    pipes = [writer]

    def report(failure: str | None) -> None:
        if not pipes:
            return
        # The launcher may be gone: nobody has to read this.
        with contextlib.suppress(OSError), open(pipes.pop(), "wb", buffering=0) as pipe:
            pipe.write(_READY if failure is None else _FAILED + failure.encode(errors="replace"))

    return report


def _close_descriptors(keep: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for descriptor in _open_descriptors():
        if descriptor > 2 and descriptor != keep:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
                os.close(descriptor)


def _open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # a container without /dev or /proc
        return list(range(os.sysconf("SC_OPEN_MAX")))
