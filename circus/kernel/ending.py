"""How a process is ended: its stop signal, the graceful timeout, then SIGKILL for it and all that it started."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

from circus.kernel import states, tree, waiting
from circus.kernel.remains import REPEAT, UNKILLABLE_AFTER
from circus.launch.syscalls import kill_all

if TYPE_CHECKING:
    from circus.kernel.process import Process
    from circus.kernel.watcher import Watcher

log = logging.getLogger("circus")


def begin(
    watcher: Watcher, process: Process, reason: str, signum: int | None = None, timeout: float | None = None
) -> None:
    """Send the stop signal, and set the deadline for SIGKILL. A process that is being ended already is left to it."""
    process.state, action = states.step(process.state, states.STOP)
    if action == states.IGNORED:
        return
    settings = watcher.settings
    watcher.dying[process.pid] = process
    process.reason = reason
    stop_signal = settings.stop_signal if signum is None else signum
    process.deadline = watcher.now() + (settings.graceful_timeout if timeout is None else timeout)
    descendants = tree.descendants(process.pid)
    process.kin = {pid: tree.start_time(pid) or 0.0 for pid in descendants}
    children = tree.children(process.pid) if settings.stop_children and descendants else []
    _signal(watcher, process, stop_signal)
    for pid in children:
        kill_all([pid], stop_signal)
        watcher.publish("kill", process_pid=pid, wid=process.wid, signum=stop_signal)


def kill(watcher: Watcher, process: Process, signum: int | None, timeout: float | None) -> None:
    """End a process as the command ``kill`` does: one that is being ended already gets what the command names too."""
    if process.live:
        begin(watcher, process, "kill", signum, timeout)
        return
    if timeout is not None and process.state == states.STOPPING and process.deadline is not None:
        process.deadline = min(process.deadline, watcher.now() + timeout)
    if signum is not None:
        _signal(watcher, process, signum)


def send(watcher: Watcher, pid: int, signum: int) -> None:
    """Send a signal; a process that has just gone is no error, another refusal is logged."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return
    except OSError as error:
        log.error("%s: signal %d to process %d failed: %s", watcher.name, signum, pid, error)


def _signal(watcher: Watcher, process: Process, signum: int) -> None:
    send(watcher, process.pid, signum)
    watcher.publish("kill", process_pid=process.pid, wid=process.wid, signum=signum)


def expire(watcher: Watcher, process: Process, now: float) -> None:
    """The deadline has passed: SIGKILL to the whole tree, again each second until it is gone."""
    process.state, action = states.step(process.state, states.DEADLINE)
    _kill_tree(watcher, process)
    process.deadline = now + REPEAT
    if action == states.SEND_SIGKILL:
        log.warning(
            "%s: process %d (wid %d) did not end in time after its stop signal: SIGKILL to it and all that it started",
            watcher.name,
            process.pid,
            process.wid,
        )
        watcher.publish("kill", process_pid=process.pid, wid=process.wid, signum=int(signal.SIGKILL))
        return
    process.kills += 1
    if process.kills == UNKILLABLE_AFTER:
        waiting.fail_unkillable(watcher, [process.pid])


def _kill_tree(watcher: Watcher, process: Process) -> None:
    kill_all(tree.families([process.pid, *watcher.context.orphans.of(process.mark)]), signal.SIGKILL)


def send_signal(
    process: Process,
    signum: int,
    *,
    childpid: int | None = None,
    children: bool = False,
    recursive: bool = False,
) -> None:
    """Send a signal as the command ``signal`` does: to the process, one child, its children, or its whole tree.

    Raise ``OSError`` if the system refuses. A process that has just gone is no error.
    """
    pid = process.pid
    if childpid is not None:
        targets = [childpid] if childpid in tree.children(pid) else []
    elif children:
        targets = tree.children(pid)
    elif recursive:
        targets = [pid, *tree.descendants(pid)]
    else:
        targets = [pid]
    for target in targets:
        try:
            os.kill(target, signum)
        except ProcessLookupError:
            continue
