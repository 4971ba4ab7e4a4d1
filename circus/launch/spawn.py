"""Start a process: what to run, then the system calls, and a plain word about what went wrong.

``subprocess.Popen`` does the work in C after a vfork, as long as it is asked for nothing that needs a real fork.
Limits, and credentials beside limits, are set by util-linux's ``prlimit`` and ``setpriv``, which replace themselves by
the program: no Python code runs between fork and exec.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from circus.config.variables import Lookup, expand, process_lookup
from circus.exc import SpawnError
from circus.launch import credentials, limits
from circus.launch.environment import environment
from circus.launch.outfit import Outfit

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings

_SHELL: Final = "/bin/sh"
_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_EXHAUSTED: Final = {
    errno.EAGAIN: "no more processes are allowed (ulimit -u, or the pids limit of the container or service)",
    errno.ENOMEM: "out of memory",
    errno.EMFILE: "circusd has no more file descriptors (raise its limit: ulimit -n)",
    errno.ENFILE: "the system has no more file descriptors (sysctl fs.file-max)",
}
_ENV: Final = "/usr/bin/env"
_LOADER_PREFIXES: Final = ("LD_", "MALLOC_", "GLIBC_")
_LOADER_NAMES: Final = frozenset(
    "GCONV_PATH GETCONF_DIR HOSTALIASES LOCALDOMAIN LOCPATH NIS_PATH NLSPATH RESOLV_HOST_CONF RES_OPTIONS TMPDIR "
    "TZDIR".split()
)
_NO_SOCKETS: Final[Mapping[str, int]] = {}
_NOTHING: Final = Outfit()


@dataclass(frozen=True, slots=True)
class Launch:
    """What a spawn will run. ``cwd`` is empty for circusd's own; ``prefix`` are the words that set limits."""

    argv: list[str]
    program: str
    env: dict[str, str]
    cwd: str
    user: credentials.Identity | None
    prefix: list[str]


def prepare(
    settings: WatcherSettings,
    wid: int,
    *,
    mark: str,
    notify_address: str = "",
    sockets: Mapping[str, int] = _NO_SOCKETS,
) -> Launch:
    """Expand variables, split the command line, find the program and everything that the settings name.

    Raise ``SpawnError`` with its stage if something is missing.
    """
    lookup = process_lookup(settings, wid, sockets)
    env = environment(settings, lookup, mark, notify_address)
    cwd = _absolute(expand(settings.working_dir, lookup)) if settings.working_dir else ""
    _check_directory(cwd)
    argv = _command(settings, lookup)
    executable = expand(settings.executable, lookup) if settings.executable else argv[0]
    program = find_program(executable, cwd, env)
    user = credentials.identity(settings.uid, settings.gid)
    prefix: list[str] = []
    if settings.rlimits:
        prefix = limits.prefix(settings.rlimits)
        if user:
            env, held = _without_loader_variables(env)
            prefix += user.prefix() + held
    return Launch(argv, program, env, cwd, user, prefix)


def _without_loader_variables(env: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Keep from ``env`` what would let a watcher's environment run code in ``prlimit`` and ``setpriv``, which are root.

    Return the rest, and the words that hand it to the program once the privileges are gone. These are the variables
    that glibc itself ignores in privileged programs.
    """
    held = {name: value for name, value in env.items() if name.startswith(_LOADER_PREFIXES) or name in _LOADER_NAMES}
    if not held:
        return env, []
    rest = {name: value for name, value in env.items() if name not in held}
    return rest, [_ENV, *(f"{name}={value}" for name, value in held.items())]


def spawn(
    settings: WatcherSettings,
    *,
    wid: int,
    mark: str,
    notify_address: str = "",
    outfit: Outfit = _NOTHING,
) -> int:
    """Start one process of a watcher and return its pid. Collecting it is up to the caller.

    The process leads a session of its own and has no descriptors but 0, 1, 2 and those of its ``outfit``. Raise
    ``SpawnError`` with the stage that failed.
    """
    try:
        launch = prepare(settings, wid, mark=mark, notify_address=notify_address, sockets=outfit.numbers)
    except OSError as error:
        raise SpawnError("resources", _EXHAUSTED.get(error.errno or 0, str(error))) from error
    except ValueError as error:  # a text with a zero byte, or one that cannot be encoded
        raise SpawnError("exec", f"the system cannot take what is to be run: {error}") from error
    argv, program, user = launch.argv, launch.program, launch.user
    if launch.prefix:
        argv = [*launch.prefix, program, *argv[1:]]
        program, user = argv[0], None
    try:
        process = subprocess.Popen(
            argv,
            executable=program,
            env=launch.env,
            cwd=launch.cwd or None,
            stdin=_stream(outfit.stdin, settings.close_child_stdin),
            stdout=_stream(outfit.stdout, settings.close_child_stdout),
            stderr=_stream(outfit.stderr, settings.close_child_stderr),
            pass_fds=outfit.inherited,
            start_new_session=True,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=user.groups if user else None,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise _explain(error, launch) from error
    # The kernel's reaper collects it. A Popen without a return code would wait for it by itself, and warn.
    process.returncode = 0
    return process.pid


def _stream(descriptor: int | None, closed: bool) -> int | None:
    if descriptor is not None:
        return descriptor
    return subprocess.DEVNULL if closed else None


def _command(settings: WatcherSettings, lookup: Lookup) -> list[str]:
    """The words of the command line. Variables come before splitting, so that one can hold several words."""
    text = expand(settings.cmd, lookup)
    args = settings.args
    if settings.shell:
        tail = expand(args, lookup) if isinstance(args, str) else shlex.join(expand(arg, lookup) for arg in args)
        if not text.strip():
            raise SpawnError("exec", "cmd is empty; write what to run")
        extra = _split(expand(settings.shell_args, lookup), "shell_args") if settings.shell_args else ()
        return [_SHELL, "-c", f"{text} {tail}".rstrip(), *extra]
    words = list(_split(text, "cmd"))
    if isinstance(args, str):
        words += _split(expand(args, lookup), "args")
    else:
        words += [expand(arg, lookup) for arg in args]
    if not words or not words[0]:
        raise SpawnError("exec", "cmd is empty; write what to run")
    return words


@lru_cache(maxsize=256)
def _split(text: str, option: str) -> tuple[str, ...]:
    if not any(quote in text for quote in "\"'\\"):
        return tuple(word for word in _BLANKS.split(text) if word)
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise SpawnError("exec", f"{option} cannot be split into words: {error}; the text is {text!r}") from None


def find_program(name: str, cwd: str, env: Mapping[str, str]) -> str:
    """Return the path of a program, as seen from ``cwd``, looked up as the process itself would.

    A name with a slash is relative to ``cwd`` (empty: circusd's), any other is searched in PATH: that of ``env``, or
    circusd's own if it has none. Raise ``SpawnError`` if there is none that can be run.
    """
    if "/" in name:
        path = os.path.join(cwd, name)
        _check_directory(cwd)
        reason = _unfit(path)
        if reason:
            raise SpawnError("exec", f"{path} {reason}")
        return name
    whose = "the process's own" if "PATH" in env else "circusd's"
    search = env["PATH"] if "PATH" in env else os.environ.get("PATH", os.defpath)
    refused = ""
    for folder in search.split(os.pathsep):
        path = os.path.join(cwd, folder, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
        if not refused and os.access(path, os.F_OK):
            refused = f"; {path} {_unfit(path)}"
    raise SpawnError("exec", f"program {name!r} not found in PATH ({whose}: {search}){refused}")


def _unfit(path: str) -> str:
    """Say why a file cannot be run; an empty text if it can."""
    if os.access(path, os.X_OK) and os.path.isfile(path):
        return ""
    try:
        os.stat(path)
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be reached: {os.strerror(error.errno or 0)}"
    if not os.path.isfile(path):
        return "is not a file"
    return "is not executable (chmod +x makes it so, unless its file system is mounted with noexec)"


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)
    except FileNotFoundError:
        raise SpawnError(
            "chdir", f"working_dir {folder!r} is relative to a folder that is gone: circusd's own"
        ) from None


def _check_directory(cwd: str) -> None:
    if not cwd:
        return
    try:
        os.stat(os.path.join(cwd, "."))
    except OSError as error:
        raise SpawnError("chdir", f"working_dir {cwd}: {os.strerror(error.errno or 0)}") from None
    if not os.access(cwd, os.X_OK):
        raise SpawnError("chdir", f"working_dir {cwd}: no permission to enter it")


def _explain(error: Exception, launch: Launch) -> SpawnError:
    """Find the stage at which the system refused."""
    if not isinstance(error, OSError):
        return SpawnError("exec", f"{launch.program}: {error}")
    if error.errno in _EXHAUSTED:
        return SpawnError("resources", _EXHAUSTED[error.errno])
    try:
        _check_directory(launch.cwd)
    except SpawnError as failure:
        return failure
    text = os.strerror(error.errno or 0)
    if error.filename != launch.program and launch.user is not None and error.errno in (errno.EPERM, errno.EINVAL):
        return SpawnError("credentials", f"circusd may not become {launch.user}: {text}")
    if error.errno == errno.ENOENT and os.path.exists(os.path.join(launch.cwd, launch.program)):
        return SpawnError(
            "exec", f"{launch.program}: the interpreter named in its first line, or its loader, is missing"
        )
    if error.errno == errno.ENOEXEC:
        return SpawnError("exec", f"{launch.program} is neither a program of this system nor a script with a #! line")
    if error.errno == errno.EACCES and launch.user is not None:
        return SpawnError(
            "exec", f"{launch.user} may not run {launch.program}: check the file and every folder above it"
        )
    return SpawnError("exec", f"{launch.program}: {text}")
