from __future__ import annotations

from typing import Any

from circus.commands.base import NAME, Command, Json
from circus.commands.rendering import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.kernel.arbiter import Arbiter


class Explain(Command):
    """Say why a watcher is in the state that it is in

    For each slot: its process, since when it is in its state, how the last processes of the slot ended, and when the
    next one is tried; and what a stop or a start waits for, by process id. Where its output is captured, ``output`` of
    an exit has the last lines of a process that failed; circusctl prints those of the last one.
    """

    name = "explain"
    properties = (NAME,)
    replies = (
        "state, detail, reason, wanted, running, restarts, blocked_by: [{pid, why, sigkill_in}], "
        "processes: [{wid, pid, state, since, last_exits, last_error, next_try}]"
    )

    def execute(self, arbiter: Arbiter, properties: Json) -> Json:
        from circus.commands.explanation import explain

        watcher = arbiter.get_watcher(properties["name"])
        return {"name": watcher.name, **explain(watcher)}

    def render(self, reply: Json) -> str:
        from time import time

        now = reply.get("time") or time()
        state = reply["state"]
        if reply.get("detail") and reply["detail"] != state:
            state += f" ({reply['detail']})"
        lines = [f"{reply.get('name', '')}: {state}"]
        if reply.get("reason"):
            lines.append(f"  reason: {reply['reason']}")
        if "wanted" in reply:
            lines.append(f"  processes: {reply.get('running', 0)} of {reply['wanted']}, restarts: {reply['restarts']}")
        lines += [f"  waits for {_blocker(blocker)}" for blocker in reply.get("blocked_by") or ()]
        for process in reply.get("processes", ()):
            lines += _process_lines(process, now)
        return "\n".join(lines)


def _blocker(blocker: Any) -> str:
    if not isinstance(blocker, dict):
        return str(blocker)
    text = f"pid {blocker['pid']}: {blocker['why']}" if blocker.get("pid") else blocker["why"]
    return text if blocker.get("sigkill_in") is None else f"{text}, SIGKILL in {duration(blocker['sigkill_in'])}"


def _process_lines(process: Json, now: float) -> list[str]:
    head = f"  slot {process.get('wid')}: {process.get('state')}"
    if process.get("pid"):
        head += f", pid {process['pid']}"
    if process.get("since"):
        head += f", for {duration(now - process['since'])}"
    if process.get("next_try"):
        head += f", next try in {duration(process['next_try'] - now)}"
    if process.get("status_text"):
        head += f", says: {process['status_text']}"
    if process.get("last_error"):
        head += f", last error: {process['last_error']}"
    exits = process.get("last_exits", ())
    failed = [last for last in exits if last.get("output")]
    lines = [head]
    for last in exits:
        lines.append(f"    {_exit_line(last, now)}")
        if failed and last is failed[-1]:
            lines += [f"      {printable(text)}" for text in last["output"]]
    return lines


def _exit_line(last: Json, now: float) -> str:
    from circus.util import describe_exit

    how = describe_exit(last["exit_code"]) if isinstance(last.get("exit_code"), int) else "ended"
    line = f"{duration(now - last['time'])} ago: {how}" if last.get("time") else how
    if last.get("lived") is not None:
        line += f" after {duration(last['lived'])}"
    return f"{line} ({last['reason']})" if last.get("reason") else line


def duration(seconds: float) -> str:
    """Return a length of time as people write it: ``0.4s``, ``12s``, ``3m05s``, ``2h10m``, ``5d03h``."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit}{rest:02d}{smaller}"
    return f"{whole}s"


COMMAND = Explain()
