"""Whatever is wanted, in whatever order and however fast: in the end what is wanted is what is."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
import zmq
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from circus.kinds import HOOKS
from tests.gatekeeper import Gatekeeper
from tests.support import DEADLINE, Circusd, Events, wait_until

MOST = 4
"""Processes of a watcher."""

# What obeys at once, what takes its time, what has a child, and what must be killed.
PROGRAMS = (
    "sleep 300",
    "sh -c \"trap 'sleep 0.1; exit 0' TERM; sleep 300 & wait\"",
    "sh -c \"trap '' TERM; sleep 300 & wait; exec sleep 300\"",
)
OPTIONS = {"graceful_timeout": 0.3}
NAMES = st.sampled_from(range(len(PROGRAMS)))


class Model:
    """What is wanted of one watcher."""

    def __init__(self, name: str, program: str) -> None:
        self.name = name
        self.program = program
        self.there = False
        self.up = False
        self.count = 0


class Commands(RuleBasedStateMachine):
    """Sends commands on one connection without waiting for any, and keeps in mind what they ask for."""

    circusd: ClassVar[Circusd]
    events: ClassVar[Events]
    numbers: ClassVar[Iterator[int]]

    def __init__(self) -> None:
        super().__init__()
        number = next(self.numbers)
        self.models = [Model(f"w{number}{'abc'[index]}", program) for index, program in enumerate(PROGRAMS)]
        self.context: zmq.Context[Any] = zmq.Context()
        self.dealer = self.context.socket(zmq.DEALER)
        self.dealer.connect(self.circusd.endpoint)
        self.sent: dict[str, tuple[str, dict[str, Any]]] = {}

    def send(self, command: str, model: Model, **properties: Any) -> None:
        ident = uuid.uuid4().hex
        properties["name"] = model.name
        self.sent[ident] = (command, properties)
        self.dealer.send_json({"command": command, "properties": properties, "id": ident})

    def existing(self, index: int) -> Model:
        """A watcher that is there: added first if it has to be."""
        model = self.models[index]
        if not model.there:
            self.send("add", model, cmd=model.program, options={**OPTIONS, "numprocesses": 2}, start=True)
            model.there, model.up, model.count = True, True, 2
        return model

    @initialize()
    def add_all(self) -> None:
        for index in range(len(PROGRAMS)):
            self.existing(index)

    @rule(index=NAMES)
    def start(self, index: int) -> None:
        model = self.existing(index)
        self.send("start", model)
        model.up = True

    @rule(index=NAMES)
    def stop(self, index: int) -> None:
        model = self.existing(index)
        self.send("stop", model)
        model.up = False

    @rule(index=NAMES)
    def restart(self, index: int) -> None:
        model = self.existing(index)
        self.send("restart", model)
        model.up = True

    @rule(index=NAMES, sequential=st.booleans(), graceful=st.sampled_from([True, True, False]))
    def reload(self, index: int, sequential: bool, graceful: bool) -> None:
        model = self.existing(index)
        self.send("reload", model, sequential=sequential, graceful=graceful)
        model.up = True

    @rule(index=NAMES, command=st.sampled_from(["incr", "decr"]), nb=st.integers(1, 2))
    def resize(self, index: int, command: str, nb: int) -> None:
        model = self.existing(index)
        count = max(0, model.count + (nb if command == "incr" else -nb))
        if count <= MOST:
            self.send(command, model, nb=nb)
            model.count = count

    @rule(index=NAMES, count=st.integers(0, MOST))
    def set_number(self, index: int, count: int) -> None:
        model = self.existing(index)
        self.send("set", model, options={"numprocesses": count})
        model.count = count

    @rule(index=NAMES, text=st.sampled_from(["a", "b"]))
    def set_environment(self, index: int, text: str) -> None:
        self.send("set", self.existing(index), options={"env": {"X": text}})

    @rule(index=NAMES, signum=st.sampled_from([None, "INT", "KILL"]))
    def kill(self, index: int, signum: str | None) -> None:
        self.send("kill", self.existing(index), signum=signum)

    @rule(index=NAMES, signum=st.sampled_from(["TERM", "KILL"]), recursive=st.booleans())
    def signal(self, index: int, signum: str, recursive: bool) -> None:
        self.send("signal", self.existing(index), signum=signum, recursive=recursive)

    @rule(index=NAMES)
    def kill_from_outside(self, index: int) -> None:
        model = self.models[index]
        reply = self.circusd.call("list", name=model.name)
        for pid in reply.get("pids", [])[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @rule(index=NAMES)
    def remove(self, index: int) -> None:
        model = self.existing(index)
        self.send("rm", model)
        model.there = model.up = False

    @rule(index=NAMES)
    def add(self, index: int) -> None:
        self.existing(index)

    @invariant()
    def answers(self) -> None:
        """Nothing that is under way keeps it from answering."""
        assert self.circusd.call("numwatchers", timeout=5)["status"] == "ok"

    def teardown(self) -> None:
        try:
            self.check_replies()
            for model in self.models:
                wait_until(lambda: self.is_as_wanted(model), f"{model.name}: {vars(model)}")  # noqa: B023
            self.check_events()
        finally:
            for model in self.models:
                self.circusd.call("rm", name=model.name, waiting=True)
            wait_until(lambda: not self.circusd.descendants(), "nothing is left behind")
            self.context.destroy(linger=0)

    def check_replies(self) -> None:
        """Nothing is refused because of what is under way."""
        for _ in range(len(self.sent)):
            assert self.dealer.poll(int(DEADLINE * 1000)), f"no reply to {self.sent}"
            reply = self.dealer.recv_json()
            assert reply["status"] == "ok", (self.sent[reply["id"]], reply)

    def is_as_wanted(self, model: Model) -> bool:
        reply = self.circusd.call("explain", name=model.name)
        if not model.there:
            return reply["status"] == "error"
        wids = sorted(entry["wid"] for entry in reply["processes"] if entry["pid"])
        if not model.up:
            return bool(reply["state"] == "stopped") and not wids
        return reply["state"] == "active" and not reply["blocked_by"] and wids == list(range(1, model.count + 1))

    def check_events(self) -> None:
        """Events have no gaps; a process is born once and reaped once, and those that are left are those that run."""
        running = {pid for model in self.models if model.there for pid in self.circusd.pids(model.name)}
        # What has been removed may still be on its way out.
        wait_until(lambda: self.alive() == running, "what was spawned and not reaped is what runs")
        numbers = [event.seq for event in self.events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    def alive(self) -> set[int]:
        """The processes that are there, as the events tell it."""
        alive: set[int] = set()
        for event in self.events:
            action, data = event.action, event.data
            assert action != "internal-error", data
            if action == "spawn":
                assert data["process_pid"] not in alive, f"spawned twice: {data}"
                alive.add(data["process_pid"])
            elif action == "reap":
                assert data["process_pid"] in alive, f"reaped without a spawn: {data}"
                alive.remove(data["process_pid"])
        return alive


@contextlib.contextmanager
def slow_gatekeeper(circusd: Circusd) -> Iterator[None]:
    """Asked at every hook of every watcher, and allowing it a moment later, in another order."""
    over = threading.Event()

    def serve() -> None:
        keeper = Gatekeeper(circusd, HOOKS)
        luck, held = random.Random(7), []
        while not over.is_set():
            held += keeper.poll(0.01)
            for gate in [gate for gate in held if luck.random() < 0.5]:
                held.remove(gate)
                keeper.answer(gate, allow=gate["hook"] not in ("before_stop", "after_stop"))
        keeper.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guard", [contextlib.nullcontext, slow_gatekeeper], ids=["alone", "gated"])
def test_in_the_end_what_is_wanted_is_what_is(
    circusd: Circusd, guard: Callable[[Circusd], contextlib.AbstractContextManager[None]]
) -> None:
    circusd.start("")
    events = circusd.subscribe()
    with guard(circusd):
        run(circusd)
    assert bool(events.of("gate")) == (guard is slow_gatekeeper)
    assert "internal error" not in circusd.output()
    assert circusd.stop() == 0


def run(circusd: Circusd) -> None:
    """Send random commands, again and again, and look each time at what has come of them."""

    class Machine(Commands):
        pass

    Machine.circusd, Machine.events, Machine.numbers = circusd, circusd.subscribe(), itertools.count()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=12,
            deadline=None,
            # The same steps each time, at another timing; so they are not shrunk: a second try may not meet it again.
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
