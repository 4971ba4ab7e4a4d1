"""What becomes of output. This registers the classes of streams that come with Circus, each loaded at its first use."""

from __future__ import annotations

from circus.hooks import PluginSpec, StreamSpec, hookimpl
from circus.stream.registration import STREAMS
from circus.util import load_public

_PUBLIC = {
    "Empty": "queue",
    "Failure": "circus.stream.base",
    "FancyStdoutStream": "circus.stream.console",
    "FileStream": "circus.stream.files",
    "JSONStream": "circus.stream.jsonlines",
    "JoinedStream": "circus.stream.joined",
    "JournaldStream": "circus.stream.journald",
    "Loss": "circus.stream.base",
    "QueueStream": "circus.stream.queues",
    "Source": "circus.stream.base",
    "StdoutStream": "circus.stream.console",
    "Stream": "circus.stream.base",
    "SyslogStream": "circus.stream.syslog",
    "TimedRotatingFileStream": "circus.stream.rotating",
    "WatchedFileStream": "circus.stream.watched",
    "get_stream": "circus.stream.getting",
}

RUNNER = PluginSpec(
    "streams",
    "circus.plugins.streams:StreamRunner",
    doc="Run the streams whose classes come from elsewhere.",
)


@hookimpl
def circus_register_plugins() -> list[PluginSpec]:
    """The process that runs streams which are not circusd's own."""
    return [RUNNER]


@hookimpl
def circus_register_streams() -> list[StreamSpec]:
    """The built-in streams."""
    return list(STREAMS)


def __getattr__(name: str) -> object:
    """Load the public name ``name`` from the module that defines it."""
    return load_public(globals(), _PUBLIC, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
