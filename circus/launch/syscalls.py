"""What the standard library does not offer of Linux, each in one place."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
from collections.abc import Collection, Iterable
from functools import cache
from typing import Final

from circus.exc import SpawnError

_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_NAME_LENGTH: Final = 15
_PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)
_ADMIN_FOLDERS: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int | bytes) -> None:
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    zero = ctypes.c_ulong(0)
    if _libc().prctl(option, value, zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def become_subreaper() -> None:
    """Become the parent of every descendant whose own parent dies. Raise ``OSError`` if the kernel cannot."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_process_name(name: str) -> None:
    """Set the name that ``ps`` and ``top`` show for this thread's process; the kernel keeps the first 15 bytes."""
    _prctl(_PR_SET_NAME, os.fsencode(name)[:_NAME_LENGTH])


def default_signals() -> None:
    """Undo what this process inherited: signals that are ignored or blocked, which its children would inherit in turn.

    SIGPIPE and SIGXFSZ stay as Python has them; a spawn resets them. Must be called from the main thread, before
    handlers are set.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals():
        if number not in _PYTHON_IGNORES and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def open_standard_descriptors() -> None:
    """Open ``/dev/null`` in place of standard input, output or error where one is closed.

    Otherwise the next file or socket would take its number, and whatever is printed would go there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def cloexec_inherited(keep: Collection[int] = ()) -> None:
    """Mark every descriptor from 3 on, except ``keep``, close-on-exec: what circusd inherited is not its children's."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor not in keep:
            try:
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
                fcntl.fcntl(descriptor, fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)
            except OSError:
                continue  # the descriptor that listed the folder


@cache
def inherited_descriptors() -> frozenset[int]:
    """Return the descriptors from 3 on that a child would inherit; looked up once, at the first call.

    Whoever embeds Circus was started with some, perhaps. What Python opens later, no child inherits.
    """
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.add(int(name))
        except OSError:
            continue  # the descriptor that listed the folder
    return frozenset(found)


def has_capability(number: int) -> bool:
    """Return whether this process has an effective capability, such as 24 for CAP_SYS_RESOURCE."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"CapEff:"):
                return bool(int(line.split()[1], 16) >> number & 1)
    return os.geteuid() == 0


def util_linux(tool: str, stage: str) -> str:
    """Return the path of a tool of util-linux. Raise ``SpawnError`` if it is not installed."""
    search = f"{os.environ.get('PATH', os.defpath)}:{_ADMIN_FOLDERS}"
    for folder in search.split(os.pathsep):
        path = os.path.join(folder, tool)
        if folder.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise SpawnError(stage, f"the program {tool} is needed to set this and is not in {search}; install util-linux")


def kill_all(pids: Iterable[int], signum: int) -> None:
    """Send a signal to each process that is still there and may be sent one."""
    for pid in pids:
        try:
            os.kill(pid, signum)
        except (ProcessLookupError, PermissionError):
            continue
