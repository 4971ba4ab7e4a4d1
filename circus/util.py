"""Small conversions, and the places where the daemon and its clients meet. Every command-line tool imports this."""

from __future__ import annotations

import os
import pwd
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_TRUE = frozenset(("yes", "true", "on", "1"))
_FALSE = frozenset(("no", "false", "off", "0"))
_POWERS = "KMGTPE"


def to_bool(value: object) -> bool:
    """Read yes/no, true/false, on/off, 1/0 in any letter case. Raise ``ValueError`` for anything else."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{value!r} is not a boolean; write one of yes, no, true, false, on, off, 1, 0")


def to_signum(value: int | str) -> int:
    """Return the number of a signal spelled in any way: ``15``, ``"15"``, ``"TERM"``, ``"sigterm"``, ``"SIGRTMIN+1"``.

    Raise ``ValueError`` for a name or number that this system does not have.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        number = _named_signal(str(value).strip())
    if number not in signal.valid_signals():
        raise ValueError(f"{value!r} is not a signal; write a name such as TERM or SIGQUIT, or a number")
    return number


def _named_signal(text: str) -> int:
    if text.isdigit():
        return int(text)
    name, plus, offset = text.upper().partition("+")
    if not name.startswith("SIG"):
        name = "SIG" + name
    base = getattr(signal, name, None)
    if not isinstance(base, signal.Signals) or (plus and not offset.isdigit()):
        return -1
    return int(base) + (int(offset) if plus else 0)


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGTERM``; real-time signals as ``SIGRTMIN+n``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        offset = number - signal.SIGRTMIN
        return f"SIGRTMIN+{offset}" if 0 < offset <= signal.SIGRTMAX - signal.SIGRTMIN else f"signal {number}"


def describe_exit(exit_code: int) -> str:
    """Say how a process ended: ``exit code 3`` or ``killed by SIGKILL`` (a negative code is a signal)."""
    return f"killed by {signal_name(-exit_code)}" if exit_code < 0 else f"exit code {exit_code}"


def human_size(size: float) -> str:
    """Print bytes as users of ``stats`` know it: ``1.47M``, or ``512B`` below one kibibyte."""
    if size < 1024:
        return f"{int(size)}B"
    power = 0
    while size >= 1024 and power < len(_POWERS):
        size /= 1024
        power += 1
    return f"{size:.2f}{_POWERS[power - 1]}"


def load_public(namespace: dict[str, Any], public: Mapping[str, str], name: str) -> object:
    """Return what a package's ``__getattr__`` was asked for, and keep it in ``namespace``, the package's globals.

    ``public`` has the module that defines each public name. Raise ``AttributeError`` for any other.
    """
    if name not in public:
        raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
    from importlib import import_module

    value = namespace[name] = getattr(import_module(public[name]), name)
    return value


def runtime_dir() -> str:
    """Return the folder of the default endpoints.

    That is ``/run/circus`` for root, else a folder below ``$XDG_RUNTIME_DIR`` or the home folder.

    It is not created here: the daemon makes it, with mode 0700.
    """
    if os.geteuid() == 0:
        return "/run/circus"
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return os.path.join(base, "circus")
    home = os.environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
    return os.path.join(home, ".circus")


def default_endpoint() -> str:
    """Return where commands go by default: ``$CIRCUSCTL_ENDPOINT``, else a local socket."""
    return os.environ.get("CIRCUSCTL_ENDPOINT") or f"ipc://{runtime_dir()}/endpoint"


def default_pubsub_endpoint() -> str:
    """Return where events come from by default: ``$CIRCUS_PUBSUB_ENDPOINT``, else a local socket."""
    return os.environ.get("CIRCUS_PUBSUB_ENDPOINT") or f"ipc://{runtime_dir()}/pubsub"


def default_stats_endpoint() -> str:
    """Return where statistics come from by default: ``$CIRCUS_STATS_ENDPOINT``, else a local socket."""
    return os.environ.get("CIRCUS_STATS_ENDPOINT") or f"ipc://{runtime_dir()}/stats"
