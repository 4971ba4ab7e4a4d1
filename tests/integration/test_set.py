"""``set``: each option takes effect, and a request is carried out whole or not at all."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from circus.config.schema import WATCHER
from tests.seen import Seen, look
from tests.support import DEADLINE, Circusd, wait_until

SLEEP = "cmd = sleep 300"


def one(circusd: Circusd, more: str = "") -> Circusd:
    return circusd.start(f"[watcher:w]\n{SLEEP}\n{more}", env={"OUTER": "from outside"})


def change(circusd: Circusd, **options: Any) -> dict[str, Any]:
    return circusd.ok("set", name="w", options=options)


def has_python_path(seen: Seen) -> bool:
    return os.path.dirname(os.__file__) in seen.env["PYTHONPATH"].split(":")


RELOADED: list[tuple[dict[str, Any], Callable[[Seen], bool]]] = [
    ({"cmd": "sleep 299"}, lambda seen: seen.argv == ["sleep", "299"]),
    ({"args": "1 2"}, lambda seen: seen.argv == ["sleep", "300", "1", "2"]),
    ({"args": ["1", "$(circus.wid)0"]}, lambda seen: seen.argv == ["sleep", "300", "1", "10"]),
    ({"executable": "sleep", "cmd": "other 300"}, lambda seen: seen.argv == ["other", "300"]),
    ({"cmd": "exec sleep $((2+1))01", "shell": True}, lambda seen: seen.argv == ["sleep", "301"]),
    ({"cmd": "exec sleep $0", "shell": True, "shell_args": "298"}, lambda seen: seen.argv == ["sleep", "298"]),
    ({"working_dir": "/usr"}, lambda seen: seen.cwd == "/usr"),
    ({"env": {"A": "b"}}, lambda seen: seen.env["A"] == "b"),
    ({"copy_env": True}, lambda seen: seen.env["OUTER"] == "from outside"),
    ({"copy_path": True, "copy_env": True}, has_python_path),
    ({"virtualenv": sys.prefix, "copy_env": True}, lambda seen: seen.env["VIRTUAL_ENV"] == sys.prefix),
    ({"rlimit_nofile": 100}, lambda seen: seen.limit("open files") == ("100", "100")),
    ({"rlimit_core": None}, lambda seen: seen.limit("core file size") == ("unlimited", "unlimited")),
    ({"use_sockets": True}, lambda seen: seen.descriptor(3).startswith("socket:")),
    ({"stdin_socket": "Web"}, lambda seen: seen.descriptor(0).startswith("socket:")),
    ({"close_child_stdin": False}, lambda seen: seen.descriptor(0).startswith("pipe:")),
    ({"close_child_stdout": True}, lambda seen: seen.descriptor(1) == "/dev/null"),
    ({"close_child_stderr": True}, lambda seen: seen.descriptor(2) == "/dev/null"),
]
AS_ROOT: list[tuple[dict[str, Any], Callable[[Seen], bool]]] = [
    ({"uid": 65534, "gid": 65534}, lambda seen: seen.status("Uid")[0] == seen.status("Gid")[0] == "65534"),
    ({"gid": 65534}, lambda seen: (seen.status("Uid")[0], seen.status("Gid")[0]) == ("0", "65534")),
]


if os.geteuid() == 0:
    RELOADED += AS_ROOT


@pytest.mark.parametrize(("options", "check"), RELOADED, ids=["-".join(options) for options, _ in RELOADED])
def test_what_a_process_starts_with_needs_a_graceful_reload(
    circusd: Circusd, options: dict[str, Any], check: Callable[[Seen], bool]
) -> None:
    read, write = os.pipe()
    text = f"[watcher:w]\n{SLEEP}\n[socket:web]\nport = 0\n"
    circusd.start(text, env={"OUTER": "from outside"}, stdin=read)
    os.close(read)
    events = circusd.subscribe()
    (before,) = circusd.pids("w")
    assert not seen_or_not(check, Seen(before))
    if "args" in options:
        options = {**options, "cmd": "sleep 300"}
    change(circusd, **options)
    (after,) = circusd.pids("w")
    assert after != before
    wait_until(lambda: seen_or_not(check, Seen(after)), f"{options} has its effect")
    assert [action for action in events.actions("w") if action != "updated"] == ["spawn", "kill", "reap", "reload"]
    assert len(events.of("updated", watcher="w")) == len(options)
    os.close(write)


def seen_or_not(check: Callable[[Seen], bool], seen: Seen) -> bool:
    try:
        return check(seen)
    except (KeyError, StopIteration, FileNotFoundError):
        return False


def test_a_virtual_environment_of_another_version(circusd: Circusd) -> None:
    one(circusd)
    (circusd.folder / "venv/lib/python3.1/site-packages").mkdir(parents=True)
    change(circusd, copy_env=True, virtualenv=str(circusd.folder / "venv"), virtualenv_py_ver="3.1")
    assert look(circusd, "w").env["PYTHONPATH"].split(":")[0].endswith("/python3.1/site-packages")


def test_an_environment_replaces_the_one_before(circusd: Circusd) -> None:
    one(circusd, "[env:w]\nOLD = 1\n")
    assert look(circusd, "w").env["OLD"] == "1"
    change(circusd, env={"NEW": "$(circus.wid)"})
    env = look(circusd, "w").env
    assert (env["NEW"], "OLD" in env) == ("1", False)


@pytest.mark.parametrize(
    "options",
    [
        *({"stop_signal": 10}, {"graceful_timeout": 3}, {"stop_children": True}, {"send_hup": True}),
        *({"max_retry": 2}, {"respawn": False}, {"singleton": True}, {"warmup_delay": 1.5}, {"priority": 4}),
        *({"autostart": False}, {"on_failure": "ignore"}, {"retry_in": 3}, {"hook_timeout": 2}, {"idle_timeout": 2}),
    ],
    ids=str,
)
def test_what_matters_later_touches_no_process(circusd: Circusd, options: dict[str, Any]) -> None:
    one(circusd)
    events = circusd.subscribe()
    before = circusd.pids("w")
    change(circusd, **options)
    assert circusd.pids("w") == before
    assert events.actions("w") == ["updated"]
    (key,) = options
    assert events.of("updated", watcher="w")[0].data["option"] == key
    shown = circusd.ok("get", name="w", keys=["flapping.retry_in" if key == "retry_in" else key])["options"]
    assert list(shown.values()) == (["3"] if key == "retry_in" else list(options.values()))


def test_numprocesses(circusd: Circusd) -> None:
    one(circusd)
    first = circusd.wids("w")
    assert change(circusd, numprocesses=3)["numprocesses"] == 3
    assert circusd.wids("w").keys() == {1, 2, 3}
    assert first.items() <= circusd.wids("w").items()
    change(circusd, numprocesses=1)
    assert circusd.wids("w") == first
    assert change(circusd, numprocesses=-4)["numprocesses"] == 0
    assert circusd.pids("w") == []


def test_of_a_stopped_watcher(circusd: Circusd) -> None:
    one(circusd)
    circusd.ok("stop", name="w")
    change(circusd, numprocesses=2, cmd="sleep 299")
    assert circusd.ok("status", name="w")["status"] == "stopped"
    circusd.ok("start", name="w")
    expected = [["sleep", "299"]] * 2
    wait_until(lambda: [Seen(pid).argv for pid in circusd.pids("w")] == expected, "two processes run the new program")


@pytest.mark.parametrize(("spelling", "number"), [(10, 10), ("USR1", 10), ("SIGQUIT", 3), ("int", 2)])
def test_stop_signal(circusd: Circusd, spelling: int | str, number: int) -> None:
    one(circusd)
    events = circusd.subscribe()
    change(circusd, stop_signal=spelling)
    circusd.ok("stop", name="w")
    assert [event.data["signum"] for event in events.of("kill", watcher="w")] == [number]
    assert events.of("reap", watcher="w")[0].data["exit_code"] == -number


def test_graceful_timeout(circusd: Circusd) -> None:
    deaf = "sh -c \"trap '' TERM; touch deaf; while :; do sleep 0.05; done\""
    circusd.start(f"[watcher:w]\ncmd = {deaf}\ngraceful_timeout = 100")
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    events = circusd.subscribe()
    change(circusd, graceful_timeout=0.3)
    circusd.ok("stop", name="w")
    assert [event.data["signum"] for event in events.of("kill", watcher="w")] == [15, 9]


def test_stop_children(circusd: Circusd) -> None:
    child = "trap 'echo term > told; exit' TERM; touch ready; while :; do sleep 0.05; done"
    (circusd.folder / "child.sh").write_text(child)
    circusd.start('[watcher:w]\ncmd = sh -c "sh child.sh & exec sleep 300"\n')
    wait_until((circusd.folder / "ready").exists, "the child runs")
    events = circusd.subscribe()
    change(circusd, stop_children=True)
    circusd.ok("stop", name="w")
    assert (circusd.folder / "told").read_text() == "term\n"
    assert len(events.of("kill", watcher="w")) == 2


def test_send_hup(circusd: Circusd) -> None:
    hup = "sh -c \"trap 'touch hup' HUP; touch ready; while :; do sleep 0.05; done\""
    circusd.start(f"[watcher:w]\ncmd = {hup}")
    wait_until((circusd.folder / "ready").exists, "the trap is set")
    before = circusd.pids("w")
    change(circusd, send_hup=True)
    circusd.ok("reload", name="w")
    wait_until((circusd.folder / "hup").exists, "the process got SIGHUP")
    assert circusd.pids("w") == before


def test_max_retry_and_on_failure(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = /nowhere/program\nautostart = False")
    events = circusd.subscribe()
    change(circusd, max_retry=2)
    assert circusd.call("start", name="w", waiting=True)["status"] == "error"
    assert len(events.of("spawn_failed", watcher="w")) == 2
    change(circusd, max_retry=1, on_failure="exit")
    circusd.call("start", name="w")
    assert circusd.process is not None
    assert circusd.process.wait(DEADLINE) == 127


def test_a_watcher_that_tries_for_ever_gives_up_when_told(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = /nowhere/program\nmax_retry = -1\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("start", name="w", waiting=False)
    events.wait_for("spawn_failed", watcher="w", count=3)
    circusd.ok("set", name="w", options={"max_retry": 1}, waiting=False)
    events.wait_for("gave_up", watcher="w")


def test_respawn(circusd: Circusd) -> None:
    one(circusd)
    events = circusd.subscribe()
    change(circusd, respawn=False)
    os.kill(circusd.pids("w")[0], signal.SIGKILL)
    events.wait_for("stop", watcher="w")
    change(circusd, respawn=True)
    circusd.ok("start", name="w")
    os.kill(circusd.pids("w")[0], signal.SIGKILL)
    events.wait_for("spawn", watcher="w", count=2)


def test_singleton(circusd: Circusd) -> None:
    one(circusd)
    change(circusd, singleton=True)
    assert circusd.ok("incr", name="w")["singleton"] is True
    assert len(circusd.pids("w")) == 1
    change(circusd, singleton=False)
    circusd.ok("incr", name="w")
    assert len(circusd.pids("w")) == 2


def test_warmup_delay(circusd: Circusd) -> None:
    one(circusd)
    events = circusd.subscribe()
    change(circusd, warmup_delay=0.3)
    change(circusd, numprocesses=4)
    times = [event.data["time"] for event in events.of("spawn", watcher="w")]
    assert len(times) == 3
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.29


def test_max_age(circusd: Circusd) -> None:
    one(circusd)
    events = circusd.subscribe()
    change(circusd, max_age=1, max_age_variance=0)
    wait_until(
        lambda: "max_age" in [event.data["reason"] for event in events.of("reap", watcher="w")], "it was too old"
    )


def test_priority(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\n[watcher:other]\n{SLEEP}\npriority = 5\n")
    events = circusd.subscribe()
    change(circusd, priority=9)
    circusd.ok("stop")
    assert events.of("stop", watcher="other")[0].data["seq"] < events.of("kill", watcher="w")[0].data["seq"]


def test_autostart(circusd: Circusd) -> None:
    one(circusd)
    circusd.ok("stop")
    change(circusd, autostart=False)
    circusd.ok("start")
    assert circusd.ok("status", name="w")["status"] == "stopped"


def test_ready(circusd: Circusd) -> None:
    one(circusd)
    (before,) = circusd.pids("w")
    circusd.ok("set", name="w", options={"ready": "notify"}, waiting=False)
    wait_until(lambda: len(circusd.pids("w")) == 2, "the new process runs")
    assert before in circusd.pids("w"), "the old one stays until the new one is ready"
    assert "ready" in circusd.ok("explain", name="w")["blocked_by"][0]["why"]


def test_ready_timeout(circusd: Circusd) -> None:
    """A watcher whose processes never become ready keeps those of lower priority waiting no longer than that."""
    circusd.start("[watcher:w]\ncmd = sleep 300\nready = notify\npriority = 9\nautostart = False")
    circusd.ok("add", name="later", cmd="sleep 300")
    change(circusd, ready_timeout=0.2)
    change(circusd, autostart=True)
    circusd.call("start")
    circusd.wait_for_pids("later", 1)
    assert circusd.ok("status", name="w")["status"] == "starting"


def test_what_ends_instead_of_becoming_ready_keeps_nobody_waiting(circusd: Circusd) -> None:
    """Not even where it lives long enough to be replaced at once each time."""
    circusd.start(
        """
        [watcher:w]
        cmd = sh -c "sleep 1.1; exit 1"
        ready = notify
        priority = 9
        max_retry = -1

        [watcher:later]
        cmd = sleep 300
        """
    )
    assert len(circusd.pids("later")) == 1


def test_streams_and_hooks_are_kept(circusd: Circusd) -> None:
    one(circusd)
    file = f"{circusd.folder}/f"
    change(circusd, **{"stdout_stream": {"class": "FileStream", "filename": file}, "stdout_stream.max_bytes": 9})
    change(circusd, **{"hooks": {"before_stop": "a.b"}, "hooks.after_stop": "c.d,true"})
    shown = circusd.ok("options", name="w")["options"]
    assert shown["stdout_stream_conf"] == {"filename": file, "max_bytes": "9"}
    change(circusd, **{"stderr_stream.class": "FileStream", "stderr_stream.filename": file})
    assert circusd.ok("get", name="w", keys=["stderr_stream_conf"])["options"] == {
        "stderr_stream_conf": {"filename": file}
    }
    assert shown["hooks"] == {"before_stop": ["a.b", False], "after_stop": ["c.d", True]}


@pytest.mark.parametrize(
    ("options", "errno", "reason"),
    [
        ({"numprocesses": "x"}, 3, "'numprocesses' isn't an integer"),
        ({"max_retry": True}, 3, "'max_retry' isn't an integer"),
        ({"warmup_delay": "x"}, 3, "'warmup_delay' isn't a number"),
        ({"uid": []}, 3, "'uid' isn't an integer or string"),
        ({"respawn": "yes"}, 3, "'respawn' isn't a valid boolean"),
        ({"env": []}, 3, "'env' isn't a valid object"),
        ({"env": {"A": 1}}, 3, "'A' isn't a string"),
        ({"hooks": "x"}, 3, "'x' isn't a valid hook dict"),
        ({"stderr_stream": {}}, 3, "'stderr_stream' must have a 'class' key"),
        ({"rlimit_nosuch": 1}, 3, "'rlimit_nosuch' isn't a valid rlimit setting"),
        ({"rlimit_nofile": "1"}, 3, "'1' rlimit value isn't a valid int"),
        ({"anything": 1}, 3, "unknown key 'anything'"),
        ({"singleton": True, "numprocesses": 2}, 5, "Singleton watcher has a single process"),
        ({"copy_path": True}, 3, "copy_path has no effect without copy_env"),
    ],
    ids=str,
)
def test_all_or_nothing(circusd: Circusd, options: dict[str, Any], errno: int, reason: str) -> None:
    one(circusd)
    events = circusd.subscribe()
    before, shown = circusd.pids("w"), circusd.ok("options", name="w")["options"]
    reply = circusd.call("set", name="w", options={"graceful_timeout": 3, "cmd": "sleep 299", **options}, waiting=True)
    assert (reply["status"], reply["errno"], reply["tb"]) == ("error", errno, None)
    assert reply["reason"].startswith(reason)
    assert circusd.ok("options", name="w")["options"] == shown
    assert circusd.pids("w") == before
    assert events.actions("w") == []


def test_options_that_only_go_together_may_come_in_any_order(circusd: Circusd) -> None:
    one(circusd, "singleton = True")
    change(circusd, copy_path=True, copy_env=True)
    change(circusd, numprocesses=2, singleton=False)
    assert len(circusd.pids("w")) == 2
    change(circusd, numprocesses=1, singleton=True, copy_env=False, copy_path=False)
    assert len(circusd.pids("w")) == 1


def test_what_set_needs(circusd: Circusd) -> None:
    one(circusd)
    for properties, reason in (
        ({"name": "w"}, "message invalid 'options' is missing"),
        ({"name": "nosuch", "options": {}}, "program nosuch not found"),
        ({"name": "w", "options": 3}, "message invalid 'options' isn't an object"),
    ):
        reply = circusd.call("set", **properties)
        assert (reply["errno"], reply["reason"]) == (3, reason)
    assert circusd.ok("set", name="w", options={})["status"] == "ok"


def test_a_program_that_cannot_be_started_leaves_the_old_processes(circusd: Circusd) -> None:
    one(circusd)
    before = circusd.pids("w")
    reply = circusd.call("set", name="w", options={"cmd": "/nowhere/program"}, waiting=True)
    assert (reply["status"], reply["errno"]) == ("error", 6)
    assert "/nowhere/program" in reply["reason"]
    assert circusd.pids("w") == before
    change(circusd, cmd="sleep 299")
    assert circusd.pids("w") != before


def test_a_change_of_options_does_not_keep_a_watcher_from_being_started(circusd: Circusd) -> None:
    circusd.start(f"[watcher:first]\n{SLEEP}\npriority = 1\n[watcher:w]\n{SLEEP}\n", "warmup_delay = 1")
    circusd.ok("stop")
    circusd.ok("start", waiting=False)
    wait_until(lambda: circusd.pids("first"), "the start is under way")
    assert circusd.pids("w") == []
    circusd.ok("set", name="w", options={"numprocesses": 2}, waiting=False)
    circusd.ok("incr", name="w", waiting=False)
    circusd.ok("kill", name="w", waiting=False)
    circusd.wait_for_pids("w", 3)


def test_a_change_of_options_does_not_keep_a_watcher_from_being_stopped(circusd: Circusd) -> None:
    deaf = "sh -c \"trap '' TERM; touch deaf; while :; do sleep 0.05; done\""
    circusd.start(f"[watcher:low]\ncmd = {deaf}\ngraceful_timeout = 1\n[watcher:w]\n{SLEEP}\npriority = 1\n")
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    circusd.ok("stop", waiting=False)
    wait_until(lambda: circusd.ok("status", name="low")["status"] == "stopping", "the stop is under way")
    assert circusd.ok("status", name="w")["status"] == "active"
    circusd.ok("set", name="w", options={"cmd": "sleep 299"}, waiting=False)
    wait_until(lambda: circusd.ok("status", name="w")["status"] == "stopped", "it is stopped too")


def test_the_command_line(circusd: Circusd) -> None:
    one(circusd)
    words = [
        "set",
        "w",
        "stop_signal",
        "SIGUSR1",
        "env",
        "A=b,C=d",
        "respawn",
        "off",
        "rlimit_nofile",
        "100",
        "--waiting",
    ]
    run = circusd.ctl(*words)
    assert (run.stdout, run.returncode) == ("ok\n", 0)
    shown = circusd.ok("options", name="w")["options"]
    assert (shown["stop_signal"], shown["respawn"], shown["rlimit_nofile"]) == (10, False, 100)
    assert look(circusd, "w").env.items() >= {"A": "b", "C": "d"}.items()
    run = circusd.ctl("set", "w", "nosuch", "1")
    assert (run.returncode, "unknown key 'nosuch'" in run.stderr) == (3, True)


def test_every_option_is_set_somewhere() -> None:
    """The effect of the other one comes with the first connection."""
    later = {"on_demand"}
    text = Path(__file__).read_text()
    assert not [row.name for row in WATCHER.values() if (row.prefix or row.name) not in text and row.name not in later]
