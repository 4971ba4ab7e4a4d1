"""The streams that come with Circus, as they are registered; none of their classes is loaded for that."""

from __future__ import annotations

from typing import Final

from circus.hooks import OptionSpec, StreamSpec

FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "security", "console", "clock"),
    *(f"local{number}" for number in range(8)),
)
"""Those of syslog, each at its number."""

UNITS: Final = ("S", "M", "H", "D", *(f"W{day}" for day in range(7)), "midnight")
"""Those by which files are rotated: seconds, minutes, hours, days, the ends of weekdays from Monday on, of each day."""

COLORS: Final = {"red": 1, "green": 2, "yellow": 3, "blue": 4, "magenta": 5, "cyan": 6, "white": 7}
"""Those of terminals, with their numbers."""

_FILENAME: Final = OptionSpec("filename", doc="the file", required=True)
_TIME_FORMAT: Final = OptionSpec("time_format", doc="format of the time before each line, as strftime has it")
_OWNER: Final = OptionSpec("owner", "owner", doc="user or user:group that a file is given to when it is created")
_MODE: Final = OptionSpec(
    "mode", "file_mode", doc="mode in octal of a file that is created; by default as umask has it"
)
_MAX_BYTES: Final = OptionSpec("max_bytes", "integer(min=0)", 0, doc="size at which a new file is begun; 0: never")
_BACKUP_COUNT: Final = OptionSpec("backup_count", "integer(min=0)", 0, doc="number of old files that are kept")
_ALL_KEPT: Final = OptionSpec("backup_count", "integer(min=0)", 0, doc="number of old files that are kept; 0: all")

STREAMS: Final = (
    StreamSpec(
        "FileStream",
        "circus.stream:FileStream",
        options=(_FILENAME, _TIME_FORMAT, _MAX_BYTES, _BACKUP_COUNT, _OWNER, _MODE),
        doc="Append to a file, and begin a new one when it is full.",
    ),
    StreamSpec(
        "TimedRotatingFileStream",
        "circus.stream:TimedRotatingFileStream",
        options=(
            _FILENAME,
            _TIME_FORMAT,
            _ALL_KEPT,
            OptionSpec(
                "rotate_when",
                f"keyword({', '.join(UNITS)})",
                "H",
                doc="seconds, minutes, hours, days, the end of a weekday (W0: Monday), or midnight",
            ),
            OptionSpec("rotate_interval", "integer(min=1)", 1, doc="units of rotate_when until a new file is begun"),
            OptionSpec("utc", "boolean", False, doc="times are UTC, not local"),
            _OWNER,
            _MODE,
        ),
        doc="Append to a file, and begin a new one as time goes by.",
    ),
    StreamSpec(
        "WatchedFileStream",
        "circus.stream:WatchedFileStream",
        options=(_FILENAME, _TIME_FORMAT, _OWNER, _MODE),
        doc="Append to a file that something else moves away.",
    ),
    StreamSpec("StdoutStream", "circus.stream:StdoutStream", doc="Write to circusd's standard output."),
    StreamSpec(
        "FancyStdoutStream",
        "circus.stream:FancyStdoutStream",
        options=(
            OptionSpec("color", doc=f"colour of the lines: {', '.join(COLORS)}; by default one of them at random"),
            OptionSpec("time_format", default="%Y-%m-%d %H:%M:%S", doc=_TIME_FORMAT.doc),
        ),
        doc="Write to circusd's standard output in colour, each line with its time and process id.",
    ),
    StreamSpec(
        "JSONStream",
        "circus.stream:JSONStream",
        options=(
            OptionSpec("filename", doc="the file; by default it is circusd's standard output"),
            _MAX_BYTES,
            _BACKUP_COUNT,
            _OWNER,
            _MODE,
        ),
        doc="Write each line as a JSON object, to a file or to circusd's standard output.",
    ),
    StreamSpec(
        "syslog",
        "circus.stream:SyslogStream",
        options=(
            OptionSpec("address", "log_address", "/dev/log", doc="the path of a socket, or HOST:PORT for UDP"),
            OptionSpec("facility", f"keyword({', '.join(FACILITIES)})", "daemon", doc="facility of the messages"),
            OptionSpec("ident", doc="name of the program in each message; by default that of the watcher"),
        ),
        doc="Send each line to syslog.",
    ),
    StreamSpec(
        "journald",
        "circus.stream:JournaldStream",
        options=(
            OptionSpec("ident", doc="name of the program in each entry; by default that of the watcher"),
            OptionSpec("address", default="/run/systemd/journal/socket", doc="the socket of journald"),
        ),
        doc="Send each line to the journal of systemd.",
    ),
    StreamSpec("stdout", "circus.stream:JoinedStream", doc="Only for stderr_stream: the pipe of stdout, in order."),
    StreamSpec("QueueStream", "circus.stream:QueueStream", doc="Only for programs: put each piece into a queue."),
)
