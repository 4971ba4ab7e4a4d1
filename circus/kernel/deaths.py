"""What follows when a process has ended or could not be started."""

from __future__ import annotations

import logging
import random
import time
from operator import itemgetter
from typing import TYPE_CHECKING

from circus.kernel import backoff, states, waiting
from circus.kernel.intents import RELOAD, RESIZE, RESTART, START
from circus.kernel.plan import RELOAD as TOGETHER
from circus.kernel.plan import SEQUENTIAL
from circus.util import describe_exit

if TYPE_CHECKING:
    from circus.exc import SpawnError
    from circus.kernel.process import Process, Slot
    from circus.kernel.watcher import Watcher

log = logging.getLogger("circus")

NOT_FOUND = 127
"""Exit code that a shell gives to a program that it cannot run."""


def reaped(watcher: Watcher, process: Process, exit_code: int) -> None:
    """A process has been collected: remember it, publish it, and decide about its slot."""
    now = watcher.now()
    lived = now - process.started
    unexpected = process.live
    reason = process.reason or "exited"
    process.state, action = states.step(process.state, states.EXITED)
    if action == states.DEFECT:
        watcher.publish("internal-error", error=f"process {process.pid} ended twice")
    slot = watcher.slots[process.wid]
    slot.ended_by_itself = unexpected
    if process.reason == "resize":
        slot.filled = 0  # if there is to be such a slot again, it is a new one
    output = watcher.context.host.died(process.pid, failed=unexpected and exit_code != 0)
    said = {"output": output} if output else {}
    known = {"pid": process.pid, "exit_code": exit_code, "reason": reason, "lived": round(lived, 3), **said}
    slot.last_exits.append({"time": time.time(), **known})
    watcher.publish("reap", process_pid=process.pid, exit_code=exit_code, wid=process.wid, reason=reason, **said)
    watcher.gating.reaped(process, exit_code)
    watcher.remains.expect(process)
    if unexpected:
        _ended_by_itself(watcher, process, slot, exit_code, lived)
    watcher.wake()
    watcher.context.orphans.died(watcher, process)  # looks after the watcher's turn: first the replacement


def _ended_by_itself(watcher: Watcher, process: Process, slot: Slot, exit_code: int, lived: float) -> None:
    goal, settings = watcher.goal, watcher.settings
    slot.failures = backoff.failures_after(slot.failures, lived)
    wait = backoff.delay_after_exit(slot.failures, lived, random.random())
    slot.next_try = watcher.now() + wait
    log.log(
        logging.INFO if exit_code == 0 else logging.WARNING,
        "%s: process %d (wid %d) ended: %s%s",
        watcher.name,
        process.pid,
        process.wid,
        describe_exit(exit_code),
        f"; it lived {lived:.1f} s, next try in {wait:.1f} s" if wait and watcher.respawns else "",
    )
    succeeded = exit_code == 0 and not watcher.respawns
    if goal.rollout in (TOGETHER, SEQUENTIAL) and process.generation >= goal.floor and not succeeded:
        settled_from = process.settled_from()
        if settled_from is None or settled_from > watcher.now():
            fail_reload(watcher, f"new process {process.pid}: {describe_exit(exit_code)} after {lived:.2f} s")
            return
    if exit_code != 0 and not settings.respawn and settings.on_failure == "exit":
        give_up(watcher, f"process {process.pid}: {describe_exit(exit_code)}", exit_code)


def spawn_failed(watcher: Watcher, slot: Slot, error: SpawnError) -> None:
    """A process could not be started: try again later, or give up after ``max_retry`` times."""
    settings = watcher.settings
    slot.failures += 1
    slot.spawn_failures += 1
    wait = backoff.delay(slot.failures, random.random())
    slot.next_try = watcher.now() + wait
    given_up = settings.max_retry >= 0 and slot.spawn_failures >= max(settings.max_retry, 1)
    log.error("error in '%s': %s", watcher.name, error)
    watcher.publish(
        "spawn_failed",
        wid=slot.wid,
        stage=error.stage,
        reason=str(error),
        attempt=slot.spawn_failures,
        retry_in=None if given_up else round(wait, 3),
    )
    slot.last_error = str(error)
    if watcher.goal.rollout in (TOGETHER, SEQUENTIAL):
        fail_reload(watcher, str(error))
    elif given_up:
        give_up(watcher, f"{error} ({slot.spawn_failures} attempts)", NOT_FOUND if error.stage == "exec" else 1)


def fail_reload(watcher: Watcher, reason: str) -> None:
    """The new processes did not come up: keep the old ones, and what they were started with."""
    watcher.goal.keep_old()
    if watcher.unproven is not None:
        watcher.settings, watcher.unproven = watcher.unproven, None
    watcher.failure = f"reload failed, the old processes stay: {reason}"
    log.error("%s: %s", watcher.name, watcher.failure)
    watcher.publish("reload_failed", reason=reason)
    waiting.fail(watcher, (RELOAD,), watcher.failure)


def forgive(watcher: Watcher) -> None:
    """Forget failures: somebody asked for a fresh try."""
    watcher.failure = ""
    for slot in watcher.slots.values():
        slot.forgive()


def refused(watcher: Watcher, reason: str, wid: int, process: Process | None) -> None:
    """A hook lets no process be started; or not that one, where after a reload that failed another still serves."""
    if watcher.goal.rollout in (TOGETHER, SEQUENTIAL):
        fail_reload(watcher, reason)
    elif watcher.goal.up and not any(other.wid == wid and other is not process for other in watcher.live()):
        give_up(watcher, reason, 1)


def last_exit_code(watcher: Watcher) -> int:
    """Return how the process ended that ended last by itself or otherwise; 1 if none did."""
    ends = [slot.last_exits[-1] for slot in watcher.slots.values() if slot.last_exits]
    return int(max(ends, key=itemgetter("time"))["exit_code"]) if ends else 1


def give_up(watcher: Watcher, reason: str, exit_code: int) -> None:
    """Stop the watcher for good; with ``on_failure = exit`` the daemon ends too, with the program's exit code."""
    watcher.goal.down(reason)
    policy = watcher.settings.on_failure
    if policy == "ignore":
        return
    watcher.failure = f"gave up: {reason}"
    log.error("%s %s", watcher.name, watcher.failure)
    watcher.publish("gave_up", reason=reason, exit_code=exit_code)
    waiting.fail(watcher, (START, RESTART, RELOAD, RESIZE), watcher.failure)
    if policy == "exit":
        watcher.context.on_failure(watcher.name, exit_code if exit_code >= 0 else 128 - exit_code)
