"""The functions that a file names as hooks, run outside of a real circusd."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.kinds import HOOKS
from circus.testing import DEADLINE, Circusd, is_alive, wait_until
from tests.seen import Seen

RECORDING = """
import json, os, threading, time

FOLDER = os.path.dirname(os.path.abspath(__file__))

def record(watcher, arbiter, hook_name, **kwargs):
    shown = {key: value if key == "stats" else [type(value).__name__, value] for key, value in kwargs.items()}
    line = json.dumps([watcher.name, hook_name, shown, threading.current_thread().name]) + "\\n"
    descriptor = os.open(FOLDER + "/calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)
    return True

def allow(watcher, arbiter, hook_name, **kwargs):
    return record(watcher, arbiter, hook_name, **kwargs)

def refuse(watcher, arbiter, hook_name, **kwargs):
    record(watcher, arbiter, hook_name, **kwargs)
    return False

def nothing(watcher, arbiter, hook_name, **kwargs):
    record(watcher, arbiter, hook_name, **kwargs)

def fail(watcher, arbiter, hook_name, **kwargs):
    record(watcher, arbiter, hook_name, **kwargs)
    raise RuntimeError("broken on purpose")

def sleep(watcher, arbiter, hook_name, **kwargs):
    record(watcher, arbiter, hook_name, **kwargs)
    time.sleep(60)
    return True
"""

PLAIN_HOOKS = [hook for hook in HOOKS if hook != "extended_stats"]


class Hooks:
    """A daemon, a folder on its PYTHONPATH, and what functions there have been called with."""

    def __init__(self, circusd: Circusd) -> None:
        self.circusd = circusd
        self.folder = circusd.folder / "lib"
        self.folder.mkdir()
        self.write("hooks.py", RECORDING)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, text: str, circus: str = "") -> None:
        self.circusd.start(f"[env]\nPYTHONPATH = {self.folder}\n{text}", circus)

    def calls(self, watcher: str = "w") -> list[tuple[str, dict[str, Any]]]:
        """The hooks of a watcher that were called, in order, with their arguments."""
        path = self.folder / "calls"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(hook, arguments) for name, hook, arguments, _ in lines if name == watcher]

    def names(self, watcher: str = "w") -> list[str]:
        return [hook for hook, _ in self.calls(watcher)]

    def status(self, watcher: str = "w") -> str:
        return str(self.circusd.ok("status", name=watcher)["status"])

    def reason(self, watcher: str = "w") -> str:
        return str(self.circusd.ok("explain", name=watcher)["reason"])

    def wait_for_status(self, status: str, watcher: str = "w") -> None:
        wait_until(lambda: self.status(watcher) == status, f"{watcher} is {status}")

    def wait_for_output(self, text: str) -> str:
        wait_until(lambda: text in self.circusd.output(), f"{text!r} in the log:\n{self.circusd.output()}")
        return self.circusd.output()


@pytest.fixture
def hooks(circusd: Circusd) -> Hooks:
    return Hooks(circusd)


def watcher(name: str = "w", **options: str) -> str:
    """A section of a watcher; ``before_start="hooks.allow"`` and such name its hooks."""
    lines = [f"[watcher:{name}]", "cmd = sleep 1000"]
    lines += [f"{f'hooks.{key}' if key in HOOKS else key} = {value}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


# What is called, when, and with what.


def test_each_hook_is_called_in_order_with_its_arguments(hooks: Hooks) -> None:
    circusd = hooks.circusd
    hooks.start(watcher(**dict.fromkeys(HOOKS, "hooks.allow")))
    hooks.wait_for_status("active")
    (pid,) = circusd.pids("w")
    assert hooks.calls() == [
        ("before_start", {}),
        ("before_spawn", {}),
        ("after_spawn", {"pid": ["int", pid]}),
        ("after_start", {}),
    ]
    info = circusd.ok("stats", name="w", extended=True)["info"][str(pid)]
    hook, arguments = hooks.calls()[-1]
    assert (hook, arguments["pid"], arguments["stats"]["pid"]) == ("extended_stats", ["int", pid], pid)
    assert set(arguments["stats"]) == set(info)

    circusd.kill(pid)
    (other,) = wait_until(lambda: [now for now in circusd.pids("w") if now != pid])
    wait_until(lambda: len(hooks.calls()) == 9)
    calls = dict(hooks.calls()[5:])
    assert calls["before_reap"]["process_pid"] == calls["after_reap"]["process_pid"] == ["int", pid]
    assert calls["before_reap"]["time"][0] == calls["after_reap"]["time"][0] == "float"
    assert calls["after_reap"]["exit_code"] == ["int", -signal.SIGKILL]
    assert calls["after_reap"]["process_status"] == ["int", 2]
    assert calls["after_spawn"] == {"pid": ["int", other]}
    # Nobody waits for the hooks of an end, so that the next process may be there before them.
    assert [hook for hook in hooks.names()[5:] if "reap" in hook] == ["before_reap", "after_reap"]
    assert [hook for hook in hooks.names()[5:] if "spawn" in hook] == ["before_spawn", "after_spawn"]

    circusd.ok("stop", name="w")
    assert hooks.names()[9:] == [
        "before_stop",
        "before_signal",
        "after_signal",
        "before_reap",
        "after_reap",
        "after_stop",
    ]
    calls = dict(hooks.calls()[9:])
    assert calls["before_signal"] == calls["after_signal"] == {"pid": ["int", other], "signum": ["Signals", 15]}
    assert calls["after_reap"]["exit_code"] == ["int", -signal.SIGTERM]
    assert calls["after_reap"]["process_status"] == ["NoneType", None]
    circusd.assert_no_defect()


def test_each_run_is_published(hooks: Hooks) -> None:
    hooks.start(watcher(before_start="hooks.allow", after_start="hooks.fail, true"))
    success = hooks.circusd.wait_for("hook_success", watcher="w")
    failure = hooks.circusd.wait_for("hook_failure", watcher="w")
    assert (success.data["name"], success.data["plugin"]) == ("before_start", "plugin:hooks")
    assert (failure.data["name"], failure.data["error"]) == ("after_start", "RuntimeError: broken on purpose")


def test_all_hooks_of_the_last_stop_are_called(hooks: Hooks) -> None:
    hooks.start(
        watcher(numprocesses="3", **dict.fromkeys(("after_signal", "before_reap", "after_reap"), "hooks.allow"))
    )
    assert hooks.circusd.stop() == 0
    assert sorted(hooks.names()) == sorted(["after_signal", "before_reap", "after_reap"] * 3)


# What a result leads to.

GIVEN_UP = ["before_start", "before_spawn", "after_spawn", "after_start"]


@pytest.mark.parametrize("function", ["refuse", "nothing", "fail"])
@pytest.mark.parametrize("hook", GIVEN_UP)
def test_a_start_is_given_up(hooks: Hooks, hook: str, function: str) -> None:
    others = dict.fromkeys(("before_stop", "after_stop", "before_signal"), "hooks.allow")
    hooks.start(watcher(**{**others, **dict.fromkeys(GIVEN_UP, "hooks.allow"), hook: f"hooks.{function}"}))
    hooks.wait_for_status("stopped")
    assert hooks.circusd.pids("w") == []
    assert hook in hooks.reason()
    if function == "fail":
        assert "broken on purpose" in hooks.reason()
    begun = GIVEN_UP[: GIVEN_UP.index(hook) + 1]
    assert hooks.names()[: len(begun)] == begun
    stopped = set(hooks.names()[len(begun) :])
    assert ("before_stop" in stopped) == (hook != "before_start"), "what was not started is not stopped"
    assert ("before_signal" in stopped) == (hook in ("after_spawn", "after_start"))


@pytest.mark.parametrize("hook", GIVEN_UP)
def test_an_error_that_is_to_be_ignored_allows(hooks: Hooks, hook: str) -> None:
    hooks.start(watcher(**{hook: "hooks.fail, true"}))
    hooks.wait_for_status("active")
    assert hooks.names() == [hook]


def test_a_refusal_is_not_ignored(hooks: Hooks) -> None:
    hooks.start(watcher(before_start="hooks.refuse, true"))
    hooks.wait_for_status("stopped")


def test_a_signal_is_not_sent_when_refused_but_sigkill_is(hooks: Hooks) -> None:
    hooks.start(watcher(before_signal="hooks.refuse", graceful_timeout="0.3"))
    (pid,) = hooks.circusd.wait_for_pids("w", 1)
    hooks.circusd.ok("signal", name="w", signum="USR1")
    wait_until(lambda: hooks.names() == ["before_signal"])
    assert hooks.circusd.pids("w") == [pid]
    hooks.circusd.ok("stop", name="w")
    assert hooks.circusd.wait_for("reap", watcher="w").data["exit_code"] == -signal.SIGKILL


@pytest.mark.parametrize("function", ["fail", "fail, true", "allow"])
def test_a_signal_is_sent_when_allowed_or_after_an_error(hooks: Hooks, function: str) -> None:
    hooks.start(watcher(before_signal=f"hooks.{function}"))
    hooks.circusd.ok("stop", name="w")
    assert hooks.circusd.wait_for("reap", watcher="w").data["exit_code"] == -signal.SIGTERM


@pytest.mark.parametrize("function", ["refuse", "nothing", "fail"])
def test_other_results_are_ignored(hooks: Hooks, function: str) -> None:
    ignored = ["before_stop", "after_stop", "after_signal", "before_reap", "after_reap", "extended_stats"]
    hooks.start(watcher(**dict.fromkeys(ignored, f"hooks.{function}")))
    (pid,) = hooks.circusd.wait_for_pids("w", 1)
    assert hooks.circusd.ok("stats", name="w", extended=True)["info"][str(pid)]["pid"] == pid
    hooks.circusd.ok("stop", name="w")
    assert sorted(hooks.names()) == sorted(ignored)
    hooks.circusd.ok("start", name="w")
    hooks.wait_for_status("active")


def test_extended_stats_adds_and_changes_keys(hooks: Hooks) -> None:
    hooks.write(
        "more.py",
        "def add(watcher, arbiter, hook_name, pid, stats, **kwargs):\n"
        "    stats['descriptors'] = {'of': pid}\n    stats['cmdline'] = 'changed'\n    del stats['nice']\n",
    )
    hooks.start(watcher(extended_stats="more.add"))
    (pid,) = hooks.circusd.wait_for_pids("w", 1)
    info = hooks.circusd.ok("stats", name="w", extended=True)["info"][str(pid)]
    assert (info["descriptors"], info["cmdline"]) == ({"of": pid}, "changed")
    assert hooks.circusd.ok("stats", name="w")["info"][str(pid)]["cmdline"] == "sleep"


# Functions that hang, die, or are strange.


def test_a_hook_that_sleeps_delays_its_own_watcher_only(hooks: Hooks) -> None:
    circusd = hooks.circusd
    hooks.start(watcher("other", before_start="hooks.allow") + watcher(before_start="hooks.sleep", autostart="False"))
    circusd.call("start", name="w")
    wait_until(lambda: hooks.names() == ["before_start"])
    begun = time.monotonic()
    for _ in range(5):
        circusd.ok("restart", name="other")
        circusd.ok("status")
        circusd.ok("stats")
    assert hooks.names("other") == ["before_start"] * 6
    assert hooks.status() == "starting"
    assert "before_start" in hooks.reason()
    assert time.monotonic() - begun < 50, "nothing waited for the minute that the hook sleeps"
    circusd.ok("stop", name="w")
    assert hooks.status() == "stopped"
    begun = time.monotonic()
    assert circusd.stop() == 0
    assert time.monotonic() - begun < DEADLINE, "nor does the end"


@pytest.mark.parametrize("hook", ["before_start", "after_spawn"])
def test_a_hook_that_never_returns_fails_after_its_timeout(hooks: Hooks, hook: str) -> None:
    hooks.start(watcher(hook_timeout="0.3", **{hook: "hooks.sleep"}))
    hooks.wait_for_status("stopped")
    assert "no answer within 0.3 s" in hooks.reason()
    hooks.circusd.ok("set", name="w", options={f"hooks.{hook}": "hooks.allow"})
    hooks.circusd.ok("start", name="w")
    assert hooks.status() == "active"


def test_a_hook_that_nobody_waits_for_and_that_never_returns_keeps_no_stop_from_ending(hooks: Hooks) -> None:
    hooks.start(watcher(after_reap="hooks.sleep", after_stop="hooks.allow", hook_timeout="0.5"))
    (pid,) = hooks.circusd.wait_for_pids("w", 1)
    for signum in (signal.SIGKILL, signal.SIGKILL):
        hooks.circusd.kill(pid, signum)
        pid = wait_until(lambda pid=pid: next(iter(set(hooks.circusd.pids("w")) - {pid}), 0))
    hooks.circusd.ok("stop", name="w")
    assert hooks.names().count("after_stop") == 1
    wait_until(lambda: hooks.names().count("after_reap") == 3)


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "ctypes.string_at(0)"])
def test_a_hook_that_kills_its_process_fails_alone_and_others_go_on(hooks: Hooks, end: str) -> None:
    hooks.write("deadly.py", f"import ctypes, os\ndef end(watcher, arbiter, hook_name, **kwargs):\n    {end}\n")
    hooks.start(watcher("other", before_start="hooks.allow") + watcher(before_start="deadly.end", autostart="False"))
    hooks.wait_for_status("active", "other")
    hooks.circusd.call("start", name="w", waiting=True)
    assert "plugin:hooks ended before it had answered" in hooks.reason()
    hooks.circusd.ok("restart", name="other")
    assert hooks.names("other") == ["before_start"] * 2
    hooks.circusd.assert_no_defect()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise StopIteration(1)", "StopIteration"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("return Odd()", "RuntimeError: neither true nor false"),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_whatever_a_hook_raises_is_its_failure(hooks: Hooks, kind: str, body: str, error: str) -> None:
    hooks.write(
        "odd.py",
        "class Odd:\n    def __bool__(self): raise RuntimeError('neither true nor false')\n"
        f"{kind} hook(watcher, arbiter, hook_name):\n    {body}\n",
    )
    hooks.start(watcher(before_start="odd.hook"))
    hooks.wait_for_status("stopped")
    assert error in hooks.reason()
    hooks.circusd.ok("set", name="w", options={"hooks.before_start": "hooks.allow"})
    hooks.circusd.ok("start", name="w")


def test_a_traceback_begins_with_the_functions_own_code_and_is_attributed(hooks: Hooks) -> None:
    hooks.start(watcher(before_start="hooks.fail"))
    output = hooks.wait_for_output("RuntimeError: broken on purpose\n")
    trace = output[output.index("Traceback") :]
    assert "lib/hooks.py" in trace.splitlines()[1]
    assert "plugin:hooks: before_start of w failed: broken on purpose" in output


def test_what_a_hook_prints_is_logged_under_its_name(hooks: Hooks) -> None:
    hooks.write(
        "prints.py",
        "import sys\ndef hook(watcher, arbiter, hook_name):\n"
        "    print('one', 'two')\n    print('error', file=sys.stderr)\n    print('no end', end='')\n    return True\n",
    )
    hooks.start(watcher(before_start="prints.hook"))
    output = hooks.wait_for_output("no end")
    for text in ("one two", "error", "no end"):
        assert f"plugin:hooks: before_start of w: {text}\n" in output


# Signatures.


@pytest.mark.parametrize(
    "signature",
    ["watcher, arbiter, hook_name, pid", "pid, hook_name, arbiter, watcher", "a, b, c, pid", "**kwargs", "*a, **k"],
)
def test_functions_may_take_what_they_are_given_by_name_or_by_place(hooks: Hooks, signature: str) -> None:
    hooks.write("signatures.py", f"def hook({signature}): return True\n")
    hooks.start(watcher(after_spawn="signatures.hook"))
    hooks.wait_for_status("active")


def test_a_function_that_takes_less_than_it_is_given_fails(hooks: Hooks) -> None:
    hooks.write("signatures.py", "def hook(watcher, arbiter, hook_name): return True\n")
    hooks.start(watcher(after_spawn="signatures.hook"))
    hooks.wait_for_status("stopped")
    assert "TypeError: hook() got an unexpected keyword argument 'pid'" in hooks.reason()


ASYNC = """
import asyncio, threading
import hooks

MEETING = []

async def meet(watcher, arbiter, hook_name, **kwargs):
    MEETING.append(watcher.name)
    while len(MEETING) < 2:
        await asyncio.sleep(0.01)
    hooks.record(watcher, arbiter, hook_name, **kwargs)
    reply = await watcher.acall("status")
    return reply["status"] == "starting" and threading.current_thread() is threading.main_thread()

async def refuse(watcher, arbiter, hook_name, **kwargs):
    return False
"""


def test_coroutines_run_side_by_side_on_the_loop(hooks: Hooks) -> None:
    hooks.write("coroutines.py", ASYNC)
    hooks.start(watcher(before_start="coroutines.meet") + watcher("v", before_start="coroutines.meet"))
    hooks.wait_for_status("active")
    hooks.wait_for_status("active", "v")
    hooks.circusd.ok("add", name="u", cmd="sleep 1000", options={"hooks": {"before_start": "coroutines.refuse"}})
    assert hooks.circusd.call("start", name="u", waiting=True)["errno"] == 6


# Where functions are found.


def test_watchers_have_their_own_modules_of_the_same_name(circusd: Circusd) -> None:
    for side in ("left", "right"):
        (circusd.folder / side).mkdir()
        code = "def hook(watcher, arbiter, hook_name):\n    import helper\n    return helper.SIDE == watcher.name\n"
        (circusd.folder / side / "checks.py").write_text(code)
        (circusd.folder / side / "helper.py").write_text(f"SIDE = {side!r}\n")
    sections = [
        f"[env:{side}]\nPYTHONPATH = {circusd.folder}/{side}\n{watcher(side, before_start='checks.hook')}"
        for side in ("left", "right")
    ]
    circusd.start("\n".join(sections))
    for side in ("left", "right", "left", "right"):
        circusd.ok("restart", name=side)
        assert circusd.ok("status", name=side)["status"] == "active"


def test_a_file_that_is_read_again_may_lead_elsewhere(circusd: Circusd) -> None:
    for side, allowed in (("left", False), ("right", True)):
        (circusd.folder / side).mkdir()
        (circusd.folder / side / "moving.py").write_text(f"def hook(watcher, arbiter, hook_name): return {allowed}\n")
    text = "[env:w]\nPYTHONPATH = {folder}/{side}\n" + watcher(before_start="moving.hook")
    circusd.start(text.format(folder=circusd.folder, side="left"))
    circusd.wait_for("gave_up", watcher="w")
    circusd.write(text.format(folder=circusd.folder, side="right"))
    circusd.ok("reloadconfig")
    circusd.wait_for("start", watcher="w")


def test_a_file_beside_the_configuration(circusd: Circusd, tmp_path: Path) -> None:
    circusd.program("my_hooks.py", "import my_helper\ndef allow(watcher, arbiter, hook_name): return my_helper.ALLOW\n")
    circusd.program("my_helper.py", "ALLOW = True\n")
    circusd.write(watcher(before_start="./my_hooks.py:allow"))
    circusd.launch(cwd=tmp_path)
    circusd.wait_until_ready()
    circusd.wait_for("start", watcher="w")
    assert circusd.ok("status", name="w")["status"] == "active"


def test_set_at_run_time_reads_the_module_anew(hooks: Hooks) -> None:
    circusd = hooks.circusd
    hooks.write("changing.py", "from parts import helper\ndef hook(watcher, arbiter, hook_name): return helper.ALLOW\n")
    hooks.write("parts/__init__.py", "")
    hooks.write("parts/helper.py", "ALLOW = False\n")
    hooks.start(watcher(before_start="changing.hook"))
    hooks.wait_for_status("stopped")
    hooks.write("parts/helper.py", "ALLOW = True\n")
    assert circusd.call("start", name="w", waiting=True)["status"] == "error", "nobody has set it yet"
    result = circusd.ctl("set", "w", "hooks.before_start", "changing.hook")
    assert result.returncode == 0, result.stderr
    circusd.ok("start", name="w")
    assert hooks.status() == "active"

    hooks.write("changing.py", "def hook(:\n")
    circusd.ok("set", name="w", options={"hooks": {"before_start": "changing.hook"}})
    reply = circusd.call("restart", name="w", waiting=True)
    assert reply["status"] == "error"
    assert "SyntaxError" in hooks.reason()

    circusd.ok("set", name="w", options={"hooks.before_start": "nowhere.hook"})
    circusd.call("start", name="w", waiting=True)
    assert "there is no module 'nowhere'" in hooks.reason()


def test_a_hook_that_a_running_daemon_gets_first_is_served(circusd: Circusd) -> None:
    circusd.program("late.py", "def refuse(watcher, arbiter, hook_name): return False\n")
    circusd.start(watcher())
    assert circusd.ok("numwatchers")["numwatchers"] == 1, "nobody needs what runs hooks"
    circusd.ok("set", name="w", options={"hooks.before_start": f"{circusd.folder}/late.py:refuse"})
    assert circusd.call("restart", name="w", waiting=True)["errno"] == 6
    assert circusd.ok("status", name="plugin:hooks")["status"] == "active"


# Proxies inside of hooks.


def test_a_hook_acts_on_other_watchers_and_publishes_events(hooks: Hooks) -> None:
    hooks.write(
        "acts.py",
        "def hook(watcher, arbiter, hook_name):\n"
        "    arbiter.get_watcher('other').start(waiting=True)\n"
        "    watcher.notify_event('prepared', {'pids': arbiter.get_watcher('other').pids})\n"
        "    return watcher.numprocesses == 1 and watcher.status() == 'starting'\n",
    )
    hooks.start(watcher(before_start="acts.hook") + watcher("other", autostart="False"))
    hooks.wait_for_status("active")
    assert hooks.circusd.wait_for("prepared", watcher="w").data["pids"] == hooks.circusd.pids("other")


def test_a_hook_that_waits_for_its_own_watcher_is_told_at_once(hooks: Hooks) -> None:
    hooks.write(
        "deadlock.py",
        "import asyncio\n"
        "def hook(watcher, arbiter, hook_name): return watcher.stop(waiting=True)\n"
        "async def coroutine(watcher, arbiter, hook_name): return await watcher.acall('restart', waiting=True)\n",
    )
    hooks.start(watcher(before_start="deadlock.hook") + watcher("v", before_start="deadlock.coroutine"))
    for name in ("w", "v"):
        hooks.wait_for_status("stopped", name)
        assert f"with waiting the hook would wait for {name}" in hooks.reason(name)


# The ready-made ones.


def test_ready_made_functions_with_arguments(hooks: Hooks) -> None:
    circusd = hooks.circusd
    command = "sh -c 'pwd > where; echo $CIRCUS_HOOK_NAME $CIRCUS_WATCHER_NAME $CIRCUS_PID $A > what; echo said'"
    hooks.start(
        watcher(
            before_start=f"run_command(\"{command}\", timeout=20)",
            before_spawn="wait_for_file(what, timeout=20)",
            after_spawn=f"run_command(\"{command}\")",
            after_start="wait_for_file(nowhere, timeout=0.2), true",
            working_dir=str(circusd.folder / "lib"),
        )
        + "[env:w]\nA = $(circus.env.B)\n[env]\nB = from the file\n"
    )  # fmt: skip
    hooks.wait_for_status("active")
    (pid,) = circusd.pids("w")
    assert (hooks.folder / "where").read_text() == f"{hooks.folder}\n"
    assert (hooks.folder / "what").read_text() == f"after_spawn w {pid} from the file\n"
    hooks.wait_for_output("plugin:hooks: before_start of w: said\n")
    error = circusd.wait_for("hook_failure", watcher="w").data["error"]
    assert error.startswith(f"TimeoutError: waited 0.2 s for the file {hooks.folder}/nowhere")


def test_a_command_of_a_hook_goes_with_the_process_that_runs_it(hooks: Hooks) -> None:
    hooks.start(watcher(before_start="run_command(\"sh -c 'echo $$ > pid; exec sleep 1000'\")", working_dir="lib"))
    file = hooks.folder / "pid"
    pid = int(wait_until(lambda: file.exists() and file.read_text()))
    (runner,) = hooks.circusd.pids("plugin:hooks")
    hooks.circusd.kill(runner)
    wait_until(lambda: not is_alive(pid), "the command has gone with it")
    assert Seen(hooks.circusd.wait_for_pids("plugin:hooks", 1)[0]).folder.exists()


def test_a_stop_and_another_start_end_what_ran_for_the_start(hooks: Hooks) -> None:
    circusd = hooks.circusd
    command = "sh -c 'echo $$ >> pids; exec sleep 1000'"
    hooks.start(watcher(before_start=f'run_command("{command}")', working_dir="lib"))
    file = hooks.folder / "pids"

    def pids(count: int) -> list[int]:
        wait_until(lambda: file.exists() and len(file.read_text().splitlines()) == count, f"{count} were run")
        return [int(line) for line in file.read_text().splitlines()]

    (first,) = pids(1)
    circusd.ok("stop", name="w")
    wait_until(lambda: not is_alive(first), "the first has gone with the stop")
    circusd.call("start", name="w")
    second = pids(2)[-1]
    circusd.call("restart", name="w")
    third = pids(3)[-1]
    wait_until(lambda: not is_alive(second), "the second has gone with the restart")
    assert is_alive(third)
    assert hooks.status() == "starting"


def test_what_runs_has_a_while_when_its_process_is_told_to_end(hooks: Hooks) -> None:
    command = "sh -c 'echo $$ > pid; exec sleep 1000'"
    hooks.write(
        "short.py",
        "import os, time\ndef hook(watcher, arbiter, hook_name):\n"
        "    open(watcher.working_dir + '/short', 'w').close()\n    time.sleep(1)\n    return True\n",
    )
    hooks.start(
        watcher(before_start=f'run_command("{command}")', working_dir="lib")
        + watcher("short", before_start="short.hook", working_dir=str(hooks.folder))
        + watcher("waits", before_start="wait_for_file(nowhere, timeout=1000)", working_dir="lib")
    )
    file = hooks.folder / "pid"
    pid = int(wait_until(lambda: file.exists() and file.read_text()))
    wait_until((hooks.folder / "short").exists)
    wait_until(lambda: hooks.status("waits") == "starting")
    (runner,) = hooks.circusd.pids("plugin:hooks")
    begun = time.monotonic()
    hooks.circusd.kill(runner, signal.SIGTERM)
    reaped = hooks.circusd.wait_for("reap", watcher="plugin:hooks")
    assert (reaped.data["exit_code"], reaped.data["process_pid"]) == (0, runner)
    assert time.monotonic() - begun < DEADLINE
    hooks.wait_for_status("active", "short")
    assert "ended before it had answered" in hooks.circusd.wait_for("hook_failure", watcher="w").data["error"]
    waited = hooks.circusd.wait_for("hook_failure", watcher="waits").data["error"]
    assert "until nobody wanted it any more" in waited
    wait_until(lambda: not is_alive(pid), "the command has gone with it")


@pytest.fixture
def redis(circusd: Circusd) -> Iterator[Any]:
    """Starts a real server when it is called."""
    program = shutil.which("redis-server")
    assert program, "this test needs redis-server: apt install redis-server"
    server: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        options = ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"]
        with open(circusd.folder / "redis.log", "wb") as log:
            server.append(subprocess.Popen([program, *options], cwd=circusd.folder, stdout=log, stderr=log))

    yield start
    for process in server:
        process.terminate()
        process.wait(DEADLINE)


REDIS = """
import socket, time

def wait_for_redis(watcher, arbiter, hook_name, **kwargs):
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(watcher.working_dir + "/redis.sock")
                connection.sendall(b"PING\\r\\n")
                if connection.recv(100) == b"+PONG\\r\\n":
                    return True
        except OSError as error:
            print("not yet:", error)
        time.sleep(0.05)
"""


@pytest.mark.parametrize("function", ["redis_hooks.wait_for_redis", "wait_for_port(./redis.sock, timeout=50)"])
def test_a_worker_waits_for_redis(hooks: Hooks, redis: Any, function: str) -> None:
    circusd = hooks.circusd
    hooks.write("redis_hooks.py", REDIS)
    worker = circusd.program(
        "worker.py",
        "import socket, time\nconnection = socket.socket(socket.AF_UNIX)\nconnection.connect('redis.sock')\n"
        "connection.sendall(b'SET worker here\\r\\n')\nassert connection.recv(100) == b'+OK\\r\\n'\n"
        "print(file=open('worked', 'w'))\ntime.sleep(1000)\n",
    )
    section = watcher(before_start=function, working_dir=str(circusd.folder), max_retry="1")
    circusd.write(f"[env]\nPYTHONPATH = {hooks.folder}\n" + section.replace("sleep 1000", worker))
    circusd.launch()
    wait_until(lambda: hooks.status() == "starting" and "before_start" in hooks.reason(), "the hook waits")
    assert circusd.pids("w") == []
    redis()
    hooks.wait_for_status("active")
    wait_until((circusd.folder / "worked").exists, "the worker has reached Redis")
    assert [event.data["exit_code"] for event in circusd.events.of("reap", watcher="w")] == []
