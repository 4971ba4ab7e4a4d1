"""What a request and a reply look like on the wire: one JSON object each, in UTF-8."""

from __future__ import annotations

import json
import time
from typing import Any

from circus.exc import CircusError, InvalidJSON, MessageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_LIMIT = 1 << 20
"""Largest request, in bytes, that the daemon reads. A larger one is answered with an error."""

Json = dict[str, Any]

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str).encode


class Request:
    """One request: the name of a command in lower case, its properties, and what is needed to answer it."""

    __slots__ = ("cast", "command", "id", "properties", "sent_as", "sync")

    def __init__(
        self, command: str, properties: Json, id: Any = None, cast: bool = False, sent_as: str = "", sync: str = ""
    ) -> None:
        self.command = command
        self.properties = properties
        self.id = id
        self.cast = cast
        self.sent_as = sent_as or command
        self.sync = sync
        """Token of the plugin that sends it, if one does."""


def decode_request(payload: bytes) -> Request:
    """Read a request.

    Raise :class:`~circus.exc.InvalidJSON` when the payload is no JSON object, and
    :class:`~circus.exc.MessageError` when the command or its properties have the wrong type.
    """
    if len(payload) > MESSAGE_LIMIT:
        raise MessageError(f"message of {len(payload)} bytes is larger than the limit of {MESSAGE_LIMIT} bytes")
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError):
        raise InvalidJSON("json invalid") from None
    if not isinstance(message, dict):
        raise InvalidJSON("json invalid: a request is an object with the key 'command'")
    command = message.get("command")
    if not isinstance(command, str):
        raise MessageError("message invalid 'command' is missing")
    properties = message.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        raise MessageError("message invalid 'properties' isn't a valid object")
    cast, sync = message.get("msg_type") == "cast", message.get("sync")
    return Request(command.lower(), properties, message.get("id"), cast, command, sync if isinstance(sync, str) else "")


def salvage(payload: bytes) -> tuple[Any, bool]:
    """Return the ``id`` of a request that could not be decoded, None if it has none, and whether it was a cast."""
    if len(payload) > MESSAGE_LIMIT:
        return None, False
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError):
        return None, False
    return (message.get("id"), message.get("msg_type") == "cast") if isinstance(message, dict) else (None, False)


def encode(message: Mapping[str, Any]) -> bytes:
    """Write one message as compact JSON in UTF-8. Lone surrogates, as in odd file names, are written as escapes."""
    return _compact(message).encode("utf-8", "backslashreplace")


def ok_reply(result: Mapping[str, Any], id: Any) -> Json:
    """Return the reply of a command that succeeded; ``status`` is ``ok`` unless the result has one of its own."""
    return {"status": "ok", "time": time.time(), **result, "id": id}


def error_reply(error: CircusError, id: Any, tb: str | None = None) -> Json:
    """Return the reply that tells the caller of an error."""
    return {
        "status": "error",
        "reason": str(error),
        "tb": tb,
        "time": time.time(),
        "errno": error.errno,
        "id": id,
    }
