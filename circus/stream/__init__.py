"""What becomes of output. This registers the classes of streams that come with Circus, each loaded at its first use."""

from __future__ import annotations

from circus.hooks import OptionSpec, PluginSpec, StreamSpec, hookimpl

_PUBLIC = {
    "Failure": "circus.stream.base",
    "FileStream": "circus.stream.files",
    "Loss": "circus.stream.base",
    "Source": "circus.stream.base",
    "Stream": "circus.stream.base",
}

_FILENAME = OptionSpec("filename", "text", doc="the file", required=True)
_TIME_FORMAT = OptionSpec("time_format", "text", doc="format of the time before each line, as strftime has it")
_OWNER = OptionSpec("owner", "text", doc="user or user:group of files that are created")
_MODE = OptionSpec("mode", "octal", doc="mode of files that are created; by default as the umask has it")
_FILE = (_FILENAME, _TIME_FORMAT, _OWNER, _MODE)
_BACKUP_COUNT = OptionSpec("backup_count", "integer(min=0)", 0, doc="number of old files that are kept")


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
    return [
        StreamSpec(
            "FileStream",
            "circus.stream:FileStream",
            options=(
                *_FILE,
                OptionSpec("max_bytes", "integer(min=0)", 0, doc="size at which a new file is begun; 0: never"),
                _BACKUP_COUNT,
            ),
            doc="Append to a file, and begin a new one when it is full.",
        ),
        StreamSpec(
            "TimedRotatingFileStream",
            "circus.stream:TimedRotatingFileStream",
            options=(
                *_FILE,
                _BACKUP_COUNT,
                OptionSpec(
                    "rotate_when",
                    "keyword(S, M, H, D, W0, W1, W2, W3, W4, W5, W6, midnight)",
                    "H",
                    doc="unit of rotate_interval: seconds, minutes, hours, days, a weekday from Monday on, midnight",
                ),
                OptionSpec("rotate_interval", "integer(min=1)", 1, doc="units after which a new file is begun"),
                OptionSpec("utc", "boolean", False, doc="times are UTC, not local"),
            ),
            doc="Append to a file, and begin a new one as time goes by.",
        ),
        StreamSpec(
            "WatchedFileStream",
            "circus.stream:WatchedFileStream",
            options=_FILE,
            doc="Append to a file that something else moves away.",
        ),
        StreamSpec("StdoutStream", "circus.stream:StdoutStream", doc="Write to circusd's standard output."),
        StreamSpec(
            "FancyStdoutStream",
            "circus.stream:FancyStdoutStream",
            options=(OptionSpec("color", "text", doc="colour of the lines; one at random by default"), _TIME_FORMAT),
            doc="Write to circusd's standard output in colour, each line with its time and process id.",
        ),
        StreamSpec("QueueStream", "circus.stream:QueueStream", doc="Put each piece into a queue, for programs."),
    ]


def __getattr__(name: str) -> object:
    """Load the public name ``name`` from the module that defines it."""
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
