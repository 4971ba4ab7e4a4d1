"""Start a process: what to run, then the system calls, and a plain word about what went wrong.

``subprocess.Popen`` does the work in C after a vfork, as long as it is asked for nothing that needs a real fork; for
processes that are told of sockets in systemd's way see :mod:`circus.launch.sockets`. Limits, and credentials beside
limits or with such sockets, are set by util-linux's ``prlimit`` and ``setpriv``, which replace themselves by the
program: no Python code runs between fork and exec.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from circus.config.variables import expand, process_lookup
from circus.exc import SpawnError
from circus.launch import credentials, limits, sockets
from circus.launch.command import (
    absolute,
    check_directory,
    check_loadable,
    find_program,
    no_interpreter,
    no_program,
    words,
)
from circus.launch.environment import environment, is_changed_by_shells, is_loaders
from circus.launch.outfit import Outfit

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings

_EXHAUSTED: Final = {
    errno.EAGAIN: "no more processes are allowed (ulimit -u, or the pids limit of the container or service)",
    errno.ENOMEM: "out of memory",
    errno.EMFILE: "circusd has no more file descriptors (raise its limit: ulimit -n)",
    errno.ENFILE: "the system has no more file descriptors (sysctl fs.file-max)",
}
_ENV: Final = "/usr/bin/env"
_NOTHING: Final = Outfit()


@dataclass(frozen=True, slots=True)
class Launch:
    """What a spawn will run. ``cwd`` is empty for circusd's own; ``prefix`` are the words before the
    program: of what sets limits and credentials, and hands variables over."""

    argv: list[str]
    program: str
    env: dict[str, str]
    cwd: str
    user: credentials.Identity | None
    prefix: list[str]


def prepare(
    settings: WatcherSettings, wid: int, *, mark: str, notify_address: str = "", outfit: Outfit = _NOTHING
) -> Launch:
    """Expand variables, split the command line, find the program and everything that the settings name.

    Raise ``SpawnError`` with its stage if something is missing.
    """
    lookup = process_lookup(settings, wid, outfit.numbers)
    env = environment(settings, lookup, mark, notify_address)
    cwd = absolute(expand(settings.working_dir, lookup)) if settings.working_dir else ""
    check_directory(cwd)
    argv = words(settings, lookup)
    executable = expand(settings.executable, lookup) if settings.executable else argv[0]
    program = find_program(executable, cwd, env)
    user = credentials.identity(settings.uid, settings.gid)
    prefix = limits.prefix(settings.rlimits) if settings.rlimits else []
    if user and (prefix or outfit.told):
        prefix += user.prefix()
    held = {
        name: value
        for name, value in env.items()
        if (user and prefix and is_loaders(name)) or (outfit.told and is_changed_by_shells(name))
    }
    if prefix or outfit.told:
        check_loadable(program, cwd)
    return Launch(argv, program, _without(env, held), cwd, user, prefix + _handing_over(held, program))


def _without(env: dict[str, str], held: Container[str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in held}


def _handing_over(held: Mapping[str, str], program: str) -> list[str]:
    """The words that give a program variables which what comes before it must not see, or would not pass on.

    ``prlimit`` and ``setpriv`` are root, and a watcher's environment must not run code in them; a shell drops names
    that it cannot write.
    """
    if not held:
        return []
    if "=" in program:  # env would take it for one more variable
        raise SpawnError("exec", f"{program}: a path with an = in it cannot be run here; rename it, or link to it")
    return [_ENV, *(f"{name}={value}" for name, value in held.items())]


def spawn(
    settings: WatcherSettings, *, wid: int, mark: str, notify_address: str = "", outfit: Outfit = _NOTHING
) -> int:
    """Start one process of a watcher and return its pid. Collecting it is up to the caller.

    The process leads a session of its own, and has no descriptors but those of its outfit. Raise ``SpawnError`` with
    the stage that failed.
    """
    try:
        launch = prepare(settings, wid, mark=mark, notify_address=notify_address, outfit=outfit)
    except OSError as error:
        raise SpawnError("resources", _EXHAUSTED.get(error.errno or 0, str(error))) from error
    except ValueError as error:  # a text with a zero byte, or one that cannot be encoded
        raise SpawnError("exec", f"the system cannot take what is to be run: {error}") from error
    try:
        return _told_of_sockets(settings, launch, outfit) if outfit.told else _plainly(settings, launch, outfit)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise _explain(error, launch) from error


def _plainly(settings: WatcherSettings, launch: Launch, outfit: Outfit) -> int:
    argv, program, user = launch.argv, launch.program, launch.user
    if launch.prefix:
        argv = [*launch.prefix, program, *argv[1:]]
        program, user = argv[0], None
    process = subprocess.Popen(
        argv,
        executable=program,
        env=launch.env,
        cwd=launch.cwd or None,
        stdin=_stream(outfit.stdin, settings.close_child_stdin),
        stdout=_stream(outfit.stdout, settings.close_child_stdout),
        stderr=_stream(outfit.stderr, settings.close_child_stderr),
        pass_fds=(*outfit.inherited, *outfit.sockets.values()),
        start_new_session=True,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=user.groups if user else None,
    )
    # The kernel's reaper collects it. A Popen without a return code would wait for it by itself, and warn.
    process.returncode = 0
    return process.pid


def _told_of_sockets(settings: WatcherSettings, launch: Launch, outfit: Outfit) -> int:
    program = f"./{launch.program}" if launch.program.startswith("-") else launch.program  # no option of the shell
    closed = (settings.close_child_stdin, settings.close_child_stdout, settings.close_child_stderr)
    return sockets.spawn([*launch.prefix, program, *launch.argv[1:]], launch.env, launch.cwd, outfit, closed)


def _stream(descriptor: int | None, closed: bool) -> int | None:
    if descriptor is not None:
        return descriptor
    return subprocess.DEVNULL if closed else None


def _explain(error: Exception, launch: Launch) -> SpawnError:
    """Find the stage at which the system refused."""
    if not isinstance(error, OSError):
        return SpawnError("exec", f"{launch.program}: {error}")
    if error.errno in _EXHAUSTED:
        return SpawnError("resources", _EXHAUSTED[error.errno])
    if error.errno == errno.EBADF:
        return SpawnError("sockets", "a descriptor that the process was to have is closed in circusd")
    try:
        check_directory(launch.cwd)
    except SpawnError as failure:
        return failure
    text = os.strerror(error.errno or 0)
    if error.filename != launch.program and launch.user is not None and error.errno in (errno.EPERM, errno.EINVAL):
        return SpawnError("credentials", f"circusd may not become {launch.user}: {text}")
    if error.errno == errno.ENOENT and os.path.exists(os.path.join(launch.cwd, launch.program)):
        return no_interpreter(launch.program)
    if error.errno == errno.ENOEXEC:
        return no_program(launch.program)
    if error.errno == errno.EACCES and launch.user is not None:
        return SpawnError(
            "exec", f"{launch.user} may not run {launch.program}: check the file and every folder above it"
        )
    return SpawnError("exec", f"{launch.program}: {text}")
