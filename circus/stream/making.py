"""From options to streams, which all processes share whose options are the same."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from circus.hooks.registry import registry
from circus.stream.base import Stream
from circus.stream.remote import Remote, RemoteStream

if TYPE_CHECKING:
    from circus.stream.custom import Custom

JOINED = "stdout"
"""The class of a ``stderr_stream`` that goes the way of stdout, in the same pipe."""
_OWN = "circus.stream:"


def get_stream(options: Mapping[str, Any]) -> Any:
    """Return the stream that options name: ``class`` and its own, or ``stream``, an object that is one already.

    Raise ``ValueError`` with what is wrong.
    """
    if "stream" in options:
        return options["stream"]
    name = str(options.get("class", ""))
    found = registry().find_stream(name)
    if found is None:
        raise ValueError(registry().missing("stream", name, registry().streams, "a dotted path"))
    module, _, attribute = found.spec.factory.partition(":")
    declared = {option.name: option for option in found.spec.options}
    for option in found.spec.options:
        if option.required and option.name not in options:
            raise ValueError(f"{name} needs {option.name}: {option.doc}")
    values = {}
    for key, value in options.items():
        if key != "class":
            values[key] = declared[key].read(value) if key in declared and isinstance(value, str) else value
    factory = getattr(import_module(module), attribute)
    return factory(**values)


class Sink:
    """A stream that is open, and how many pipes lead to it."""

    __slots__ = ("key", "pipes", "stream")

    def __init__(self, key: Hashable, stream: Stream) -> None:
        self.key = key
        self.stream = stream
        self.pipes = 0


class Sinks:
    """The streams of a daemon that are in use. Any thread may ask."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._sinks: dict[Hashable, Sink] = {}
        self._lock = threading.Lock()

    def lease(self, options: Mapping[str, str], custom: Custom | None = None) -> Sink:
        """Return the sink with these options for one more pipe. Raise ``OSError`` or ``ValueError``.

        A ``custom`` stream is that of one watcher, and run by another process.
        """
        key = frozenset(options.items()) if custom is None else custom.description
        with self._lock:
            sink = self._sinks.get(key)
            if sink is None:
                stream = get_stream(options) if custom is None else RemoteStream(self._remote, custom)
                stream.open()
                sink = self._sinks[key] = Sink(key, stream)
            sink.pipes += 1
            return sink

    def release(self, sink: Sink) -> bool:
        """Count one pipe less; return whether it was the last."""
        with self._lock:
            sink.pipes -= 1
            return sink.pipes == 0

    def retire(self, sink: Sink) -> bool:
        """Forget a sink to which no pipe leads; return False if one does again, or it is forgotten already."""
        with self._lock:
            if sink.pipes or self._sinks.get(sink.key) is not sink:
                return False
            del self._sinks[sink.key]
            return True

    def all(self) -> list[Sink]:
        """Return all that are in use."""
        with self._lock:
            return list(self._sinks.values())
