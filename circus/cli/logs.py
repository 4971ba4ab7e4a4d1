"""circusd's log: its lines, and where they go."""

from __future__ import annotations

import json
import logging
import os
import select
from typing import TYPE_CHECKING, Any

from circus.exc import CircusError

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = {"critical": 50, "error": 40, "warning": 30, "info": 20, "debug": 10}
"""Names of the log levels, and their numbers."""

_FORMAT = "%(asctime)s circus[%(process)d] [%(levelname)s] %(message)s"
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_SYSLOG_TIME_FORMAT = "%b %d %H:%M:%S"

# What is written to a pipe that poll calls writable never blocks when it is no longer than this.
_PIPE_ATOM = select.PIPE_BUF
# Milliseconds that a reader who has kept up so far is given to make room.
_PATIENCE = 50

_installed: list[logging.Handler] = []


def configure(
    level: str = "INFO", output: str = "-", config_file: str | None = None, standard_error: int = 2
) -> logging.Logger:
    """Set up logging and return the logger ``circus``. A later call replaces what an earlier one has set up.

    ``level`` is a name in either case. ``output`` is ``-`` for standard error, a file, which is opened again when it
    has been moved, ``syslog://HOST:PORT?FACILITY`` or ``syslog:///PATH?FACILITY``. ``config_file`` is a logging
    configuration in INI, JSON or YAML, which decides instead of the others.

    No line ever stops the daemon: those that a full disk or a reader who has stopped reading does not take are
    counted, and the next line that is taken is preceded by their number. ``standard_error`` is the descriptor for it.

    Raise :class:`~circus.exc.CircusError` for what cannot be set up.
    """
    logger = logging.getLogger("circus")
    if config_file is not None:
        _load(config_file)
        return logger
    number = level_number(level)
    handler = _handler(output, standard_error)
    root = logging.getLogger()
    while _installed:
        old = _installed.pop()
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    _installed.append(handler)
    logger.setLevel(number)
    return logger


def level_number(level: str) -> int:
    """Return the number of a log level. Raise :class:`~circus.exc.CircusError` for a name that is none."""
    try:
        return LEVELS[level.strip().lower()]
    except KeyError:
        raise CircusError(f"log level {level!r}: write one of {', '.join(LEVELS)}") from None


def _handler(output: str, standard_error: int) -> logging.Handler:
    handler: logging.Handler
    if output == "-":
        handler = StandardError(standard_error)
    else:
        from circus.cli.logfiles import open_file, open_syslog

        handler = open_syslog(output) if output.startswith("syslog:") else open_file(output)
    time_format = _SYSLOG_TIME_FORMAT if output.startswith("syslog:") else _TIME_FORMAT
    handler.setFormatter(logging.Formatter(_FORMAT, time_format))
    return handler


class LossCounter(logging.Handler):
    """A handler that counts the lines it cannot deliver, and tells their number once it can deliver again.

    Subclasses deliver one line in ``deliver`` and raise ``OSError`` when that cannot be done now.
    """

    lost = 0

    def deliver(self, record: logging.LogRecord, line: str) -> None:
        """Write ``line``, which is ``record`` in its format; raise ``OSError`` if that cannot be done now."""
        raise NotImplementedError

    def emit(self, record: logging.LogRecord) -> None:
        """Deliver a record, or count it as lost."""
        try:
            if self.lost:
                self._tell(record)
            self.deliver(record, self.format(record))
        except OSError:
            self.lost += 1
        except Exception:
            self.handleError(record)

    def _tell(self, record: logging.LogRecord) -> None:
        text = f"{self.lost} lines of this log could not be written and are lost"
        notice = logging.LogRecord("circus", logging.WARNING, "", 0, text, None, None)
        self.deliver(notice, self.format(notice))
        self.lost = 0


class StandardError(LossCounter):
    """Writes lines to standard error, and never waits long for a reader: a daemon must outlive a stalled pipe."""

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor

    def deliver(self, record: logging.LogRecord, line: str) -> None:
        """Write one line."""
        data = line.encode(errors="backslashreplace") + b"\n"
        patience = 0 if self.lost else _PATIENCE
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        for start in range(0, len(data), _PIPE_ATOM):
            if not poll.poll(patience):
                raise BlockingIOError("standard error does not take more")
            os.write(self._descriptor, data[start : start + _PIPE_ATOM])


def _load(path: str) -> None:
    import logging.config

    loaders: dict[str, Callable[[str], Any]] = {".ini": _read_text, ".json": _read_json, ".yaml": _read_yaml}
    loaders[".yml"] = loaders[".yaml"]
    kind = os.path.splitext(path)[1].lower()
    if kind not in loaders:
        raise CircusError(f"loggerconfig '{path}': the name must end in .ini, .json, .yaml or .yml")
    try:
        content = loaders[kind](path)
        if kind == ".ini":
            logging.config.fileConfig(path, disable_existing_loggers=False)
        else:
            logging.config.dictConfig(content)
    except CircusError:
        raise
    except Exception as exc:  # whatever a handler named in the file raises
        raise CircusError(f"loggerconfig '{path}': {_one_line(exc)}") from None


def _read_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _read_json(path: str) -> Any:
    return _mapping(json.loads(_read_text(path)))


def _read_yaml(path: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise CircusError(f"loggerconfig '{path}': reading YAML needs PyYAML; pip install 'circus[yaml]'") from None
    return _mapping(yaml.safe_load(_read_text(path)))


def _mapping(content: Any) -> Any:
    if not isinstance(content, dict):
        raise ValueError("the file holds no mapping")
    content.setdefault("version", 1)
    content.setdefault("disable_existing_loggers", False)
    return content


def _one_line(exc: BaseException) -> str:
    """Say what went wrong. Logging's own errors only name the handler; the reason is their cause."""
    reasons = []
    current: BaseException | None = exc
    while current is not None:
        text = " ".join(str(current).split()) or type(current).__name__
        reasons.append(f"no such entry: {text}" if isinstance(current, KeyError) else text)
        current = current.__cause__
    return ": ".join(reasons)
