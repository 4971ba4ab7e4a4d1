"""What a watcher does next, decided on paper."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from circus.kernel import states
from circus.kernel.plan import END, RELOAD, RESTART, SEQUENTIAL, SPAWN, Actual, Plan, Wanted, make_plan
from circus.kernel.process import Process, Slot

NOW = 1000.0


def process(wid: int, generation: int = 1, state: str = states.RUNNING, age: float = 100.0, **more: Any) -> Process:
    made = Process(wid, generation, f"mark-{wid}-{generation}", needs_ready=more.pop("needs_ready", False))
    made.pid = 100 * generation + wid
    made.state = state
    made.started = NOW - age
    made.expires = more.pop("expires", None)
    assert not more
    return made


def plan(processes: list[Process], slots: list[Slot] | None = None, **more: Any) -> Plan:
    last_spawn = more.pop("last_spawn", 0.0)
    occupied = frozenset(more.pop("occupied", ()))
    wanted = Wanted(
        up=more.pop("up", True),
        number=more.pop("count", 2),
        generation=more.pop("generation", 1),
        floor=more.pop("floor", 1),
        rollout=more.pop("rollout", ""),
        respawn=more.pop("respawn", True),
        warmup_delay=more.pop("warmup_delay", 0.0),
        expiring=any(one.expires is not None for one in processes),
    )
    assert not more
    kept = {slot.wid: slot for slot in slots or ()}
    return make_plan(wanted, Actual(processes, kept, occupied, last_spawn), NOW)


def steps(made: Plan) -> list[tuple[str, int, str]]:
    return [(step.verb, step.wid, step.reason) for step in made.steps]


def slot(wid: int, *, next_try: float = 0.0, filled: int = 1) -> Slot:
    made = Slot(wid)
    made.next_try = next_try
    made.filled = filled
    return made


def test_empty_slots_are_filled() -> None:
    assert steps(plan([])) == [(SPAWN, 1, ""), (SPAWN, 2, "")]
    assert steps(plan([process(2)])) == [(SPAWN, 1, "")]
    assert steps(plan([process(1), process(2)])) == []


def test_nothing_runs_that_is_not_wanted() -> None:
    made = plan([process(1), process(2, state=states.STOPPING), process(3, state=states.STARTING)], up=False)
    assert steps(made) == [(END, 1, "stop"), (END, 3, "stop")]


def test_surplus_slots_are_ended() -> None:
    assert steps(plan([process(wid) for wid in (1, 2, 3, 4)])) == [(END, 3, "resize"), (END, 4, "resize")]
    assert steps(plan([process(1)], count=0)) == [(END, 1, "resize")]


def test_a_replacement_waits_for_the_end_of_what_was_there() -> None:
    assert steps(plan([process(1, state=states.STOPPING)])) == [(SPAWN, 2, "")]
    assert steps(plan([], occupied=[2])) == [(SPAWN, 1, "")]


def test_backoff_and_warmup_delay() -> None:
    made = plan([], [slot(1, next_try=NOW + 3)])
    assert steps(made) == [(SPAWN, 2, "")]
    assert made.wake_at == NOW + 3
    made = plan([], warmup_delay=5.0)
    assert steps(made) == [(SPAWN, 1, "")]
    assert made.wake_at == NOW + 5
    made = plan([process(1)], warmup_delay=5.0, last_spawn=NOW - 2)
    assert steps(made) == []
    assert made.wake_at == NOW + 3


def test_the_warmup_delay_passes_over_no_slot() -> None:
    died = [slot(1, next_try=NOW - 2), slot(2, next_try=NOW - 3)]
    more: dict[str, Any] = {"warmup_delay": 1.0, "last_spawn": NOW - 1}
    assert steps(plan([], died, count=3, **more)) == [(SPAWN, 3, "")]
    assert steps(plan([process(3)], died, count=3, **more)) == [(SPAWN, 2, "")]


def test_without_respawn_a_slot_is_filled_once() -> None:
    assert steps(plan([], [slot(1), slot(2, filled=0)], respawn=False)) == [(SPAWN, 2, "")]
    assert steps(plan([], [slot(1)], respawn=False, floor=2, generation=2, count=1)) == [(SPAWN, 1, "")]


def test_restart_goes_down_before_it_goes_up() -> None:
    old = [process(1), process(2)]
    made = plan(old, floor=2, generation=2, rollout=RESTART)
    assert steps(made) == [(END, 1, "restart"), (END, 2, "restart")]
    old[0].state = states.STOPPING
    del old[1]
    assert steps(plan(old, floor=2, generation=2, rollout=RESTART)) == []
    assert steps(plan([], floor=2, generation=2, rollout=RESTART, occupied=[1])) == []
    assert steps(plan([], floor=2, generation=2, rollout=RESTART)) == [], "the hooks of the stop may not be through"
    assert steps(plan([], floor=2, generation=2)) == [(SPAWN, 1, ""), (SPAWN, 2, "")]


def test_reload_ends_the_old_when_all_new_have_come_up() -> None:
    old = [process(1), process(2)]
    more = {"floor": 2, "generation": 2, "rollout": RELOAD}
    assert steps(plan(old, **more)) == [(SPAWN, 1, ""), (SPAWN, 2, "")]
    young = [process(1, 2, age=0.2), process(2, 2, age=2.0)]
    made = plan(old + young, **more)
    assert steps(made) == []
    assert made.wake_at is not None
    assert abs(made.wake_at - (NOW + 0.8)) < 1e-6
    grown = [process(1, 2, age=1.0), process(2, 2, age=2.0)]
    assert steps(plan(old + grown, **more)) == [(END, 1, "reload"), (END, 2, "reload")]


def test_reload_waits_for_readiness_where_it_is_declared() -> None:
    more = {"floor": 2, "generation": 2, "rollout": RELOAD, "count": 1}
    unready = process(1, 2, state=states.STARTING, needs_ready=True, age=50)
    assert steps(plan([process(1), unready], **more)) == []
    ready = process(1, 2, needs_ready=True, age=0.01)
    assert steps(plan([process(1), ready], **more)) == [(END, 1, "reload")]


def test_after_a_failed_reload_the_old_one_of_each_slot_stays() -> None:
    made = plan([process(1), process(1, 2), process(2)], floor=1, generation=2)
    assert [(step.wid, step.process.generation) for step in made.steps if step.process] == [(1, 2)]


def test_sequential_reload_goes_slot_by_slot() -> None:
    more = {"floor": 2, "generation": 2, "rollout": SEQUENTIAL}
    assert steps(plan([process(1), process(2)], **more)) == [(END, 1, "reload")]
    assert steps(plan([process(1, state=states.STOPPING), process(2)], **more)) == []
    assert steps(plan([process(2)], **more)) == [(SPAWN, 1, "")]
    assert steps(plan([process(1, 2, age=0.3), process(2)], **more)) == []
    assert steps(plan([process(1, 2, age=1.3), process(2)], **more)) == [(END, 2, "reload")]
    made = plan([process(1, 2, age=1.3), process(2)], **more, warmup_delay=4.0, last_spawn=NOW - 1.3)
    assert steps(made) == []
    assert made.wake_at == NOW + 2.7


def test_max_age() -> None:
    made = plan([process(1, expires=NOW - 1), process(2, expires=NOW + 7)])
    assert steps(made) == [(END, 1, "max_age")]
    assert made.wake_at == NOW + 7


a_process = st.builds(
    process,
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([states.STARTING, states.RUNNING, states.STOPPING, states.KILLING]),
    st.floats(0, 20),
)


@given(
    st.lists(a_process, max_size=8),
    st.integers(0, 5),
    st.sampled_from(["", RELOAD, SEQUENTIAL, RESTART]),
    st.integers(1, 3),
    st.booleans(),
)
def test_no_plan_does_anything_twice_or_without_reason(
    processes: list[Process], count: int, rollout: str, floor: int, up: bool
) -> None:
    made = plan(processes, count=count, rollout=rollout, floor=floor, generation=3, up=up)
    ended = [step.process for step in made.steps if step.verb == END]
    spawned = [step.wid for step in made.steps if step.verb == SPAWN]
    assert len({id(one) for one in ended}) == len(ended)
    assert all(one is not None and one.live for one in ended)
    assert len(set(spawned)) == len(spawned)
    assert all(1 <= wid <= count for wid in spawned)
    if not up:
        assert not spawned
        assert len(ended) == sum(one.live for one in processes)
    if rollout != RELOAD:
        left = {one.wid for one in processes if one not in ended}
        assert not left & set(spawned)
