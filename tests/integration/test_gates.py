"""Gates: a plugin is asked, one watcher waits for its verdict, and nobody else does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from circus.kernel.gates import MOST_TOLD
from tests.gatekeeper import Gatekeeper
from tests.support import Circusd, is_alive, wait_until

IDLE = "[watcher:w]\ncmd = sleep 300\nautostart = False\n"
OTHER = "[watcher:other]\ncmd = sleep 300\n"
ALL = (
    "before_start after_start before_spawn after_spawn before_stop after_stop before_signal after_signal before_reap "
    "after_reap extended_stats"
).split()


@contextmanager
def gatekeeper(circusd: Circusd, *hooks: str, **options: Any) -> Iterator[Gatekeeper]:
    keeper = Gatekeeper(circusd, hooks, **options)
    try:
        yield keeper
    finally:
        keeper.close()


def status(circusd: Circusd, name: str = "w") -> str:
    return str(circusd.ok("status", name=name)["status"])


def reason(circusd: Circusd, name: str = "w") -> str:
    return str(circusd.ok("explain", name=name)["reason"])


def test_hook_order_and_arguments_of_a_whole_life(circusd: Circusd) -> None:
    """From a start to a stop each of the ten hooks is asked, in order and with its arguments."""
    circusd.start(IDLE)
    with gatekeeper(circusd, *ALL) as keeper:
        circusd.call("start", name="w")
        asked = [keeper.expect(hook) for hook in ("before_start", "before_spawn", "after_spawn", "after_start")]
        wait_until(lambda: status(circusd) == "active", "w is active")
        (pid,) = circusd.pids("w")
        circusd.call("stop", name="w")
        asked += [keeper.expect("before_stop"), keeper.expect("before_signal")]
        asked += [keeper.expect(hook) for hook in ("after_signal", "before_reap", "after_reap", "after_stop")]
        wait_until(lambda: status(circusd) == "stopped", "w is stopped")
    assert [gate["gate"] for gate in asked] == sorted(gate["gate"] for gate in asked)
    by_hook = {gate["hook"]: gate for gate in asked}
    assert {gate["watcher"] for gate in asked} == {"w"}
    assert by_hook["after_spawn"]["pid"] == pid
    assert (by_hook["before_signal"]["pid"], by_hook["before_signal"]["signum"]) == (pid, signal.SIGTERM)
    assert (by_hook["after_signal"]["pid"], by_hook["after_signal"]["signum"]) == (pid, signal.SIGTERM)
    assert by_hook["before_reap"]["process_pid"] == pid
    assert by_hook["after_reap"]["process_pid"] == pid
    assert by_hook["after_reap"]["exit_code"] == -signal.SIGTERM
    assert by_hook["after_reap"]["process_status"] is None
    waits = {hook for hook, gate in by_hook.items() if gate["waits"]}
    assert waits == {*ALL} - {"after_signal", "before_reap", "after_reap", "extended_stats"}
    circusd.assert_no_defect()


def test_hook_before_start_is_waited_for_by_its_watcher_alone(circusd: Circusd) -> None:
    circusd.start(IDLE + OTHER)
    with gatekeeper(circusd, "before_start", watchers="w") as keeper:
        circusd.call("start", name="w")
        gate = keeper.next("before_start")
        assert status(circusd) == "starting"
        told = circusd.ok("explain", name="w")
        assert told["detail"] == "gated"
        assert "before_start" in told["reason"]
        assert "plugin:test" in told["reason"]
        (before,) = circusd.pids("other")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: circusd.pids("other") not in ([], [before]), "other is replaced meanwhile")
        circusd.ok("restart", name="other")
        assert circusd.pids("w") == []
        keeper.answer(gate)
        circusd.wait_for_pids("w", 1)


def test_hook_before_start_that_refuses_stops_the_start(circusd: Circusd) -> None:
    circusd.start(IDLE)
    events = circusd.subscribe()
    with gatekeeper(circusd, "before_start", "before_stop", "after_stop") as keeper:
        circusd.call("start", name="w")
        keeper.expect("before_start", allow=False)
        wait_until(lambda: status(circusd) == "stopped", "the start is given up")
        assert "before_start refused (plugin:test)" in reason(circusd)
        assert events.of("spawn", watcher="w") == []
        assert keeper.gates == []
        assert "before_stop" not in [event.data["hook"] for event in events.of("gate", watcher="w")], "it never started"
        assert events.of("hook_success", watcher="w")[0].data["plugin"] == "plugin:test"
        circusd.call("start", name="w")
        keeper.expect("before_start")
        circusd.wait_for_pids("w", 1)


def test_the_waiting_reply_to_a_refused_start_is_an_error(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 300\nautostart = False\nhook_timeout = 0.2")
    with gatekeeper(circusd, "before_start"):
        reply = circusd.call("start", name="w", waiting=True)
    assert reply["errno"] == 6
    assert "no answer within 0.2 s" in reply["reason"]


@pytest.mark.parametrize("hook", ["before_spawn", "after_spawn", "after_start"])
def test_a_hook_of_the_start_that_refuses_stops_the_watcher_with_its_stop_hooks(circusd: Circusd, hook: str) -> None:
    circusd.start(IDLE)
    events = circusd.subscribe()
    with gatekeeper(circusd, hook, "before_stop", "after_stop") as keeper:
        circusd.call("start", name="w")
        keeper.expect(hook, allow=False)
        keeper.expect("before_stop")
        keeper.expect("after_stop")
        wait_until(lambda: status(circusd) == "stopped", "w is stopped")
    assert f"{hook} refused" in reason(circusd)
    spawned = [event.data["process_pid"] for event in events.of("spawn", watcher="w")]
    assert len(spawned) == (0 if hook == "before_spawn" else 1)
    assert not any(map(is_alive, spawned))
    assert "start" not in events.actions("w")


def test_hook_after_start_holds_back_the_start_until_it_is_through(circusd: Circusd) -> None:
    circusd.start(IDLE)
    events = circusd.subscribe()
    with gatekeeper(circusd, "after_start") as keeper:
        circusd.call("start", name="w")
        gate = keeper.next("after_start")
        assert circusd.pids("w")
        assert status(circusd) == "starting"
        assert "start" not in events.actions("w")
        keeper.answer(gate)
        events.wait_for("start", watcher="w")


def test_hook_before_spawn_is_asked_for_each_replacement(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    with gatekeeper(circusd, "before_spawn") as keeper:
        (pid,) = circusd.pids("w")
        os.kill(pid, signal.SIGKILL)
        gate = keeper.next("before_spawn")
        assert circusd.pids("w") == []
        keeper.answer(gate)
        circusd.wait_for_pids("w", 1)


def test_hook_after_spawn_that_refuses_during_a_reload_keeps_the_old_processes(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    (old,) = circusd.pids("w")
    with gatekeeper(circusd, "after_spawn") as keeper:
        circusd.call("reload", name="w")
        new = keeper.expect("after_spawn", allow=False)["pid"]
        wait_until(lambda: not is_alive(new), "the new process is ended")
    assert circusd.pids("w") == [old]
    assert status(circusd) == "active"
    assert "reload failed" in reason(circusd)


@pytest.mark.parametrize("hook", ["before_spawn", "after_spawn"])
def test_a_hook_that_refuses_each_new_process_of_a_reload_keeps_all_old_ones(circusd: Circusd, hook: str) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 300\nnumprocesses = 3\n")
    old = circusd.wait_for_pids("w", 3)
    with gatekeeper(circusd, hook) as keeper:
        circusd.ok("reload", name="w", waiting=False)
        for gate in [keeper.next(hook) for _ in range(3)]:
            keeper.answer(gate, allow=False)
        wait_until(lambda: sorted(circusd.pids("w")) == sorted(old), "the old processes alone are left")
        assert status(circusd) == "active"
        assert "reload failed" in reason(circusd)


def test_a_reload_that_failed_waits_for_no_hook_any_more(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 300\nnumprocesses = 2\n")
    old = circusd.wait_for_pids("w", 2)
    with gatekeeper(circusd, "before_spawn") as keeper:
        circusd.ok("reload", name="w", waiting=False)
        first, second = keeper.next("before_spawn"), keeper.next("before_spawn")
        keeper.answer(first, allow=False)
        wait_until(lambda: "reload failed" in reason(circusd), "the reload has failed")
        assert keeper.answer(second)["reason"] == f"gate {second['gate']} is closed"
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        keeper.expect("before_spawn")
        keeper.expect("before_spawn")


@pytest.mark.parametrize("answer", [{"allow": False}, {"allow": False, "error": "boom"}])
def test_hook_before_stop_is_waited_for_and_its_answer_ignored(circusd: Circusd, answer: dict[str, Any]) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    with gatekeeper(circusd, "before_stop") as keeper:
        (pid,) = circusd.pids("w")
        circusd.call("stop", name="w")
        gate = keeper.next("before_stop")
        assert status(circusd) == "stopping"
        assert is_alive(pid)
        keeper.answer(gate, **answer)
        wait_until(lambda: status(circusd) == "stopped", "w is stopped")


def test_hook_after_stop_is_part_of_the_stop(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    events = circusd.subscribe()
    with gatekeeper(circusd, "after_stop") as keeper:
        (pid,) = circusd.pids("w")
        circusd.call("stop", name="w")
        gate = keeper.next("after_stop")
        assert not is_alive(pid)
        assert status(circusd) == "stopping"
        assert "stop" not in events.actions("w")
        keeper.answer(gate, allow=False)
        events.wait_for("stop", watcher="w")


def test_a_restart_goes_through_the_hooks_of_both(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    order = ("before_stop", "after_stop", "before_start", "after_start")
    with gatekeeper(circusd, *order) as keeper:
        circusd.call("restart", name="w")
        numbers = [keeper.expect(hook)["gate"] for hook in order]
        wait_until(lambda: status(circusd) == "active", "w is active again")
    assert numbers == sorted(numbers)


def test_a_restart_asks_for_the_start_when_the_stop_is_through(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    events = circusd.subscribe()
    with gatekeeper(circusd, "after_stop", "before_start") as keeper:
        circusd.call("restart", name="w")
        gate = keeper.next("after_stop")
        circusd.ok("set", name="w", options={"priority": 2}, waiting=False)  # so that it compares again
        assert [event.data["hook"] for event in events.of("gate", watcher="w")] == ["after_stop"]
        keeper.answer(gate)
        keeper.expect("before_start")
        circusd.wait_for_pids("w", 1)


def test_hook_before_signal_that_refuses_leaves_it_to_sigkill(circusd: Circusd) -> None:
    circusd.start(IDLE + "graceful_timeout = 0.3\n")
    circusd.ok("start", name="w")
    events = circusd.subscribe()
    with gatekeeper(circusd, "before_signal") as keeper:
        circusd.call("stop", name="w")
        assert keeper.expect("before_signal", allow=False)["signum"] == signal.SIGTERM
        sigkill = keeper.next("before_signal")
        assert (sigkill["signum"], sigkill["waits"]) == (signal.SIGKILL, False)
        keeper.answer(sigkill, allow=False)
        assert events.wait_for("reap", watcher="w").data["exit_code"] == -signal.SIGKILL
    assert [event.data["signum"] for event in events.of("kill", watcher="w")] == [signal.SIGKILL]


def test_hook_before_signal_that_fails_does_not_withhold_the_signal(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    events = circusd.subscribe()
    with gatekeeper(circusd, "before_signal") as keeper:
        circusd.call("stop", name="w")
        keeper.expect("before_signal", allow=False, error="boom")
        assert events.wait_for("reap", watcher="w").data["exit_code"] == -signal.SIGTERM
    assert events.of("hook_failure", watcher="w")[0].data["error"] == "boom"


def test_hook_before_signal_and_after_signal_for_the_command_signal(circusd: Circusd) -> None:
    heard = circusd.folder / "heard"
    cmd = circusd.program(
        "hup.py",
        f"import signal, time\nsignal.signal(1, lambda *a: open({str(heard)!r}, 'a').write('x'))\n"
        f"open({str(heard)!r}, 'w').close()\nwhile True: time.sleep(0.05)",
    )
    circusd.start(f"[watcher:w]\ncmd = {cmd}")
    wait_until(heard.exists, "the program listens")
    with gatekeeper(circusd, "before_signal", "after_signal") as keeper:
        circusd.call("signal", name="w", signum="hup")
        keeper.expect("before_signal", allow=False)
        circusd.call("signal", name="w", signum="hup")
        keeper.expect("before_signal")
        keeper.expect("after_signal")
        wait_until(lambda: heard.read_text() == "x", "one of the two signals came")


def test_hook_before_reap_and_after_reap_tell_of_a_crash(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    with gatekeeper(circusd, "before_reap", "after_reap") as keeper:
        (pid,) = circusd.pids("w")
        os.kill(pid, signal.SIGKILL)
        assert keeper.expect("before_reap")["process_pid"] == pid
        told = keeper.expect("after_reap")
        assert (told["process_pid"], told["exit_code"], told["process_status"]) == (pid, -signal.SIGKILL, 2)
        circusd.wait_for_pids("w", 1)


def test_hook_extended_stats_adds_keys(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    (pid,) = circusd.pids("w")
    with gatekeeper(circusd, "extended_stats") as keeper:
        dealer = _send(circusd, "stats", name="w", extended=True)
        gate = keeper.expect("extended_stats", result={"open_files": 7})
        assert gate["pid"] == pid
        assert gate["stats"]["pid"] == pid
        info = dealer.recv_json()["info"][str(pid)]
        assert info["open_files"] == 7
        assert "mem_info1" in info
        dealer.close(linger=0)
        assert "open_files" not in circusd.ok("stats", name="w")["info"][str(pid)]


def _send(circusd: Circusd, command: str, **properties: Any) -> Any:
    import zmq

    dealer = circusd.context.socket(zmq.DEALER)
    dealer.connect(circusd.endpoint)
    dealer.send_json({"command": command, "properties": properties, "id": "1"})
    return dealer


def test_a_stop_during_a_gate_wins(circusd: Circusd) -> None:
    circusd.start(IDLE)
    with gatekeeper(circusd, "before_start") as keeper:
        circusd.call("start", name="w")
        gate = keeper.next("before_start")
        circusd.ok("stop", name="w")
        assert status(circusd) == "stopped"
        late = keeper.answer(gate)
        assert late["status"] == "error"
        assert late["reason"] == f"gate {gate['gate']} is closed"
        assert circusd.pids("w") == []
        circusd.call("start", name="w")
        keeper.expect("before_start")
        circusd.wait_for_pids("w", 1)


def test_a_gatekeeper_that_dies_in_mid_gate_has_failed(circusd: Circusd) -> None:
    circusd.start(IDLE)
    events = circusd.subscribe()
    keeper = Gatekeeper(circusd, ["before_start"])
    circusd.call("start", name="w")
    keeper.next("before_start")
    keeper.close()
    failure = events.wait_for("hook_failure", watcher="w").data
    assert failure["name"] == "before_start"
    assert "plugin:test ended" in failure["error"]
    wait_until(lambda: status(circusd) == "stopped", "the start is given up")
    circusd.ok("start", name="w")
    assert circusd.pids("w"), "nobody is asked any more"


def test_several_gatekeepers_must_all_allow(circusd: Circusd) -> None:
    circusd.start(IDLE)
    with (
        gatekeeper(circusd, "before_start", plugin="plugin:one") as one,
        gatekeeper(circusd, "before_start", plugin="plugin:two") as two,
    ):
        circusd.call("start", name="w")
        one.expect("before_start")
        assert circusd.pids("w") == []
        two.expect("before_start", allow=False)
        wait_until(lambda: status(circusd) == "stopped", "one has refused")
        assert "plugin:two" in reason(circusd)
        circusd.call("start", name="w")
        one.expect("before_start")
        two.expect("before_start")
        circusd.wait_for_pids("w", 1)


def test_who_did_not_register_has_no_say(circusd: Circusd) -> None:
    circusd.start(IDLE)
    with gatekeeper(circusd, "before_start", plugin="plugin:one") as one:
        circusd.call("start", name="w")
        gate = one.next("before_start")
        stranger = circusd.call("verdict", gate=gate["gate"], sync="0" * 32, allow=True)
        assert "register" in stranger["reason"]
        with gatekeeper(circusd, plugin="plugin:two") as two:
            assert two.answer(gate)["status"] == "error"
        assert circusd.pids("w") == []
        one.answer(gate)
        circusd.wait_for_pids("w", 1)
        assert one.answer(gate)["reason"] == f"gate {gate['gate']} is closed"


def test_only_watchers_that_match_are_gated_and_never_plugins(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("add", name="Web 1", cmd="sleep 300")
    circusd.ok("add", name="plugin:other", cmd="sleep 300")
    with gatekeeper(circusd, "before_start", watchers="WEB*") as keeper:
        circusd.ok("start", name="w")
        circusd.call("start", name="web 1")
        assert keeper.expect("before_start")["watcher"] == "Web 1"
        keeper.register(["before_start"], "*")
        circusd.ok("start", name="plugin:other")


def test_a_command_that_would_wait_for_itself_is_refused_at_once(circusd: Circusd) -> None:
    circusd.start(IDLE + OTHER)
    with gatekeeper(circusd, "before_start", watchers="w") as keeper:
        circusd.call("start", name="w")
        gate = keeper.next("before_start")
        for properties in ({"name": "w"}, {"name": "W", "match": "glob"}, {}):
            refused = keeper.call("restart", waiting=True, **properties)
            assert refused["status"] == "error"
            assert "without waiting" in refused["reason"]
        assert keeper.call("restart", name="other", waiting=True)["status"] == "ok"
        assert keeper.call("set", name="w", options={"priority": 3})["status"] == "ok"
        keeper.answer(gate)
        circusd.wait_for_pids("w", 1)
        assert keeper.call("stop", name="other", waiting=True)["status"] == "ok", "no gate is open any more"


def test_a_hook_that_never_answers_does_not_keep_circusd_alive(circusd: Circusd) -> None:
    circusd.start(IDLE + "graceful_timeout = 0.5\n")
    circusd.ok("start", name="w")
    with gatekeeper(circusd, "before_stop", "before_signal", "after_stop") as keeper:
        circusd.call("stop", name="w")
        keeper.next("before_stop")
        assert circusd.stop() == 0
    assert "Got signal SIG_TERM" in circusd.output()
    circusd.assert_no_defect()


def test_a_second_signal_waits_for_no_hook(circusd: Circusd) -> None:
    circusd.start(IDLE + "graceful_timeout = 300\n")
    circusd.ok("start", name="w")
    assert circusd.process is not None
    with gatekeeper(circusd, "before_stop", "before_signal", "after_stop") as keeper:
        circusd.process.send_signal(signal.SIGTERM)
        keeper.next("before_stop")
        circusd.process.send_signal(signal.SIGTERM)
        assert circusd.process.wait(20) == 0
    circusd.assert_no_defect()


def test_sigterm_during_a_gated_start_ends_circusd(circusd: Circusd) -> None:
    circusd.start(IDLE)
    with gatekeeper(circusd, "before_start") as keeper:
        circusd.call("start", name="w")
        keeper.next("before_start")
        assert circusd.stop() == 0


def test_the_functions_of_hooks_are_asked_of_their_runner(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 300\nautostart = False")
    circusd.ok("set", name="w", options={"hooks.before_start": "some.module.function", "hooks.after_start": "f.g,true"})
    with gatekeeper(circusd, functions=True) as keeper:
        circusd.call("start", name="w")
        gate = keeper.expect("before_start")
        assert (gate["function"], gate["ignore_failure"]) == ("some.module.function", False)
        gate = keeper.expect("after_start", allow=False, error="ignored")
        assert (gate["function"], gate["ignore_failure"]) == ("f.g", True)
        wait_until(lambda: status(circusd) == "active", "the error does not count")
        circusd.ok("stop", name="w")


def test_gates_that_were_opened_before_wait_for_who_registers(circusd: Circusd) -> None:
    """A plugin that is being started again is waited for, and is told in the reply of what waits for it."""
    circusd.start(IDLE)
    circusd.ok("add", name="plugin:test", cmd="sleep 300", start=True)
    with gatekeeper(circusd, "before_start") as keeper:
        pass
    wait_until(lambda: "register" in keeper.answer({"gate": 0})["reason"], "it is known to be gone")
    circusd.call("start", name="w")
    wait_until(lambda: circusd.ok("explain", name="w")["detail"] == "gated", "w waits for the plugin")
    assert circusd.pids("w") == []
    with gatekeeper(circusd, "before_start") as keeper:
        assert [gate["hook"] for gate in keeper.gates] == ["before_start"]
        assert keeper.gates[0]["gatekeepers"] == ["plugin:test"]
        keeper.expect("before_start")
        circusd.wait_for_pids("w", 1)
        circusd.ok("stop", name="w")
    circusd.ok("stop", name="plugin:test")
    circusd.ok("start", name="w")
    assert circusd.pids("w"), "a plugin that was stopped is not asked"


def test_registering_with_an_unknown_hook_names_the_nearest(circusd: Circusd) -> None:
    circusd.start(IDLE)
    reply = circusd.call("register", plugin="plugin:x", sync="1" * 32, hooks=["before_strat"])
    assert "before_start" in reply["reason"]


def test_plugins_start_before_all_others_and_stop_after_them(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 300\npriority = 100")
    circusd.ok("add", name="plugin:low", cmd="sleep 300", start=True, options={"priority": -5})
    events = circusd.subscribe()
    circusd.ok("stop")
    circusd.ok("start")
    seq = {(event.watcher, event.action): event.seq for event in events}
    assert seq["w", "stop"] < seq["plugin:low", "kill"]
    assert seq["plugin:low", "start"] < seq["w", "spawn"]


def test_notify_publishes_an_event_of_a_watcher(circusd: Circusd) -> None:
    circusd.start(IDLE)
    events = circusd.subscribe()
    reply = circusd.ok("notify", name="W", action="deployed", data={"version": "1.2", "seq": 0})
    told = events.wait_for("deployed", watcher="w").data
    assert (told["version"], told["seq"]) == ("1.2", reply["seq"])
    for action in ("reap", "two words", ""):
        assert circusd.call("notify", name="w", action=action)["status"] == "error"


def test_a_stop_with_a_failure_counts_as_given_up(circusd: Circusd) -> None:
    circusd.start(IDLE)
    circusd.ok("start", name="w")
    events = circusd.subscribe()
    circusd.ok("stop", name="w", failure="flapping: 3 exits in 1 s")
    assert events.wait_for("gave_up", watcher="w").data["reason"] == "flapping: 3 exits in 1 s"
    assert "flapping" in reason(circusd)
    assert circusd.ok("explain", name="w")["detail"] == "failed"
    assert circusd.call("stop", failure="all of them")["status"] == "error"


def test_a_stop_with_a_failure_ends_circusd_where_on_failure_says_so(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sh -c 'sleep 0.1; exit 3'\non_failure = exit")
    events = circusd.subscribe()
    events.wait_for("reap", watcher="w")
    circusd.call("stop", name="w", failure="flapping")
    assert circusd.process is not None
    assert circusd.process.wait(20) == 3


def test_the_time_of_a_hook_is_the_watchers(circusd: Circusd) -> None:
    circusd.start(IDLE + "hook_timeout = 0.3\n")
    events = circusd.subscribe()
    with gatekeeper(circusd, "before_start") as keeper:
        begun = time.time()
        circusd.call("start", name="w")
        assert 0 < keeper.next("before_start")["deadline"] - begun < 5
        assert "no answer within 0.3 s" in events.wait_for("hook_failure", watcher="w").data["error"]
        wait_until(lambda: status(circusd) == "stopped", "the start is given up")


def test_a_watcher_that_is_added_again_says_that_the_one_before_waits_for_a_hook(circusd: Circusd) -> None:
    circusd.start(IDLE)
    with gatekeeper(circusd, "after_stop") as keeper:
        circusd.ok("start", name="w")
        circusd.ok("rm", name="w", waiting=False)
        gate = keeper.next("after_stop")
        circusd.ok("add", name="w", cmd="sleep 300", start=True, waiting=False)
        assert reason(circusd) == "the removed watcher of that name is not gone yet"
        shown = circusd.ctl("explain", "w").stdout
        assert "waits for the removed watcher of that name, and that for the hook after_stop (plugin:test)" in shown
        keeper.answer(gate)
        circusd.wait_for_pids("w", 1)
        assert reason(circusd) == ""


def test_a_refusal_that_is_no_failure_is_told_nevertheless(circusd: Circusd) -> None:
    circusd.start(IDLE + "on_failure = ignore\n")
    with gatekeeper(circusd, "before_start") as keeper:
        circusd.ok("start", name="w", waiting=False)
        keeper.expect("before_start", allow=False)
        wait_until(lambda: status(circusd) == "stopped", "w is stopped")
        assert reason(circusd) == "the hook before_start refused (plugin:test)"


def test_a_start_waits_for_the_hook_after_the_stop_before_it(circusd: Circusd) -> None:
    circusd.start(IDLE)
    with gatekeeper(circusd, "before_start", "after_stop") as keeper:
        circusd.ok("start", name="w", waiting=False)
        keeper.expect("before_start")
        circusd.wait_for_pids("w", 1)
        circusd.ok("stop", name="w", waiting=False)
        gate = keeper.next("after_stop")
        circusd.ok("start", name="w", waiting=False)
        assert "after_stop" in reason(circusd)
        assert keeper.poll(0.2) == []
        keeper.answer(gate)
        keeper.expect("before_start")
        circusd.wait_for_pids("w", 1)


def test_a_restart_between_two_attempts_goes_through_the_hooks_of_the_stop(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = false\nautostart = False\n")
    with gatekeeper(circusd, "before_start", "before_stop", "after_stop") as keeper:
        circusd.ok("start", name="w", waiting=False)
        keeper.expect("before_start")
        wait_until(lambda: circusd.ok("explain", name="w")["detail"] == "backoff", "w is between two attempts")
        circusd.ok("restart", name="w", waiting=False)
        for hook in ("before_stop", "after_stop", "before_start"):
            gate = keeper.next(hook)
            assert keeper.gates == [], f"{hook} is the next one"
            keeper.answer(gate)


def test_nobody_waits_for_the_hook_of_a_process_that_is_not_wanted_any_more(circusd: Circusd) -> None:
    circusd.start(IDLE)
    with gatekeeper(circusd, "before_spawn") as keeper:
        circusd.ok("start", name="w", waiting=False)
        keeper.expect("before_spawn")
        circusd.wait_for_pids("w", 1)
        circusd.ok("incr", name="w", waiting=False)
        gate = keeper.next("before_spawn")
        circusd.ok("decr", name="w")
        assert reason(circusd) == ""
        assert keeper.answer(gate, allow=False)["reason"] == f"gate {gate['gate']} is closed"
        assert status(circusd) == "active"


def test_of_gates_that_nobody_waits_for_the_oldest_are_forgotten(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 300\n")
    with gatekeeper(circusd, "after_signal") as keeper:
        for _ in range(MOST_TOLD + 1):
            circusd.ok("signal", name="w", signum="WINCH")
        first, second = keeper.next("after_signal"), keeper.next("after_signal")
        assert keeper.answer(first)["reason"] == f"gate {first['gate']} is closed"
        assert keeper.answer(second)["status"] == "ok"


def test_who_cannot_be_reached_is_not_registered(circusd: Circusd) -> None:
    circusd.start(IDLE)
    reply = circusd.call("register", plugin="plugin:test", sync="0123abc", hooks=["before_start"])
    assert reply["status"] == "error"
    assert "subscribe" in reply["reason"]
    circusd.ok("start", name="w")
