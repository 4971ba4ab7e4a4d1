"""The functions for hooks that come with Circus, for ``hooks.before_start = wait_for_port(localhost:6379)``.

Each is called as ``function(watcher, arbiter, hook_name, *arguments, **named)``, where ``arguments`` and some of
``named`` are what stands in the brackets after its name, as texts, which it converts itself; the rest of ``named`` is
what the hook passes. The functions of other distributions are called in the same way.

Those that wait return True, or raise with what was waited for, for how long, and why it was not there. They end early
when the watcher is stopped or the process that runs them ends, and at the deadline that ``hook_timeout`` sets.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import math
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import IO, Any, Final

from circus.hooks.proxies import ArbiterProxy, WatcherProxy
from circus.hooks.running import RUNNING, Run
from circus.util import describe_exit

log = logging.getLogger("circus")

PAUSE: Final = 0.1
"""Seconds between two attempts."""
ATTEMPT: Final = 5.0
"""Seconds that one attempt may take, so that the one after it finds what has changed meanwhile."""

_NOT_FOR_CHILDREN: Final = frozenset(
    "NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC LISTEN_PID LISTEN_FDS LISTEN_FDNAMES LISTEN_PIDFDID PYTHONPATH".split()
)
"""What the runner's own environment has for the runner alone."""
_MARK: Final = "CIRCUS_MARK"
"""By this variable circusd knows, and ends, what a process has started and left behind."""


def wait_for_port(
    watcher: WatcherProxy, arbiter: ArbiterProxy, hook_name: str, address: str, timeout: str = "30", **kwargs: Any
) -> bool:
    """Wait until something accepts connections at ``HOST:PORT`` or at the path of a Unix socket."""
    attempt: Callable[[float], None]
    if "/" in address:
        path = _absolute(watcher, address)

        def attempt(seconds: float) -> None:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(seconds)
                connection.connect(path)
    else:
        host, _, port = address.rpartition(":")
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{address!r} has no port; write HOST:PORT, such as localhost:6379, or a path with a /")
        target = (host.strip("[]") or "localhost", int(port))

        def attempt(seconds: float) -> None:
            socket.create_connection(target, seconds).close()

    return _wait_for(f"connections at {address}", timeout, attempt)


def wait_for_http(
    watcher: WatcherProxy,
    arbiter: ArbiterProxy,
    hook_name: str,
    url: str,
    timeout: str = "30",
    status: str = "",
    **kwargs: Any,
) -> bool:
    """Wait until a URL answers with one of the numbers in ``status``; by default any below 400.

    Redirects are not followed, and no proxy is used.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no URL to ask for; write http://… or https://…")
    try:
        wanted = [int(number) for number in status.replace(",", " ").split()]
    except ValueError:
        raise ValueError(f"status is {status!r}; write a number such as 200, or several with blanks between") from None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)

    def attempt(seconds: float) -> None:
        try:
            with opener.open(url, timeout=seconds) as answer:
                number = answer.status
        except urllib.error.HTTPError as error:
            with error:
                number = error.code
        except http.client.HTTPException as error:
            raise OSError(f"no answer in HTTP ({type(error).__name__}: {error})") from None
        if number not in wanted if wanted else number >= 400:
            raise OSError(f"it answers with the status {number}")

    return _wait_for(f"{url} to answer{f' with {status}' if wanted else ''}", timeout, attempt)


def wait_for_file(
    watcher: WatcherProxy, arbiter: ArbiterProxy, hook_name: str, path: str, timeout: str = "30", **kwargs: Any
) -> bool:
    """Wait until a path exists, whatever it is; a relative one begins in the watcher's ``working_dir``."""
    absolute = _absolute(watcher, path)

    def attempt(seconds: float) -> None:
        os.stat(absolute)

    return _wait_for(f"the file {absolute}", timeout, attempt)


def run_command(
    watcher: WatcherProxy, arbiter: ArbiterProxy, hook_name: str, cmd: str, timeout: str = "0", **kwargs: Any
) -> bool:
    """Run a command line, without a shell, in the watcher's environment and ``working_dir``; 0 seconds: no time limit.

    It runs as the user that circusd runs as. Its output goes to the log. What the hook passes is in its environment:
    ``CIRCUS_HOOK_NAME``, ``CIRCUS_WATCHER_NAME``, ``CIRCUS_PID``, ``CIRCUS_EXIT_CODE`` …; and ``CIRCUSCTL_ENDPOINT``,
    so that circusctl finds this daemon. An exit code other than 0 is an error.
    """
    run = RUNNING.get(None) or Run(watcher.name, hook_name)
    options = watcher.options()
    passed = {"hook_name": hook_name, "watcher_name": watcher.name, **kwargs}
    env = _environment(options)
    env.update((f"CIRCUS_{name.upper()}", f"{value}") for name, value in passed.items() if not isinstance(value, dict))
    env["CIRCUSCTL_ENDPOINT"] = arbiter.endpoint
    limit = _seconds(timeout) or math.inf
    try:
        words = shlex.split(cmd)
        if not words:
            raise ValueError("it is empty; write the program and its arguments")
        child = subprocess.Popen(
            words,
            env=env,
            cwd=options["working_dir"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise RuntimeError(f"the command {cmd!r} cannot be run: {error}") from None
    reader = threading.Thread(target=_log_output, args=(child.stdout, str(run)), daemon=True)
    reader.start()
    try:
        code = _exit_code(child, cmd, limit, run)
    finally:
        # What it has left behind may hold the pipe for ever.
        reader.join(1.0)
    if code != 0:
        how = f"was {describe_exit(code)}" if code < 0 else f"ended with {describe_exit(code)}"
        raise RuntimeError(f"the command {cmd!r} {how}; its output is in the log")
    return True


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        """No other request is made."""


def _wait_for(what: str, timeout: str, attempt: Callable[[float], None]) -> bool:
    run = RUNNING.get(None) or Run("a watcher", "a hook")
    limit = _until_deadline(_seconds(timeout), run)
    begun = time.monotonic()
    while True:
        left = begun + limit - time.monotonic()
        try:
            attempt(max(PAUSE, min(left, ATTEMPT)))
            return True
        except OSError as error:
            last = str(error) or type(error).__name__
        left = begun + limit - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"waited {limit:.3g} s for {what}; the last error: {last}")
        if run.unwanted.wait(min(PAUSE, left)):
            raise InterruptedError(f"waited for {what} until nobody wanted it any more; the last error: {last}")


def _exit_code(child: subprocess.Popen[bytes], cmd: str, limit: float, run: Run) -> int:
    limit = _until_deadline(limit, run)
    try:
        with run.aborted_by(partial(_kill_session, child.pid)):
            return child.wait(None if limit == math.inf else limit)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"the command {cmd!r} had not ended after {limit:.3g} s and was killed") from None
    finally:
        if child.returncode is None:
            _kill_session(child.pid)
            child.wait()


def _kill_session(session: int) -> None:
    """End every process of a session, whatever group it has gone to."""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and os.getsid(int(entry)) == session:
                os.kill(int(entry), signal.SIGKILL)


def _log_output(pipe: IO[bytes], about: str) -> None:
    with pipe:
        while line := pipe.readline(65536):
            log.info("%s: %s", about, line.decode(errors="replace").rstrip())


def _environment(options: dict[str, Any]) -> dict[str, str]:
    """The environment of the watcher's processes, and the mark by which circusd knows whose child this is."""
    env: dict[str, str] = {}
    if options["copy_env"]:
        env.update((name, value) for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN)
    env.update(options["env"])
    if options["copy_path"] and "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [env.get("PYTHONPATH"), os.environ["PYTHONPATH"]]))
    if options["virtualenv"]:
        env["VIRTUAL_ENV"] = os.path.abspath(options["virtualenv"])
        env["PATH"] = os.pathsep.join([os.path.join(env["VIRTUAL_ENV"], "bin"), env.get("PATH", os.defpath)])
    if _MARK in os.environ:
        env[_MARK] = os.environ[_MARK]
    return env


def _absolute(watcher: WatcherProxy, path: str) -> str:
    return path if os.path.isabs(path) else os.path.join(watcher.options()["working_dir"], path)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise ValueError(f"timeout is {text!r}; write a number of seconds, such as 30")
    return seconds


def _until_deadline(limit: float, run: Run) -> float:
    """The time limit, or what is left of the hook's if that is less."""
    return limit if run.deadline is None else max(0.0, min(limit, run.deadline - time.time()))
