"""Errors that travel: each has a stable number on the wire and a message for the person who meets it."""

from __future__ import annotations


class CircusError(Exception):
    """Base of every error that Circus raises on purpose.

    ``errno`` is the number that an error reply carries (see the protocol reference).
    """

    errno = 5


class MessageError(CircusError):
    """The request is at fault: a missing property, an unknown watcher or option, a value of the wrong type."""

    errno = 3


class ArgumentError(CircusError):
    """A circusctl command was called with the wrong number or kind of arguments."""

    errno = 3


class InvalidJSON(CircusError):
    """The payload of a request is not a JSON object."""

    errno = 1


class UnknownCommand(CircusError):
    """There is no command of that name."""

    errno = 2


class SystemFailure(CircusError):
    """The operating system refused; the message is the text of the ``OSError``."""

    errno = 4


class AlreadyExist(CircusError):
    """A watcher of that name, in any letter case, exists."""


class CommandFailed(CircusError):
    """A command that was accepted could not be carried out; the message says why."""

    errno = 6


class NotPermitted(CircusError):
    """The caller's role, or the owner of the endpoint, does not allow this command on this watcher."""

    errno = 3


class SpawnError(CircusError):
    """A process could not be started.

    ``stage`` names the step that failed: ``sockets``, ``streams``, ``chdir``, ``limits``, ``credentials``,
    ``resources`` or ``exec``.
    """

    errno = 6

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage


class ConfigError(CircusError):
    """A configuration has faults. ``faults`` lists every one of them, in the order of the files and lines."""

    def __init__(self, faults: list[object]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class CallError(CircusError):
    """A client could not reach the daemon, got no answer in time, or was answered with an error.

    ``kind`` says which: ``no-daemon``, ``no-permission``, ``busy``, ``timeout``, ``bad-endpoint`` or ``error``.
    """

    def __init__(self, message: str, kind: str = "error") -> None:
        super().__init__(message)
        self.kind = kind
