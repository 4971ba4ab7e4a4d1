"""The environment that a watcher's processes start with."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from circus.config.variables import Lookup, expand
from circus.exc import SpawnError

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings

MARK: Final = "CIRCUS_MARK"
"""The variable that every process inherits from its ancestors under Circus, one mark for each daemon above it."""

_OWN: Final = frozenset(
    ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
)
"""What a service manager told circusd and nobody else."""

_LOADER_PREFIXES: Final = ("LD_", "MALLOC_", "GLIBC_")
_LOADER_NAMES: Final = frozenset(
    "GCONV_PATH GETCONF_DIR HOSTALIASES LOCALDOMAIN LOCPATH NIS_PATH NLSPATH RESOLV_HOST_CONF RES_OPTIONS TMPDIR "
    "TZDIR".split()
)
_SHELL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SHELLS_OWN: Final = frozenset(
    "BASHOPTS BASH_ENV ENV IFS LINENO OLDPWD OPTIND POSIXLY_CORRECT PPID PS1 PS2 PS3 PS4 PWD SHELLOPTS SHLVL _".split()
)


def environment(settings: WatcherSettings, lookup: Lookup, mark: str, notify_address: str = "") -> dict[str, str]:
    """Return the environment of a process that starts now.

    ``lookup`` gives the variables ``$(circus.NAME)``, ``mark`` is appended to the marks that circusd itself inherited,
    and ``notify_address`` is where the process says that it is ready. Raise ``SpawnError`` if the virtualenv is none.
    """
    result = _inherited() if settings.copy_env else {}
    for name, value in settings.env.items():
        result[name] = expand(value, lookup)
    if settings.copy_path:
        _append_path(result, "PYTHONPATH", [os.path.abspath(entry) for entry in sys.path])
    if settings.virtualenv:
        _activate(result, expand(settings.virtualenv, lookup), settings.virtualenv_py_ver)
    inherited = os.environ.get(MARK)
    result[MARK] = f"{inherited},{mark}" if inherited else mark
    if notify_address:
        result["NOTIFY_SOCKET"] = notify_address
    return result


def is_loaders(name: str) -> bool:
    """Whether a variable is one that glibc ignores in privileged programs, as it would have code run in them."""
    return name.startswith(_LOADER_PREFIXES) or name in _LOADER_NAMES


def is_changed_by_shells(name: str) -> bool:
    """Whether a variable does not pass through every shell as it is: no name to a shell, or one of its own."""
    return name in _SHELLS_OWN or not _SHELL_NAME.fullmatch(name)


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OWN}


def _activate(env: dict[str, str], folder: str, version: str | None) -> None:
    home = Path(folder).absolute()
    if not home.is_dir():
        raise SpawnError("exec", f"virtualenv {folder!r} is not a folder; create it, or correct the option virtualenv")
    packages = _site_packages(home, version)
    env["VIRTUAL_ENV"] = str(home)
    env.pop("PYTHONHOME", None)
    _prepend_path(env, "PATH", [str(home / "bin")])
    _prepend_path(env, "PYTHONPATH", [str(packages), *_pth_entries(packages)])


def _site_packages(home: Path, version: str | None) -> Path:
    if version:
        wanted = home / "lib" / f"python{version}" / "site-packages"
        found = [wanted] if wanted.is_dir() else []
    else:
        own = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        found = [own] if own.is_dir() else sorted(home.glob("lib/python*/site-packages"))
    if not found:
        kind = f"Python {version}" if version else "any Python"
        raise SpawnError(
            "exec",
            f"virtualenv {str(home)!r} has no site-packages for {kind}; correct virtualenv or virtualenv_py_ver",
        )
    return found[-1]


def _pth_entries(packages: Path) -> list[str]:
    """The folders that ``*.pth`` files add. Code in them is not run: it is for that Python, not for circusd."""
    entries = []
    for file in sorted(packages.glob("*.pth")):
        try:
            lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            continue
        for line in map(str.strip, lines):
            if line and not line.startswith(("#", "import ", "import\t")) and (packages / line).exists():
                entries.append(str(packages / line))
    return entries


def _prepend_path(env: dict[str, str], name: str, entries: list[str]) -> None:
    _join_path(env, name, entries, _entries(env, name))


def _append_path(env: dict[str, str], name: str, entries: list[str]) -> None:
    _join_path(env, name, _entries(env, name), entries)


def _entries(env: Mapping[str, str], name: str) -> list[str]:
    return [entry for entry in env.get(name, "").split(os.pathsep) if entry]


def _join_path(env: dict[str, str], name: str, first: list[str], then: list[str]) -> None:
    env[name] = os.pathsep.join(dict.fromkeys([*first, *then]))
