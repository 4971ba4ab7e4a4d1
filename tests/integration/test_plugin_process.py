"""The process of a plugin: how it starts and ends, what it is told and nobody else sees, and what its log shows."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.plugin_events import record, recorder_section, storm
from tests.support import Circusd, is_alive, wait_until

SLEEP = "[watcher:w]\ncmd = sleep 300\n"

HEAD = """
import json, os, sys, time
from pathlib import Path
from circus.plugins import CircusPlugin, hookimpl

def say(*words):
    with open(Path(__file__).parent / "said.txt", "a") as file:
        print(*words, file=file)

"""


def said(circusd: Circusd) -> list[str]:
    """What plugins have said."""
    path = circusd.folder / "said.txt"
    return path.read_text().splitlines() if path.exists() else []


def wait_for_words(circusd: Circusd, words: str) -> None:
    wait_until(lambda: words in said(circusd), f"{words!r} is said; the log:\n{circusd.output()}")


def section(circusd: Circusd, code: str, more: str = "", name: str = "mine") -> str:
    """Write a plugin's class ``Mine`` and return its section."""
    (circusd.folder / f"{name}.py").write_text(HEAD + code)
    return f"[plugin:{name}]\nuse = ./{name}.py:Mine\n{more}\n"


def pid_of(circusd: Circusd, name: str = "mine") -> int:
    (pid,) = circusd.wait_for_pids(f"plugin:{name}", 1)
    return pid


# What it is told.

ODD = {
    "blank": "two words",
    "quoted": 'it\'s \\ "odd"',
    "colons": "a:b:::c:::",
    "lines": "one\ntwo\nthree",
    "foreign": "Grüße, 世界 🎪",
    "percent": "100%s %(x)s $HOME",
    "password": "hunter2-is-secret",
    "empty": "",
}


def test_options_arrive_as_written_and_nobody_else_sees_them(circusd: Circusd) -> None:
    code = """
class Mine(CircusPlugin):
    def handle_init(self):
        say(json.dumps(self.config, sort_keys=True))
"""
    options = "\n".join(f"{key} = {value.replace(chr(10), chr(10) + '    ')}" for key, value in ODD.items())
    circusd.start(SLEEP + section(circusd, code, options))
    wait_until(lambda: said(circusd), "it was started")
    config = json.loads(said(circusd)[0])
    assert config == ODD
    pid = pid_of(circusd)
    for process in (pid, circusd.process.pid if circusd.process else 0):
        for name in ("cmdline", "environ"):
            assert b"hunter2" not in Path(f"/proc/{process}/{name}").read_bytes()
    shown = [circusd.ok("options", name="plugin:mine"), circusd.ok("get", name="plugin:mine", keys=["args", "env"])]
    assert "hunter2" not in json.dumps(shown)
    assert circusd.call("get", name="plugin:mine", keys=["briefing"])["status"] == "error"
    assert circusd.call("set", name="plugin:mine", options={"briefing": "{}"})["status"] == "error"
    circusd.ok("restart", name="plugin:mine")
    assert (
        "hunter2" not in circusd.output() + circusd.ctl("events").stdout + circusd.ctl("explain", "plugin:mine").stdout
    )


def test_a_class_written_for_0_19_runs_unchanged(circusd: Circusd) -> None:
    code = """
from tornado import ioloop

class Mine(CircusPlugin):
    name = "mine"

    def __init__(self, *args, **config):
        super(Mine, self).__init__(*args, **config)
        self.seen = []
        assert self.active is True

    def handle_init(self):
        say("init", self.check_delay, self.ssh_server, self.call("status", name="w")["status"])
        say("error", self.call("status", name="nope")["reason"])
        self.period = ioloop.PeriodicCallback(self.look, 20, jitter=0)
        self.period.start()
        self.loop.add_callback(say, "callback")

    def look(self):
        say("period")
        self.cast("notify", name="w", action="looked")
        self.period.stop()

    def handle_recv(self, data):
        watcher_name, action, msg = self.split_data(data)
        msg_dict = self.load_message(msg)
        assert isinstance(data[0], bytes) and isinstance(data[1], bytes)
        if watcher_name == "w":
            say("recv", action, "time" in msg_dict)

    def handle_stop(self):
        say("stop")
"""
    circusd.start(SLEEP + section(circusd, code), "check_delay = 3")
    circusd.ok("restart", name="plugin:mine")  # it is started before w, which it asks for
    for words in ("init 3.0 None active", "error program nope not found", "callback", "period", "recv looked True"):
        wait_for_words(circusd, words)
    circusd.ok("restart", name="w")
    wait_for_words(circusd, "recv start True")
    circusd.ok("stop", name="plugin:mine")
    assert said(circusd)[-1] == "stop"


def test_commands_leave_in_order_whoever_waits_for_them(circusd: Circusd) -> None:
    code = """
import threading

class Mine(CircusPlugin):
    def handle_init(self):
        for number in range(20):
            self.cast("notify", name="w", action=f"cast{number}")
            self.call("notify", name="w", action=f"call{number}")
        threading.Thread(target=self.elsewhere).start()

    def elsewhere(self):
        self.call("notify", name="w", action="thread")
        self.cast("notify", name="w", action="thread-cast")

    @hookimpl
    async def on_resync(self, snapshot):
        reply = await self.acall("notify", name="w", action="acall")
        say(reply["status"])
"""
    circusd.start(SLEEP)
    circusd.write(SLEEP + section(circusd, code))
    circusd.ok("reloadconfig")
    wait_for_words(circusd, "ok")
    for action in ("thread", "thread-cast"):
        circusd.wait_for(action, watcher="w")
    actions = [action for action in circusd.events.actions("w") if re.match(r"cast|call", action)]
    assert actions == [f"{kind}{number}" for number in range(20) for kind in ("cast", "call")]


# How it starts and ends.


def test_a_plugin_that_ends_is_started_again_with_patience(circusd: Circusd) -> None:
    code = """
class Mine(CircusPlugin):
    def handle_init(self):
        os._exit(3)
"""
    circusd.start(SLEEP + section(circusd, code))
    circusd.wait_for("reap", watcher="plugin:mine", count=4)
    explained = circusd.ok("explain", name="plugin:mine")
    wait_until(lambda: circusd.ok("explain", name="plugin:mine")["detail"] == "backoff", "it waits")
    shown = circusd.ctl("explain", "plugin:mine").stdout
    assert explained["processes"][0]["last_exits"][-1]["exit_code"] == 3
    assert "exit code 3" in shown
    assert circusd.ok("status", name="w")["status"] == "active", "others run"


FAILURES = {
    "import": ("import nosuchmodule_at_all", "No module named 'nosuchmodule_at_all'", True),
    "constructor": (
        "class Mine(CircusPlugin):\n    def __init__(self, *a, **k): raise ValueError('no\\nway')",
        "no way",
        True,
    ),
    "init": ("class Mine(CircusPlugin):\n    def handle_init(self): raise ValueError('no start')", "no start", True),
    "base": ("class Mine:\n    def __init__(self, *a, **k): pass", "makes a Mine, which is no CircusPlugin", False),
    "hook": (
        "class Mine(CircusPlugin):\n    @hookimpl\n    def befor_start(self): pass",
        "there is no hook 'befor_start' in Mine; did you mean 'before_start'",
        False,
    ),
    "argument": (
        "class Mine(CircusPlugin):\n    @hookimpl\n    def on_event(self, nonsense): pass",
        "nonsense",
        False,
    ),
    "exit": ("class Mine(CircusPlugin):\n    def handle_init(self): sys.exit(4)", "", False),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_plugin_that_cannot_start_says_why(circusd: Circusd, failure: str) -> None:
    code, reason, traceback = FAILURES[failure]
    good = section(circusd, "class Mine(CircusPlugin): pass\n")
    circusd.start(SLEEP + good)
    old = pid_of(circusd)
    section(circusd, code + "\n")
    os.kill(old, signal.SIGKILL)
    circusd.wait_for("reap", watcher="plugin:mine", count=3)
    lines = [line for line in circusd.output().splitlines() if "plugin:mine: " in line and reason in line]
    assert lines, circusd.output()
    if reason:
        assert re.match(r"[\d-]+ [\d:]+ circus\[\d+\] \[ERROR\] plugin:mine: ", lines[0]), lines[0]
    assert ("Traceback" in circusd.output()) == traceback
    assert circusd.ok("explain", name="plugin:mine")["processes"][0]["last_exits"][-1]["exit_code"] != 0


def test_errors_in_events_are_logged_and_the_next_one_comes(circusd: Circusd) -> None:
    code = """
class Mine(CircusPlugin):
    @hookimpl
    def on_event(self, event):
        if event.action.startswith("bad"):
            raise ValueError("not this one")
        say(event.seq)

    def handle_recv(self, data):
        if b"bad" in data[0]:
            raise KeyError("nor this")
"""
    circusd.start(SLEEP + section(circusd, code))
    bad = circusd.ok("notify", name="w", action="bad")["seq"]
    good = circusd.ok("notify", name="w", action="good")["seq"]
    wait_for_words(circusd, str(good))
    assert str(bad) not in said(circusd)
    output = circusd.output()
    assert f"plugin:mine: on_event, told of watcher.w.bad ({bad}), raised ValueError: not this one" in output
    assert "plugin:mine: handle_recv raised KeyError" in output
    os.kill(pid_of(circusd), signal.SIGKILL)
    circusd.wait_for("start", watcher="plugin:mine")
    after = circusd.ok("notify", name="w", action="after")["seq"]
    wait_for_words(circusd, str(after))
    assert circusd.output().count("on_event, told of") == 1, "it counts as done"


@pytest.mark.parametrize("kind", ["raises", "hangs"])
def test_the_end_of_a_plugin_that_cannot_end(circusd: Circusd, kind: str) -> None:
    act = "raise ValueError('no end')" if kind == "raises" else "time.sleep(1000)"
    code = f"""
class Mine(CircusPlugin):
    def handle_stop(self):
        say("stopping")
        {act}
"""
    circusd.start(SLEEP + section(circusd, code, "graceful_timeout = 0.5"))
    circusd.ok("stop", name="plugin:mine")
    assert said(circusd) == ["stopping"]
    if kind == "raises":
        assert "plugin:mine: handle_stop raised ValueError: no end" in circusd.output()


@pytest.mark.parametrize("busy", [False, True])
def test_a_plugin_does_not_outlive_circusd(circusd: Circusd, busy: bool) -> None:
    wait = "time.sleep(1000)" if busy else "pass"
    code = f"""
from circus.plugins import lifeline

lifeline.LAST_WORDS = {0.5 if busy else 5.0}

class Mine(CircusPlugin):
    @hookimpl
    def on_event(self, event):
        if event.action == "now":
            say("now")
            {wait}

    def handle_stop(self):
        say("stop")
"""
    circusd.start(SLEEP + section(circusd, code))
    pid = pid_of(circusd)
    circusd.ok("notify", name="w", action="now")
    wait_for_words(circusd, "now")
    assert circusd.process is not None
    circusd.process.kill()
    circusd.process.wait()
    wait_until(lambda: not is_alive(pid), "it has ended")
    assert ("stop" in said(circusd)) != busy


def test_every_calls_again_and_again_and_never_twice_at_once(circusd: Circusd) -> None:
    code = """
import asyncio

from circus.exc import CallError

class Mine(CircusPlugin):
    running = 0
    rounds = 0

    def handle_init(self):
        self.every(0.01, self.look)
        self.every(0.01, self.fail)
        self.every(0.01, self.ask)

    async def look(self):
        assert self.running == 0
        self.running += 1
        await asyncio.sleep(0.03)
        self.running -= 1
        self.rounds += 1
        say("round", self.rounds)

    def fail(self):
        if self.rounds == 1:
            raise ValueError("just once")

    def ask(self):
        if self.rounds == 2:
            raise CallError("circusd does not answer")
"""
    circusd.start(SLEEP + section(circusd, code))
    wait_for_words(circusd, "round 5")
    assert "plugin:mine: Mine.fail, called each 0.01 s, raised ValueError: just once" in circusd.output()
    assert "plugin:mine: Mine.ask, called each 0.01 s, failed: circusd does not answer" in circusd.output()
    assert "CallError" not in circusd.output()  # no traceback


# Its log and its output.


@pytest.mark.parametrize("debug", [False, True])
def test_what_it_prints_is_seen_with_debug_only(circusd: Circusd, debug: bool) -> None:
    code = """
class Mine(CircusPlugin):
    def handle_init(self):
        print("printed on stdout", flush=True)
        print("printed on stderr", file=sys.stderr, flush=True)
        say("done")
"""
    circusd.start(SLEEP + section(circusd, code), f"debug = {debug}")
    wait_for_words(circusd, "done")
    assert ("printed on stdout" in circusd.output()) == debug
    assert ("printed on stderr" in circusd.output()) == debug


LOGGING = """
import logging

class Mine(CircusPlugin):
    def handle_init(self):
        logging.getLogger("circus").info("of circus: 100%")
        logging.getLogger("my.own").info("of %s, %d %%", "its own", 100)
        logging.getLogger("my.own").debug("in detail")
        say("done")
"""


@pytest.mark.parametrize("where", ["standard error", "file", "loggerconfig"])
@pytest.mark.parametrize("level", ["info", "debug"])
def test_its_log_goes_where_that_of_circusd_goes_under_its_name(circusd: Circusd, where: str, level: str) -> None:
    path = circusd.log if where == "standard error" else circusd.folder / "other.log"
    circus = f"loglevel = {level}\n"
    if where == "file":
        circus += "logoutput = other.log"
    elif where == "loggerconfig":
        handler = {"class": "logging.FileHandler", "filename": str(path), "formatter": "f"}
        config = {
            "version": 1,
            "formatters": {"f": {"format": "%(levelname)s|%(message)s"}},
            "handlers": {"h": handler},
            "root": {"handlers": ["h"], "level": level.upper()},
        }
        (circusd.folder / "log.json").write_text(json.dumps(config))
        circus += f"loggerconfig = {circusd.folder}/log.json"
    circusd.start(SLEEP + section(circusd, LOGGING, "working_dir = /"), circus)
    wait_for_words(circusd, "done")
    text = path.read_text()
    assert "plugin:mine: of circus: 100%\n" in text
    assert "plugin:mine: of its own, 100 %\n" in text
    assert ("plugin:mine: in detail" in text) == (level == "debug")
    assert "plugin:mine: w started" not in text, "only what it logs itself is its own"


def test_a_plugin_that_cannot_write_to_the_log_file_says_so_on_standard_error(circusd: Circusd) -> None:
    (circusd.folder / "logs").mkdir()
    circusd.start(SLEEP + section(circusd, LOGGING), "logoutput = logs/circusd.log")
    wait_for_words(circusd, "done")
    assert "plugin:mine" not in circusd.output()
    (circusd.folder / "logs").rename(circusd.folder / "gone")  # as good as one that its user may not enter
    circusd.ok("restart", name="plugin:mine")
    assert "what the plugin logs goes to circusd's standard error" in circusd.output()
    assert "[INFO] plugin:mine: of circus: 100%" in circusd.output()


# What a reload does to it.


def test_a_reload_adds_removes_and_replaces_plugins_and_leaves_others_alone(circusd: Circusd) -> None:
    same = recorder_section(circusd)
    code = "class Mine(CircusPlugin):\n    def handle_init(self): say(self.config.get('word'))\n"
    circusd.start(SLEEP + same)
    keeps = pid_of(circusd, "recorder")
    circusd.write(SLEEP + same + section(circusd, code, "word = one"))
    circusd.ok("reloadconfig")
    wait_for_words(circusd, "one")
    first = pid_of(circusd)
    circusd.ok("reloadconfig")
    assert pid_of(circusd) == first
    circusd.write(SLEEP + same + section(circusd, code, "word = two"))
    assert "hunter2" not in str(circusd.ok("reloadconfig"))
    wait_for_words(circusd, "two")
    assert pid_of(circusd) != first
    circusd.write(SLEEP + same + section(circusd, code, "word = two\nactive = False"))
    circusd.ok("reloadconfig")
    assert "plugin:mine" not in circusd.ok("list")["watchers"]
    assert pid_of(circusd, "recorder") == keeps


def test_a_reload_that_moves_the_endpoints_takes_the_plugins_along(circusd: Circusd) -> None:
    circusd.start(SLEEP + recorder_section(circusd))
    heard = record(circusd)
    wait_until(lambda: heard.resyncs, "it has begun")
    old = circusd.endpoint
    circusd.endpoint, circusd.pubsub_endpoint = f"{old}2", f"{circusd.pubsub_endpoint}2"
    circusd.write(SLEEP + recorder_section(circusd))
    circusd.endpoint, new = old, circusd.endpoint
    circusd.ok("reloadconfig")
    circusd.endpoint = new
    heard.wait_for(storm(circusd, 10))


def test_options_of_the_watcher_stand_in_the_plugins_section(circusd: Circusd) -> None:
    code = "class Mine(CircusPlugin):\n    def handle_init(self): say(os.getcwd(), os.environ['WORD'])\n"
    more = "priority = 7\nworking_dir = /\n[env:plugin:*]\nWORD = yes"
    circusd.start(SLEEP + section(circusd, code, more))
    wait_for_words(circusd, "/ yes")
    assert circusd.ok("get", name="plugin:mine", keys=["priority"])["options"]["priority"] == 7
    circusd.ok("set", name="plugin:mine", options={"priority": 9})
    assert circusd.ok("get", name="plugin:mine", keys=["priority"])["options"]["priority"] == 9


# What it does to circusd.


def test_options_that_say_what_a_watcher_runs_are_the_plugins_own(circusd: Circusd) -> None:
    code = """
class Mine(CircusPlugin):
    def handle_init(self):
        say(self.config)
"""
    options = {"cmd": "rm", "args": "-x", "executable": "/bin/true", "shell": "perhaps", "shell_args": "y", "name": "n"}
    more = "".join(f"{name} = {value}\n" for name, value in options.items())
    circusd.start(section(circusd, code, more))
    wait_for_words(circusd, str(options))


def test_a_flood_of_commands_keeps_nobody_else_from_being_answered(circusd: Circusd) -> None:
    code = """
import threading

class Mine(CircusPlugin):
    def handle_init(self):
        self.every(0.001, self.flood)

    def flood(self):
        for _ in range(200):
            self.cast("list")
        say("flood")
"""
    circusd.start(SLEEP + section(circusd, code, "graceful_timeout = 1"))
    wait_until(lambda: len(said(circusd)) > 5, "it floods")
    before = len(said(circusd))
    for _ in range(50):
        circusd.ok("status", name="w")
    (pid,) = circusd.pids("w")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: circusd.pids("w") not in ([], [pid]), "deaths are noticed")
    wait_until(lambda: len(said(circusd)) > before, "it goes on")
    circusd.ok("stop", name="plugin:mine")


def test_garbage_from_a_plugin_is_answered_and_harms_nobody(circusd: Circusd) -> None:
    code = """
import zmq

class Mine(CircusPlugin):
    def handle_init(self):
        context = zmq.Context()
        for address, kind in ((self.endpoint, zmq.DEALER), (self.pubsub_endpoint, zmq.XSUB)):
            socket = context.socket(kind)
            socket.connect(address)
            odd = (b"\\x01" * 1000, b"\\x00circus.tick", b"\\x01@sync.")
            for garbage in (b"", b"x" * 100000, b"[1]", b'{"command": 3}', *odd):
                socket.send(garbage)
                socket.send_multipart([garbage, garbage, garbage])
        say("sent", self.call("verdict", gate=3, sync="x", allow=True)["status"])
        say("odd", self.call("register", plugin="plugin:mine", sync="x", hooks=[3])["status"])
"""
    circusd.start(SLEEP)
    circusd.write(SLEEP + section(circusd, code))
    circusd.ok("reloadconfig")
    wait_for_words(circusd, "sent error")
    wait_for_words(circusd, "odd error")
    circusd.ok("restart", name="w")
    assert "internal error" not in circusd.output()


def test_a_stopped_plugin_and_a_full_endpoint_keep_nothing_from_ending(circusd: Circusd) -> None:
    code = """
class Mine(CircusPlugin):
    @hookimpl
    def on_event(self, event):
        if event.action == "gust":
            for _ in range(10):
                self.cast("list")
"""
    circusd.start(SLEEP + section(circusd, code, "graceful_timeout = 0.5"))
    os.kill(pid_of(circusd), signal.SIGSTOP)
    storm(circusd, 3000)
    circusd.ok("restart", name="w")
    assert circusd.stop() == 0


def test_a_plugin_waits_for_a_circusd_that_stands_still(circusd: Circusd) -> None:
    circusd.start(SLEEP + recorder_section(circusd, impatient=True))
    heard = record(circusd)
    wait_until(lambda: heard.resyncs, "it has begun")
    pid = pid_of(circusd, "recorder")
    assert circusd.process is not None
    circusd.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: "accepts connections but does not answer" in circusd.output(), "it notices", 40)
    finally:
        circusd.process.send_signal(signal.SIGCONT)
    heard.wait_for(storm(circusd, 5))
    assert pid_of(circusd, "recorder") == pid


def test_what_runs_the_functions_of_hooks_is_started_when_it_is_needed(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    assert "plugin:hooks" not in circusd.ok("list")["watchers"]
    circusd.ok("set", name="w", options={"hooks.before_start": "run_command(true)"})
    circusd.call("restart", name="w")
    wait_until(lambda: "plugin:hooks" in circusd.ok("list")["watchers"], "it was summoned")
    circusd.ok("reloadconfig")
    assert "plugin:hooks" in circusd.ok("list")["watchers"], "a reload leaves it alone"


def test_what_runs_the_functions_of_hooks_is_there_from_the_start(circusd: Circusd) -> None:
    circusd.start(SLEEP + "autostart = False\nhooks.before_start = run_command(true)\n")
    assert "plugin:hooks" in circusd.ok("list")["watchers"]


def test_a_reload_that_moves_the_endpoints_and_is_rolled_back(circusd: Circusd) -> None:
    """The plugins were started anew for endpoints that are gone again: they notice, and end for others to follow."""
    circusd.start(SLEEP + recorder_section(circusd, impatient=True))
    heard = record(circusd)
    wait_until(lambda: heard.resyncs, "it has begun")
    broken = circusd.folder / "broken"
    broken.write_text("no program\n")
    broken.chmod(0o755)
    old = circusd.endpoint, circusd.pubsub_endpoint
    circusd.endpoint, circusd.pubsub_endpoint = f"{old[0]}2", f"{old[1]}2"
    circusd.write(SLEEP + recorder_section(circusd, impatient=True) + f"[watcher:broken]\ncmd = {broken}\n")
    circusd.endpoint, circusd.pubsub_endpoint = old
    reply = circusd.call("reloadconfig", waiting=True)
    assert "rolled back" in reply["reason"], reply
    heard.wait_for(storm(circusd, 10), deadline=40)
    assert f"plugin:recorder: circusd is no longer at {old[0]}2" in circusd.output()
