"""A watcher keeps what is wanted and what is, and is the one actor that brings them together."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from circus.kernel import changing, deaths, ending, states, turn, waiting
from circus.kernel.gating import Gating
from circus.kernel.goal import Goal
from circus.kernel.intents import ATTEMPT, KILL, RELOAD, RESIZE, RESTART, START, STOP, Intent, changes
from circus.kernel.plan import RESTART as DOWN_THEN_UP
from circus.kernel.process import Process, Slot
from circus.kernel.remains import Remains

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from circus.config.schema import WatcherSettings
    from circus.kernel.context import Context

_idents = itertools.count(1)


class Watcher:
    """Supervises the processes of one program. Every method returns at once; an :class:`Intent` tells when it is so."""

    def __init__(self, context: Context, settings: WatcherSettings) -> None:
        self.context = context
        self.settings = settings
        self.successor: WatcherSettings | None = None
        """Settings that count as soon as what runs now is gone."""
        self.ident = next(_idents)
        self.queued = False
        self.goal = Goal()
        self.processes: dict[int, Process] = {}
        self.dying: dict[int, Process] = {}
        """Those of the processes that are being ended."""
        self.slots: dict[int, Slot] = {}
        self.remains = Remains(self)
        self.gating = Gating(self)
        self.intents: list[Intent] = []
        self.state = states.STOPPED
        self.awaits: list[str] | None = None
        """The state that its events have told of, and at which sockets it waits then; None: at none."""
        self.failure = ""
        """Why it gave up, or why the last reload did not succeed; empty when all is well."""
        self.claimed = 0
        """Counts the decisions over it; a longer operation on many leaves it alone once this has moved on."""
        self.awaiting = 0
        """The decision that is carried out when its turn comes, after watchers of higher priority; see ``claimed``."""
        self.restarts = 0
        """How many processes were replaced because they ended by themselves."""
        self.predecessor: Watcher | None = None
        """A watcher of the same name that was removed and is not gone yet: until then nothing is started."""
        self.unproven: WatcherSettings | None = None
        """The settings before a change whose processes have not come up yet."""
        self.last_spawn = float("-inf")
        self.timer: asyncio.TimerHandle | None = None
        context.orphans.register(self)

    @property
    def name(self) -> str:
        """The name as configured."""
        return self.settings.name

    @property
    def next_settings(self) -> WatcherSettings:
        """The settings with which it is started next."""
        return self.successor or self.settings

    @property
    def up(self) -> bool:
        """Whether it is wanted to run."""
        return self.goal.up

    @property
    def listening(self) -> bool:
        """Whether it is down until the next connection brings it up."""
        return self.goal.armed and not self.goal.up and self.next_settings.on_demand

    @property
    def respawns(self) -> bool:
        """Whether a process that ended by itself is replaced."""
        return self.settings.respawn and not self.settings.on_demand

    @property
    def count(self) -> int:
        """How many processes it has when it is up."""
        return min(self.settings.numprocesses, 1) if self.settings.singleton else self.settings.numprocesses

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def status(self) -> str:
        """Return ``active``, ``stopped``, ``starting`` or ``stopping``; every command that was accepted counts."""
        state = turn.state_of(self)
        return states.WATCHER_STOPPING if state == states.STOPPED != self.state else state

    def pids(self) -> list[int]:
        """PIDs of the processes, in the order in which they were spawned; those that are being ended too."""
        return list(self.processes)

    def live(self) -> list[Process]:
        """Processes that nobody wants gone."""
        return [process for process in self.processes.values() if process.live]

    # What others want of it.

    def start(self, reason: str = "") -> Intent:
        """Bring it up: fill every slot that is empty, at once; with ``on_demand``: have the next connection do it."""
        self.context.refuse_when_closing()
        if not self.goal.up or self.successor is not None:
            self._bring_up(reason)
        else:
            self._refill()
        return self._decide(START)

    def stop(self, failure: str = "", reason: str = "") -> Intent:
        """Bring it down, with all that its processes started; ``failure``, if any, is why it has failed for good.

        Both are kept if it is this stop that brings it down: what was decided before stays so.
        """
        if failure and self.goal.up:
            deaths.give_up(self, failure, deaths.last_exit_code(self))
        elif not failure:
            self.goal.down(reason if self.goal.up or not reason else self.goal.reason)
            self.failure = ""
        self.unproven = None
        return self._decide(STOP)

    def restart(self) -> Intent:
        """Stop, then start."""
        self.context.refuse_when_closing()
        self._bring_up()
        return self._decide(RESTART)

    def reload(self, *, graceful: bool = True, sequential: bool = False) -> Intent:
        """Replace each process, without a gap unless ``sequential``; with ``send_hup`` only send SIGHUP."""
        self.context.refuse_when_closing()
        if not graceful:
            return self.restart()
        if not self.goal.up or self.successor is not None:
            self._bring_up()
        elif self.settings.send_hup:
            return self._accept_hup()
        else:
            self.claim()
            return self._accept_replacement(sequential=sequential)
        return self._decide(RELOAD)

    def demand(self) -> None:
        """A connection is there: bring it up if it waits for one. Slots that have failed wait for their next try."""
        if self.listening and not self.context.closing:
            self._begin_fresh("a connection")
            self.wake()

    def rest(self, reason: str) -> None:
        """Bring it down until the next connection."""
        if self.goal.up and self.settings.on_demand:
            self.goal.down(reason, armed=True)
            self.wake()

    def adopt(self, settings: WatcherSettings) -> None:
        """Take other settings when nothing runs any more: processes are ended as they were started."""
        if self.processes or self.remains.anything or self.gating.begun:
            self.successor = settings
        else:
            self.settings, self.successor = settings, None

    def resize(self, count: int | None = None) -> Intent:
        """Change the number of processes, 0 or more; without a count, only compare with the settings again."""
        self.context.refuse_when_closing()
        if count is not None:
            changing.resize(self, max(count, 0))
        return self._accept(RESIZE)

    def set_options(self, options: Mapping[str, Any]) -> Intent:
        """Change options; each takes effect. Raise ``MessageError``, with nothing changed, if one of them is wrong."""
        self.context.refuse_when_closing()
        replace_processes = changing.set_options(self, options)
        return self._accept_replacement(sequential=False) if replace_processes else self.resize()

    def signal(self, signum: int, pid: int | None = None, **which: Any) -> None:
        """Send a signal to one process or to all; ``childpid``, ``children`` and ``recursive`` say to whom of its tree.

        Raise ``OSError`` if the system refuses. An unknown PID is no error.
        """
        for process in list(self.processes.values()):
            if pid is None or process.pid == pid:
                ending.send_signal(self, process, signum, **which)

    def kill(self, pid: int | None = None, signum: int | None = None, timeout: float | None = None) -> Intent:
        """End one process or all of them; they are replaced. An unknown PID is no error."""
        targets = [p for p in self.processes.values() if pid is None or p.pid == pid]
        intent = self._accept(KILL, [process.pid for process in targets])
        for process in targets:
            ending.kill(self, process, signum, timeout)
        return intent

    def attempt(self) -> Intent:
        """Wait until each slot was tried once since the start, whatever came of it."""
        intent = Intent(ATTEMPT, self.context.journal.seq)
        self.intents.append(intent)
        self.wake()
        return intent

    def hurry(self, seconds: float) -> None:
        """Let whatever is being ended have no more than this time, and wait for no hook any more."""
        self.gating.limit(0)
        deadline = self.now() + seconds
        for process in self.dying.values():
            if process.state == states.STOPPING and process.deadline is not None:
                process.deadline = min(process.deadline, deadline)
        self.remains.hurry(deadline)
        self.wake()

    def disown(self) -> None:
        """Leave the processes alone from now on: they live on, unwatched."""
        self.context.orphans.forget(self)
        self.gating.leave()
        for pid in self.processes:
            self.context.reaper.forget(pid)
            self.context.orphans.strangers.spare(pid)
        self.processes.clear()
        self.dying.clear()
        self.goal.down()
        self.state = states.STOPPED  # without a stop: nothing has ended
        self.wake()

    # What its parts need.

    def exited(self, pid: int, exit_code: int) -> None:
        """A process of it has been collected."""
        self.dying.pop(pid, None)
        deaths.reaped(self, self.processes.pop(pid), exit_code)

    def claim(self) -> int:
        """Announce a decision over it, and return the number of that decision."""
        self.claimed += 1
        return self.claimed

    def wake(self) -> None:
        """Compare again soon."""
        self.context.queue.wake(self)

    def turn(self, until: float) -> None:
        """Compare what is wanted with what is, and take steps until ``until`` (monotonic seconds)."""
        turn.take(self, until)

    def publish(self, action: str, /, **data: Any) -> dict[str, Any]:
        """Publish an event of this watcher, and return what was published."""
        return self.context.journal.publish(self.name, action, **data)

    def _decide(self, kind: str) -> Intent:
        """Accept what says whether it is to run. A change of options or of the number of processes does not."""
        self.claim()
        return self._accept(kind)

    def _accept(self, kind: str, targets: list[int] | None = None) -> Intent:
        intent = Intent(kind, self.context.journal.seq, [process.pid for process in self.live()], targets or ())
        waiting.accept(self, intent)
        self.wake()
        return intent

    def _accept_replacement(self, *, sequential: bool) -> Intent:
        if self.goal.rollout != DOWN_THEN_UP:
            self.goal.replace(sequential=sequential)
            deaths.forgive(self)
        return self._accept(RELOAD)

    def _bring_up(self, reason: str = "") -> None:
        deaths.forgive(self)
        if self.next_settings.on_demand and not self.goal.up:
            self.goal.arm()
        else:
            self._begin_fresh(reason)

    def _begin_fresh(self, reason: str) -> None:
        self.unproven = None
        self.goal.fresh(after_stop=bool(self.processes or self.remains.anything or self.gating.begun), reason=reason)

    def _refill(self) -> None:
        """Try whatever is missing at once, also where ``respawn`` says no."""
        self.failure = ""
        alive = {process.wid for process in self.live()}
        for slot in self.slots.values():
            if slot.wid not in alive:
                slot.forgive()
                slot.filled = 0

    def _accept_hup(self) -> Intent:
        self.claim()
        pids = ending.hang_up(self)
        intent = Intent(RELOAD, self.context.journal.seq, pids)
        intent.finish(info=changes(pids, pids))
        return intent
