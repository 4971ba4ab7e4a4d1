"""reloadconfig: planned and checked first, applied whole or not at all; nothing that has not changed is touched."""

from __future__ import annotations

import json
import os
import pwd
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.seen import Seen
from tests.support import Circusd, is_alive, wait_until

SLEEP = "cmd = sleep 300"
DEAF = "cmd = sh -c \"trap '' TERM; touch deaf; while :; do sleep 0.05; done\""
AB = f"[watcher:a]\n{SLEEP}\nnumprocesses = 2\n[watcher:b]\n{SLEEP}\n"


class Later(threading.Thread):
    """A command whose reply comes later."""

    def __init__(self, circusd: Circusd, command: str, **properties: Any) -> None:
        super().__init__()
        self.reply: dict[str, Any] = {}
        self._call = lambda: circusd.call(command, waiting=True, **properties)
        self.start()

    def run(self) -> None:
        self.reply = self._call()


def all_pids(circusd: Circusd) -> dict[str, list[int]]:
    return {name: circusd.pids(name) for name in circusd.ok("list")["watchers"]}


def statuses(circusd: Circusd) -> dict[str, str]:
    found: dict[str, str] = circusd.ok("status")["statuses"]
    return found


def test_an_unchanged_file_changes_nothing(circusd: Circusd) -> None:
    circusd.start(AB)
    events = circusd.subscribe()
    before = all_pids(circusd)
    assert circusd.ok("plan")["steps"] == ["nothing has changed"]
    assert circusd.ok("reloadconfig")["steps"] == ["nothing has changed"]
    assert all_pids(circusd) == before
    assert not events.actions("a") and not events.actions("b")


def test_another_number_of_processes_is_a_resize_in_place(circusd: Circusd) -> None:
    circusd.start(AB)
    before, b = circusd.wids("a"), circusd.pids("b")
    circusd.write(AB.replace("numprocesses = 2", "numprocesses = 4"))
    assert circusd.ok("reloadconfig")["steps"] == ["resize watcher a to 4 processes"]
    after = circusd.wids("a")
    assert set(after) == {1, 2, 3, 4}
    assert before.items() <= after.items()
    circusd.write(AB.replace("numprocesses = 2", "numprocesses = 1"))
    circusd.ok("reloadconfig")
    circusd.wait_for_pids("a", 1)
    assert circusd.wids("a") == {1: before[1]}
    circusd.write(AB.replace("numprocesses = 2\n", "numprocesses = 0\n"))
    circusd.ok("reloadconfig")
    circusd.wait_for_pids("a", 0)
    assert circusd.pids("b") == b


def test_a_resize_keeps_what_set_has_changed(circusd: Circusd) -> None:
    circusd.start(AB)
    circusd.ok("set", name="a", options={"graceful_timeout": 7})
    circusd.write(AB.replace("numprocesses = 2", "numprocesses = 1"))
    circusd.ok("reloadconfig")
    options = circusd.ok("get", name="a", keys=["graceful_timeout", "numprocesses"])["options"]
    assert options == {"graceful_timeout": 7, "numprocesses": 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("max_age = 500", "max_age"),
        ("graceful_timeout = 3", "graceful_timeout"),
        ("flapping.attempts = 3", "extra"),
        ("rlimit_nofile = 100", "rlimits"),
    ],
)
def test_options_that_come_and_go_are_noticed(circusd: Circusd, line: str, reason: str) -> None:
    circusd.start(AB)
    a, b = circusd.pids("a"), circusd.pids("b")
    for text in (AB.replace("numprocesses", f"{line}\nnumprocesses"), AB):
        circusd.write(text)
        assert circusd.ok("reloadconfig")["steps"] == [f"replace watcher a: {reason} changed"]
        assert len(circusd.pids("a")) == 2
        assert not set(a) & set(circusd.pids("a"))
        a = circusd.pids("a")
    assert circusd.pids("b") == b


def test_an_environment_that_changes(circusd: Circusd) -> None:
    circusd.start(AB + "[env]\nX = 1\n[env:b]\nY = 2\n")
    a, b = circusd.pids("a"), circusd.pids("b")
    circusd.write(AB + "[env]\nX = 1\n[env:b]\nY = 3\n")
    circusd.ok("reloadconfig")
    assert circusd.pids("a") == a
    (pid,) = circusd.pids("b")
    assert pid not in b
    assert Seen(pid).env["Y"] == "3"


def test_watchers_that_come_and_go(circusd: Circusd) -> None:
    circusd.start(AB)
    a, b = circusd.pids("a"), circusd.pids("b")
    circusd.write(
        f"[watcher:a]\n{SLEEP}\nnumprocesses = 2\n[watcher:c]\n{SLEEP}\n[watcher:d]\n{SLEEP}\nautostart = False"
    )
    plan = circusd.ok("plan")
    assert (plan["add"], plan["remove"], plan["replace"], plan["resize"]) == (["c", "d"], ["b"], [], {})
    assert all_pids(circusd) == {"a": a, "b": b}, "a plan is only a plan"
    circusd.ok("reloadconfig")
    assert statuses(circusd) == {"a": "active", "c": "active", "d": "stopped"}
    assert circusd.pids("a") == a
    assert not is_alive(b[0])


def test_a_name_in_another_letter_case_is_another_watcher(circusd: Circusd) -> None:
    circusd.start(AB)
    (before,) = circusd.pids("b")
    circusd.write(AB.replace("watcher:b", "watcher:B"))
    circusd.ok("reloadconfig")
    assert statuses(circusd) == {"a": "active", "B": "active"}
    assert not is_alive(before)


def test_a_watcher_that_a_client_removed_comes_back(circusd: Circusd) -> None:
    circusd.start(AB)
    a = circusd.pids("a")
    circusd.ok("rm", name="b")
    assert circusd.ok("plan")["add"] == ["b"]
    assert circusd.ok("reloadconfig")["steps"] == ["add watcher b"]
    assert statuses(circusd) == {"a": "active", "b": "active"}
    assert circusd.pids("a") == a


def test_a_watcher_that_a_client_added_stays(circusd: Circusd) -> None:
    circusd.start(AB)
    circusd.ok("add", name="mine", cmd="sleep 300", start=True)
    before = all_pids(circusd)
    circusd.ok("reloadconfig")
    assert all_pids(circusd) == before
    circusd.write(AB + f"[watcher:mine]\n{SLEEP}\nnumprocesses = 2\n")
    circusd.ok("reloadconfig")
    assert len(circusd.pids("mine")) == 2


def test_a_watcher_that_was_stopped_stays_stopped_with_its_new_options(circusd: Circusd) -> None:
    circusd.start(AB)
    circusd.ok("stop", name="b")
    circusd.write(AB + "priority = 3\n")
    circusd.ok("reloadconfig")
    assert statuses(circusd) == {"a": "active", "b": "stopped"}
    assert circusd.ok("get", name="b", keys=["priority"])["options"] == {"priority": 3}
    circusd.write(AB + "priority = 3\nnumprocesses = 2\n", "warmup_delay = 0.01")
    circusd.ok("reloadconfig")
    assert statuses(circusd) == {"a": "active", "b": "stopped"}, "also where everything is restarted"
    assert len(circusd.ok("start", name="b")["info"]["started"]) == 2


def test_a_watcher_that_had_failed_is_tried_again(circusd: Circusd) -> None:
    circusd.start(AB + "[watcher:bad]\ncmd = /nowhere/program\nmax_retry = 1\n")
    wait_until(lambda: statuses(circusd)["bad"] == "stopped", "it gave up")
    circusd.write(AB + f"[watcher:bad]\n{SLEEP}\nmax_retry = 1\n")
    circusd.ok("reloadconfig")
    assert statuses(circusd)["bad"] == "active"


@pytest.mark.parametrize("command", ["reloadconfig", "restart", "plan"])
def test_a_file_with_faults_changes_nothing_and_all_faults_are_told(circusd: Circusd, command: str) -> None:
    circusd.start(AB)
    events = circusd.subscribe()
    before = all_pids(circusd)
    circusd.write(
        "[watcher:a]\ncmd = sleep\nnumprocesses = many\nstop_signal = nosuch\n"
        "[watcher:c]\nuid = nobody-at-all\n[watcher:C]\ncmd = sleep\nhooks.before_start = no.such.module.function\n"
    )
    reply = circusd.call(command, waiting=True)
    assert reply["status"] == "error"
    faults = reply["reason"].splitlines()
    for start in (
        "[watcher:a] numprocesses: ",
        "[watcher:a] stop_signal: ",
        "[watcher:c] uid: ",
        "[watcher:c]: ",
        "[watcher:C]: ",
        "[watcher:C] hooks.before_start: ",
    ):
        assert [fault for fault in faults if start in fault and str(circusd.ini) in fault], (start, faults)
    assert all_pids(circusd) == before
    assert not events.actions("a") and not events.actions("b")
    circusd.ini.unlink()
    assert str(circusd.ini) in circusd.call(command, waiting=True)["reason"]
    assert all_pids(circusd) == before
    circusd.write(AB)
    assert circusd.ok("reloadconfig")["steps"] == ["nothing has changed"]


FAILING = f"""
[watcher:a]
{SLEEP}
numprocesses = 3
[watcher:b]
cmd = /nowhere/program
[watcher:c]
{SLEEP}
priority = 5
[watcher:new]
{SLEEP}
"""


def broken(circusd: Circusd) -> str:
    """A program that looks as if it could be started: only the system finds that its interpreter is missing."""
    program = circusd.folder / "broken"
    program.write_text("#!/nowhere/interpreter\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("circus", ["", "warmup_delay = 0.01"])
def test_what_fails_is_rolled_back_and_told(circusd: Circusd, circus: str) -> None:
    circusd.start(
        AB + f"[watcher:c]\n{SLEEP}\n[watcher:gone]\n{SLEEP}\nautostart = False\n[watcher:idle]\n{SLEEP}\n",
    )
    circusd.ok("start", name="gone")
    circusd.ok("stop", name="idle")
    circusd.ok("set", name="b", options={"graceful_timeout": 7, "numprocesses": 2})
    circusd.ok("set", name="idle", options={"priority": 9})
    a = circusd.wids("a")
    shown = {name: circusd.ok("options", name=name)["options"] for name in statuses(circusd)}
    counts = {name: len(pids) for name, pids in all_pids(circusd).items()}
    before = statuses(circusd)
    circusd.write(
        FAILING.replace("/nowhere/program", broken(circusd)) + f"[watcher:idle]\n{SLEEP}\npriority = 1\n", circus
    )
    reply = circusd.call("reloadconfig", waiting=True)
    assert (reply["status"], reply["errno"]) == ("error", 6)
    assert reply["reason"].startswith("rolled back: ")
    assert "b: " in reply["reason"] and broken(circusd) in reply["reason"]
    assert "rolled back" in circusd.output()
    wait_until(lambda: {name: len(pids) for name, pids in all_pids(circusd).items()} == counts, "as many as before")
    assert statuses(circusd) == before
    assert {name: circusd.ok("options", name=name)["options"] for name in before} == shown
    if not circus:
        assert circusd.wids("a") == a, "nothing but their number had changed"
    # And the daemon is as ready for the next one as before.
    circusd.write(FAILING.replace("/nowhere/program", "sleep 299"), circus)
    circusd.ok("reloadconfig")
    assert statuses(circusd) == dict.fromkeys(("a", "b", "c", "new"), "active")


def test_a_new_watcher_that_cannot_start_is_rolled_back(circusd: Circusd) -> None:
    circusd.start(AB)
    before = all_pids(circusd)
    circusd.write(AB + f"[watcher:new]\ncmd = {broken(circusd)}\n")
    reply = circusd.call("reloadconfig", waiting=True)
    assert "new: " in reply["reason"]
    assert all_pids(circusd) == before


def test_why_a_reload_failed_is_in_the_log_when_nobody_waits_for_it(circusd: Circusd) -> None:
    circusd.start(AB)
    circusd.write(f"{AB}numprocesses = many\n[watcher:c]\nuid = nobody-at-all\n")
    circusd.ok("reloadconfig", waiting=False)
    wait_until(lambda: "reloadconfig failed: " in circusd.output(), "it is logged")
    assert "'many' is not a whole number" in circusd.output()
    circusd.ok("restart", waiting=False)
    wait_until(lambda: "restart failed: " in circusd.output(), "it is logged")


@pytest.mark.parametrize("command", ["reloadconfig", "plan"])
def test_what_is_known_to_fail_is_not_tried(circusd: Circusd, command: str) -> None:
    circusd.start(AB + f"[watcher:gone]\n{SLEEP}\n[watcher:idle]\n{SLEEP}\nautostart = False\n")
    events = circusd.subscribe()
    before = all_pids(circusd)
    circusd.write(
        AB.replace("sleep", "/nowhere/program")
        + "[watcher:new]\ncmd = sleep 300\nworking_dir = /nowhere/folder\n"
        + "[watcher:idle]\ncmd = /nowhere/else\nautostart = False\n"
    )
    reply = circusd.call(command, waiting=True)
    assert (reply["status"], reply["errno"]) == ("error", 6)
    assert reply["reason"].startswith("nothing was changed: ")
    assert "/nowhere/program" in reply["reason"] and "/nowhere/folder" in reply["reason"]
    assert "/nowhere/else" not in reply["reason"], "nobody wants it to run"
    assert all_pids(circusd) == before
    assert not events.actions("gone"), "what is to be removed is still there"


def test_more_processes_that_cannot_start_are_rolled_back(circusd: Circusd) -> None:
    program = circusd.folder / "program"
    program.write_text("#!/bin/sh\nexec sleep 300\n")
    program.chmod(0o755)
    circusd.start(f"[watcher:a]\ncmd = {program}\n")
    before = circusd.wids("a")
    program.unlink()
    circusd.write(f"[watcher:a]\ncmd = {program}\nnumprocesses = 2\n")
    reply = circusd.call("reloadconfig", waiting=True)
    assert (reply["status"], str(program) in reply["reason"]) == ("error", True)
    assert circusd.wids("a") == before
    assert circusd.ok("numprocesses", name="a")["numprocesses"] == 1
    assert statuses(circusd) == {"a": "active"}


def test_old_processes_are_ended_as_they_were_started(circusd: Circusd) -> None:
    circusd.start(AB + "stop_signal = USR1\n")
    events = circusd.subscribe()
    circusd.write(AB + "stop_signal = USR2\n")
    circusd.ok("reloadconfig")
    assert [event.data["signum"] for event in events.of("kill", watcher="b")] == [10]
    circusd.ok("stop", name="b")
    assert [event.data["signum"] for event in events.of("kill", watcher="b")] == [10, 12]


def test_a_change_of_the_daemon_restarts_everything_in_place(circusd: Circusd) -> None:
    circusd.start(AB)
    before = all_pids(circusd)
    circusd.write(AB, "check_delay = 1.5")
    assert circusd.ok("plan")["restart_all"] is True
    circusd.ok("reloadconfig")
    after = all_pids(circusd)
    assert {name: len(pids) for name, pids in after.items()} == {"a": 2, "b": 1}
    assert not {pid for pids in after.values() for pid in pids} & {pid for pids in before.values() for pid in pids}
    assert circusd.ok("globaloptions", option="check_delay")["options"] == {"check_delay": 1.5}
    assert circusd.process is not None and circusd.process.poll() is None


@pytest.mark.parametrize("option", ["endpoint", "pubsub_endpoint"])
def test_a_changed_endpoint(circusd: Circusd, option: str) -> None:
    circusd.start(AB)
    old = circusd.folder / option.removesuffix("_endpoint")
    assert old.exists()
    before = circusd.endpoint
    setattr(circusd, option, f"ipc://{circusd.folder}/moved")
    circusd.write(AB)
    new_endpoint, circusd.endpoint = circusd.endpoint, before
    assert circusd.ok("reloadconfig")["status"] == "ok"
    circusd.endpoint = new_endpoint
    assert circusd.ok("globaloptions", option=option)["options"] == {option: f"ipc://{circusd.folder}/moved"}
    assert set(statuses(circusd).values()) == {"active"}
    wait_until(lambda: not old.exists(), "the old one is given up")
    events = circusd.subscribe()
    circusd.ok("restart", name="b")
    assert events.wait_for("start", watcher="b")
    if option == "endpoint":
        assert circusd.ok("reloadconfig")["steps"] == ["nothing has changed"]
        circusd.endpoint = before
        assert circusd.try_call("list", 0.3) is None, "nobody answers there any more"
        circusd.endpoint = new_endpoint
    assert circusd.stop() == 0
    assert not (circusd.folder / "moved").exists()


def test_an_endpoint_there_and_back_at_once(circusd: Circusd) -> None:
    circusd.start("")
    there, back = f"ipc://{circusd.folder}/moved", circusd.endpoint
    for endpoint in (there, back, there):
        before, circusd.endpoint = circusd.endpoint, endpoint
        circusd.write("")
        circusd.endpoint = before
        circusd.ok("reloadconfig")
        circusd.endpoint = endpoint
    assert circusd.ok("globaloptions", option="endpoint")["options"] == {"endpoint": there}
    wait_until(lambda: not (circusd.folder / "endpoint").exists(), "the old one is given up")
    assert (circusd.folder / "moved").exists()


def test_an_endpoint_that_cannot_be_had_changes_nothing(circusd: Circusd) -> None:
    circusd.start(AB)
    before, endpoint = all_pids(circusd), circusd.endpoint
    circusd.endpoint = "ipc:///nowhere/at/all/endpoint"
    circusd.write(AB.replace("numprocesses = 2", "numprocesses = 3"))
    circusd.endpoint = endpoint
    reply = circusd.call("reloadconfig", waiting=True)
    assert (reply["status"], "/nowhere/at/all" in reply["reason"]) == ("error", True)
    assert all_pids(circusd) == before


def test_rolling_back_keeps_the_old_endpoint(circusd: Circusd) -> None:
    circusd.start(AB)
    endpoint = circusd.endpoint
    circusd.endpoint = f"ipc://{circusd.folder}/moved"
    circusd.write(AB.replace("sleep", broken(circusd)))
    circusd.endpoint = endpoint
    assert circusd.call("reloadconfig", waiting=True)["status"] == "error"
    assert circusd.ok("globaloptions", option="endpoint")["options"] == {"endpoint": endpoint}
    assert not (circusd.folder / "moved").exists()
    assert set(statuses(circusd).values()) == {"active"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its endpoint away")
def test_the_owner_of_the_endpoint_changes_too(circusd: Circusd) -> None:
    circusd.start(AB)
    circusd.ok("add", name="free", cmd="sleep 300")
    circusd.write(AB, "endpoint_owner = nobody")
    circusd.ok("reloadconfig")
    assert circusd.call("add", name="mine", cmd="sleep 300")["reason"] == "uid does not match endpoint_owner"
    socket = circusd.folder / "endpoint"
    assert socket.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    circusd.write(AB)
    circusd.ok("reloadconfig")
    assert socket.stat().st_uid == os.geteuid()
    circusd.ok("add", name="mine", cmd="sleep 300")


def test_the_daemon_itself_changes_too(circusd: Circusd) -> None:
    circusd.start(AB, "umask = 027")
    log = circusd.folder / "new.log"
    circusd.write(
        AB, f"umask = 077\nproc_name = other\nloglevel = debug\nlogoutput = {log}\nevent_ring_size = 9\ndebug = on"
    )
    circusd.ok("reloadconfig")
    assert circusd.process is not None
    assert Path(f"/proc/{circusd.process.pid}/comm").read_text() == "other\n"
    assert Seen(circusd.pids("b")[0]).status("Umask") == ["0077"]
    assert "reloadconfig: restart everything" in log.read_text()
    assert "[circus] event_ring_size: the change counts from the next start" in log.read_text()


def test_the_sweep_begins_with_a_check_delay(circusd: Circusd) -> None:
    circusd.start("", "check_delay = 0")
    assert circusd.process is not None
    status = Path(f"/proc/{circusd.process.pid}/status")

    def wakings() -> int:
        return int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    circusd.write("", "check_delay = 0.05")
    circusd.ok("reloadconfig")
    before = wakings()
    wait_until(lambda: wakings() > before + 20, "it looks again and again")


def test_a_log_that_cannot_be_opened_changes_nothing(circusd: Circusd) -> None:
    circusd.start(AB, "umask = 027")
    before = all_pids(circusd)
    circusd.write(AB, "umask = 077\nlogoutput = /nowhere/at/all/log")
    reply = circusd.call("reloadconfig", waiting=True)
    assert (reply["status"], "/nowhere/at/all/log" in reply["reason"]) == ("error", True)
    assert all_pids(circusd) == before
    circusd.ok("restart", name="b")
    assert Seen(circusd.pids("b")[0]).status("Umask") == ["0027"]


def test_restart_of_everything_reads_the_file_again(circusd: Circusd) -> None:
    circusd.start(AB)
    circusd.ok("stop", name="a")
    circusd.ok("set", name="a", options={"numprocesses": 5})
    (before,) = circusd.pids("b")
    circusd.write(AB + f"[watcher:c]\n{SLEEP}\n", "check_delay = 1.5")
    circusd.ok("restart")
    assert {name: len(pids) for name, pids in all_pids(circusd).items()} == {"a": 2, "b": 1, "c": 1}
    assert circusd.pids("b") != [before]
    assert circusd.ok("globaloptions", option="check_delay")["options"] == {"check_delay": 1.5}
    assert circusd.ok("reloadconfig")["steps"] == ["nothing has changed"]


def test_two_at_once(circusd: Circusd) -> None:
    circusd.start(AB + f"[watcher:slow]\n{DEAF}\ngraceful_timeout = 1\n")
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    circusd.write(AB + f"[watcher:slow]\n{DEAF}\ngraceful_timeout = 1\npriority = 1\n")
    first = Later(circusd, "reloadconfig")
    wait_until(lambda: statuses(circusd)["slow"] == "stopping", "the first one is at work")
    circusd.write(AB + f"[watcher:new]\n{SLEEP}\n")
    second = Later(circusd, "reloadconfig")
    first.join()
    second.join()
    assert first.reply["steps"] == ["replace watcher slow: priority changed"]
    assert second.reply["steps"] == ["remove watcher slow", "add watcher new"]
    assert statuses(circusd) == {"a": "active", "b": "active", "new": "active"}


def test_during_a_slow_stop(circusd: Circusd) -> None:
    slow = f"[watcher:slow]\n{DEAF}\ngraceful_timeout = 1.5\n"
    circusd.start(AB + slow)
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    stop = Later(circusd, "stop", name="slow")
    wait_until(lambda: statuses(circusd)["slow"] == "stopping", "the stop is under way")
    a = circusd.pids("a")
    circusd.write(AB + slow + "priority = 3\n" + f"[watcher:new]\n{SLEEP}\n")
    circusd.ok("reloadconfig")
    assert statuses(circusd)["new"] == "active"
    stop.join()
    assert stop.reply["status"] == "ok"
    assert statuses(circusd)["slow"] == "stopped"
    assert circusd.ok("get", name="slow", keys=["priority"])["options"] == {"priority": 3}
    assert circusd.pids("a") == a


def test_what_is_changed_during_a_slow_replacement_counts(circusd: Circusd) -> None:
    slow = f"[watcher:slow]\n{DEAF}\ngraceful_timeout = 1.5\n"
    circusd.start(slow)
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    circusd.write(slow + "send_hup = True\nnumprocesses = 2\n")
    reload = Later(circusd, "reloadconfig")
    wait_until(lambda: statuses(circusd)["slow"] == "stopping", "it is under way")
    circusd.ok("incr", name="slow", waiting=False)
    circusd.ok("set", name="slow", options={"priority": 7}, waiting=False)
    reload.join()
    assert reload.reply["status"] == "ok"
    wanted = {"numprocesses": 3, "priority": 7, "send_hup": True}
    assert circusd.ok("get", name="slow", keys=list(wanted))["options"] == wanted
    circusd.wait_for_pids("slow", 3)


def test_a_stop_during_a_restart_of_everything_counts(circusd: Circusd) -> None:
    circusd.start(AB + f"[watcher:slow]\n{DEAF}\ngraceful_timeout = 1.5\npriority = 9\n")
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    circusd.write(AB + f"[watcher:slow]\n{DEAF}\ngraceful_timeout = 1.5\npriority = 9\n", "check_delay = 1.5")
    reload = Later(circusd, "reloadconfig")
    wait_until(lambda: statuses(circusd) == {"a": "stopped", "b": "stopped", "slow": "stopping"}, "it is under way")
    circusd.ok("stop", name="b")
    reload.join()
    assert statuses(circusd) == {"a": "active", "b": "stopped", "slow": "active"}


def test_quitting_during_a_reload(circusd: Circusd) -> None:
    slow = f"[watcher:slow]\n{DEAF}\ngraceful_timeout = 1\n"
    circusd.start(AB + slow)
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    circusd.write(AB + slow + "priority = 3\n")
    circusd.ok("reloadconfig", waiting=False)
    wait_until(lambda: statuses(circusd)["slow"] == "stopping", "it is under way")
    assert circusd.stop() == 0


def test_the_command_line(circusd: Circusd) -> None:
    circusd.start(AB)
    before = all_pids(circusd)
    circusd.write(AB + f"[watcher:c]\n{SLEEP}\npriority = 1\n")
    run = circusd.ctl("reloadconfig", "--dry-run")
    assert (run.stdout, run.returncode) == ("add watcher c\n", 0)
    assert all_pids(circusd) == before
    assert json.loads(circusd.ctl("--json", "plan").stdout)["add"] == ["c"]
    assert circusd.ctl("reloadconfig", "--waiting").returncode == 0
    assert all_pids(circusd).keys() == {"a", "b", "c"}
    circusd.write("[watcher:a]\nnumprocesses = x\n")
    run = circusd.ctl("reloadconfig", "--waiting")
    assert run.returncode == 3
    assert "numprocesses" in run.stderr and "cmd" in run.stderr


def test_warnings_of_the_new_file_are_told(circusd: Circusd) -> None:
    circusd.start(AB)
    circusd.write(AB + "gracefull_timeout = 3\n")
    circusd.ok("reloadconfig")
    assert "did you mean graceful_timeout?" in circusd.output()


def hooked(circusd: Circusd) -> None:
    """Start a daemon with a hook that is imported at once, and once there is a file ``wait``, never."""
    (circusd.folder / "waits.py").write_text(
        "import os, sys, time\n"
        "while sys.argv[0] == '-c' and os.path.exists('wait'):\n"
        "    open('importing', 'w').close()\n    time.sleep(0.01)\n"
        "def agree(**_):\n    return True\n"
    )
    circusd.start(AB + "hooks.before_start = waits.agree\n", env={"PYTHONPATH": str(circusd.folder)})
    (circusd.folder / "wait").touch()


def test_what_tries_imports_is_nobody_s_orphan(circusd: Circusd) -> None:
    """Its number may be another process's when circusd ends, which was sent SIGKILL then."""
    hooked(circusd)
    reload = Later(circusd, "reloadconfig")
    wait_until((circusd.folder / "importing").exists, "the import is tried")
    circusd.ok("restart", name="a")
    (circusd.folder / "wait").unlink()
    reload.join()
    assert reload.reply["steps"] == ["nothing has changed"]
    assert circusd.stop() == 0
    assert "no watcher" not in circusd.output()


def test_an_import_without_end_does_not_hold_circusd_up(circusd: Circusd) -> None:
    # It would be ended after ten seconds anyway.
    (circusd.folder / "sitecustomize.py").write_text("import circus.config.dotted as it; it.TIME_LIMIT = 1000\n")
    hooked(circusd)
    circusd.ok("reloadconfig", waiting=False)
    wait_until((circusd.folder / "importing").exists, "the import is tried")
    assert circusd.stop() == 0
    assert not circusd.descendants()
