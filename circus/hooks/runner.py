"""The plugin that runs the functions that watchers name as their hooks, so that none of them runs in circusd."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import inspect
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, Final

from circus.events import Event, topic_name
from circus.hooks.loading import Loaded, Loader
from circus.hooks.proxies import ArbiterProxy, WatcherProxy
from circus.hooks.running import RUNNING, Printed, Run, log_failure
from circus.hooks.spaces import HOME, Space, Spaces
from circus.hooks.specs import Lifecycle, hookimpl
from circus.kinds import HOOKS
from circus.plugins.base import CircusPlugin

Json = dict[str, Any]
Verdict = tuple[bool, str | None, Json | None]

GRACE: Final = 5.0
"""Seconds that functions which still run have when this process is to end."""

PATIENCE: Final = 2.0
"""Seconds for which a gate waits for the events before it, which may have changed what is to be run."""

OF_A_START: Final = frozenset(("before_start", "after_start", "before_spawn", "after_spawn"))

_COMMON: Final = ("self", "watcher", "arbiter", "hook_name")
ARGUMENTS: Final = {
    hook: [name for name in inspect.signature(getattr(Lifecycle, hook)).parameters if name not in _COMMON]
    for hook in HOOKS
}
"""What each hook passes beside the watcher, the arbiter and its own name."""


class HookRunner(CircusPlugin):
    """Runs each function in a thread of its own, or on the loop if it is ``async def``.

    Functions that nobody waits for run one after the other, those of each watcher in their order.
    """

    name = "hooks"
    functions: ClassVar[bool] = True

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.arbiter = ArbiterProxy(self.link, self.pubsub_endpoint, self.check_delay)
        self._spaces = Spaces()
        self._loader = Loader(self._spaces)
        self._options: dict[str, Json] = {}
        self._changes = 0
        self._lanes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._under_way: dict[asyncio.Task[Any], Run] = {}
        self._seq = 0
        self._behind: list[tuple[int, asyncio.Future[None]]] = []

    def handle_init(self) -> None:
        """Have prints logged, and imports find the modules of their watcher."""
        sys.stdout = sys.stderr = Printed()
        # Bytecode is told from what it was made of by whole seconds, which a file that is edited and set again defeats.
        sys.dont_write_bytecode = True
        self._spaces.install()

    async def handle_stop(self) -> None:
        """Let what runs come to its end, and be answered."""
        self._reach(sys.maxsize)  # nothing more will be heard
        for run in self._under_way.values():
            run.unwanted.set()
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=GRACE)
        for run in self._under_way.values():
            run.abort()

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Keep nothing that has changed."""
        if event.action == "updated":
            self._forget_options(event.watcher)
            option = str(event.data.get("option", ""))
            if option == "hooks" or option.startswith("hooks."):
                for hook in HOOKS if option == "hooks" else [option.removeprefix("hooks.")]:
                    self._loader.outdate(event.watcher, hook)
        elif event.action in ("add", "remove", "stop"):
            # A watcher that the file changes is stopped first.
            self._forget_options(event.watcher)
            self._abort_start(event.watcher)
            if event.action == "remove":
                self._loader.forget(event.watcher)
                self._lanes.pop(event.watcher, None)
        self._reach(event.seq)

    @hookimpl
    def on_resync(self, snapshot: Json) -> None:
        """Keep nothing: it may have changed meanwhile."""
        self._options.clear()
        self._changes += 1
        self._reach(snapshot["seq"])

    async def gate(self, gate: Json) -> Verdict:
        """Run the function that a gate names; return whether it allows, its error, and what it adds."""
        task = asyncio.current_task()
        assert task is not None
        run = Run(gate["watcher"], gate["hook"], gate.get("deadline"))
        if run.hook == "before_start":
            self._abort_start(topic_name(run.watcher))  # this is another start
        self._under_way[task] = run
        task.add_done_callback(self._under_way.pop)
        RUNNING.set(run)
        try:
            # In line first: those that are told of events one by one would otherwise pass each other.
            async with self._turn_of(gate):
                await self._reached(gate.get("seq", 0))
                return await self._run(gate)
        except BaseException as error:
            # A function may raise anything, sys.exit() and the CancelledError of a task of its own included.
            if task.cancelling():
                raise
            log_failure(run, error)
            return False, f"{type(error).__name__}: {error}".removesuffix(": "), None
        finally:
            run.end()

    @contextlib.asynccontextmanager
    async def _turn_of(self, gate: Json) -> AsyncIterator[None]:
        """Wait until it is a gate's turn."""
        lane = self._lanes[topic_name(gate["watcher"])]
        if not gate["waits"]:
            async with lane:
                yield
            return
        if gate["hook"] == "after_stop":
            # It is the last word on the watcher's processes, after all that was told of their ends.
            left = (gate["deadline"] - time.time()) / 2 if gate["deadline"] else GRACE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, GRACE)), lane:
                    pass
        yield

    async def _run(self, gate: Json) -> Verdict:
        watcher = self.arbiter.watcher(gate["watcher"])
        options = await self._options_of(watcher)
        passed = arguments_of(gate)
        before = copy.deepcopy(passed.get("stats"))

        def load_and_call() -> tuple[Space, Any]:
            key = topic_name(watcher.name)
            loaded = self._loader.load(key, gate["hook"], gate["function"], options)
            HOME.set(loaded.space)
            return loaded.space, call(loaded, watcher, self.arbiter, gate["hook"], passed)

        # circusd counts only the time of those that it waits for.
        limit = None if gate["waits"] else options["hook_timeout"] or None
        if limit:
            RUNNING.get().deadline = time.time() + limit
        async with asyncio.timeout(limit):
            done, error = await in_thread(load_and_call)
            if error is not None:
                raise error
            space, result = done
            if inspect.isawaitable(result):
                HOME.set(space)
                result = await result
        added = None
        if before is not None:
            added = {key: value for key, value in passed["stats"].items() if key not in before or before[key] != value}
        return bool(result), None, added

    async def _options_of(self, watcher: WatcherProxy) -> Json:
        key = topic_name(watcher.name)
        options = self._options.get(key)
        if options is None:
            changes = self._changes
            options = (await watcher.acall("options"))["options"]
            if changes == self._changes:  # else they may be those from before the change
                self._options[key] = options
        return options

    def _abort_start(self, key: str) -> None:
        """End what still runs for a start of a watcher that is not wanted any more."""
        for run in self._under_way.values():
            if run.hook in OF_A_START and topic_name(run.watcher) == key:
                run.abort()

    def _forget_options(self, key: str) -> None:
        self._options.pop(key, None)
        self._changes += 1

    async def _reached(self, seq: int) -> None:
        """Wait until the events before a gate have been heard."""
        if seq <= self._seq or not self._seq:
            return  # a process that has heard of nothing yet keeps nothing that may have changed
        heard = asyncio.get_running_loop().create_future()
        self._behind.append((seq, heard))
        await asyncio.wait([heard], timeout=PATIENCE)

    def _reach(self, seq: int) -> None:
        self._seq = seq
        for awaited, heard in self._behind:
            if awaited <= seq and not heard.done():
                heard.set_result(None)
        self._behind = [(awaited, heard) for awaited, heard in self._behind if awaited > seq]


def arguments_of(gate: Json) -> Json:
    """Return what a hook passes to its function by name."""
    passed = {name: gate[name] for name in ARGUMENTS[gate["hook"]] if name in gate}
    with contextlib.suppress(KeyError, ValueError):
        # Functions compare it to numbers or ask for its name.
        passed["signum"] = signal.Signals(passed["signum"])
    return passed


def call(loaded: Loaded, watcher: WatcherProxy, arbiter: ArbiterProxy, hook: str, passed: Json) -> Any:
    """Call a function by names where it takes them, since names are what it was promised, else by places."""
    named = {"watcher": watcher, "arbiter": arbiter, "hook_name": hook, **passed}
    if not loaded.args:
        try:
            inspect.signature(loaded.function).bind(**loaded.kwargs, **named)
        except (TypeError, ValueError):
            pass
        else:
            return loaded.function(**loaded.kwargs, **named)
    return loaded.function(watcher, arbiter, hook, *loaded.args, **loaded.kwargs, **passed)


def in_thread(function: Callable[[], Any]) -> asyncio.Future[tuple[Any, BaseException | None]]:
    """Call a function in a thread that nothing waits for when the process ends; give its result and its error."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_result((result, error))

    def work() -> None:
        result, problem = None, None
        try:
            result = context.run(function)
        except BaseException as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=work, daemon=True).start()
    return future
