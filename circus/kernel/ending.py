"""How a process is ended: its stop signal, the graceful timeout, then SIGKILL for it and all that it started."""

from __future__ import annotations

import logging
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

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
    watcher.dying[process.pid] = process
    process.reason = reason
    stop_signal = watcher.settings.stop_signal if signum is None else signum
    grace = watcher.settings.graceful_timeout if timeout is None else timeout
    watcher.gating.signal(process.pid, stop_signal, partial(_ask_to_end, watcher, process, stop_signal, grace))


def _ask_to_end(watcher: Watcher, process: Process, signum: int, grace: float, allowed: bool) -> None:
    """Send the stop signal if the hook before it allows that; the time until SIGKILL begins in any case."""
    deadline = watcher.now() + grace
    process.deadline = deadline if process.deadline is None else min(process.deadline, deadline)
    descendants = tree.descendants(process.pid)
    process.kin = {pid: tree.start_time(pid) or 0.0 for pid in descendants}
    if not allowed:
        return
    children = tree.children(process.pid) if watcher.settings.stop_children and descendants else []
    _signal(watcher, process, signum)
    for pid in children:
        kill_all([pid], signum)
        watcher.publish("kill", process_pid=pid, wid=process.wid, signum=signum)


def kill(watcher: Watcher, process: Process, signum: int | None, timeout: float | None) -> None:
    """End a process as the command ``kill`` does: one that is being ended already gets what the command names too."""
    if process.live:
        begin(watcher, process, "kill", signum, timeout)
        return
    if timeout is not None and process.state == states.STOPPING and process.deadline is not None:
        process.deadline = min(process.deadline, watcher.now() + timeout)
    if signum is not None:
        watcher.gating.signal(
            process.pid, signum, lambda allowed: _signal(watcher, process, signum) if allowed else None
        )


def hang_up(watcher: Watcher) -> list[int]:
    """Send SIGHUP to each process, if the hook before it allows that; return their PIDs."""
    pids = [process.pid for process in watcher.live()]
    for pid in pids:
        watcher.gating.signal(pid, signal.SIGHUP, partial(_send_if, watcher, pid, signal.SIGHUP))
    watcher.publish("reload")
    return pids


def _send_if(watcher: Watcher, pid: int, signum: int, allowed: bool) -> None:
    if allowed:
        _send(watcher, pid, signum)


def _send(watcher: Watcher, pid: int, signum: int) -> None:
    """Send a signal; a process that has just gone is no error, another refusal is logged."""
    try:
        os.kill(pid, signum)
        watcher.gating.signalled(pid, signum)
    except ProcessLookupError:
        return
    except OSError as error:
        log.error("%s: signal %d to process %d failed: %s", watcher.name, signum, pid, error)


def _signal(watcher: Watcher, process: Process, signum: int) -> None:
    _send(watcher, process.pid, signum)
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
        watcher.gating.signal(process.pid, signal.SIGKILL, lambda _: None)
        watcher.gating.signalled(process.pid, signal.SIGKILL)
        return
    process.kills += 1
    if process.kills == UNKILLABLE_AFTER:
        waiting.fail_unkillable(watcher, [process.pid])


def _kill_tree(watcher: Watcher, process: Process) -> None:
    kill_all(tree.families([process.pid, *watcher.context.orphans.of(process.mark)]), signal.SIGKILL)


def send_signal(watcher: Watcher, process: Process, signum: int, **which: Any) -> None:
    """Send a signal as the command ``signal`` does, if the hook before it allows that; see :func:`_targets`.

    Raise ``OSError`` if the system refuses. A process that has just gone is no error.
    """

    def proceed(allowed: bool) -> None:
        for pid in _targets(process.pid, **which) if allowed else ():
            try:
                os.kill(pid, signum)
                watcher.gating.signalled(pid, signum)
            except ProcessLookupError:
                continue

    watcher.gating.signal(process.pid, signum, proceed)


def _targets(pid: int, *, childpid: int | None = None, children: bool = False, recursive: bool = False) -> list[int]:
    """Return the PIDs that are meant: the process, one child, its children, or its whole tree."""
    if childpid is not None:
        return [childpid] if childpid in tree.children(pid) else []
    if children:
        return tree.children(pid)
    return [pid, *tree.descendants(pid)] if recursive else [pid]
