"""Plugins that take part in hooks, and the watchers that wait for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

from tests.integration.test_plugin_process import SLEEP, pid_of, said, section, wait_for_words
from tests.support import Circusd, wait_until

GUARD = """
import asyncio

class Mine(CircusPlugin):
    watchers = "w*"

    @hookimpl
    async def before_start(self, watcher, arbiter, hook_name):
        say("asked", watcher.name, hook_name)
        while (Path(__file__).parent / "wait").exists():
            await asyncio.sleep(0.01)
        return not (Path(__file__).parent / "refuse").exists()

    @hookimpl
    def after_spawn(self, watcher, pid):
        say("spawned", pid)

    @hookimpl
    def before_signal(self, watcher, pid, signum):
        raise RuntimeError("a defect")

    @hookimpl
    def extended_stats(self, pid, stats):
        stats["answer"] = pid + 1
"""


def test_a_plugin_is_asked_and_false_refuses(circusd: Circusd) -> None:
    circusd.start("[watcher:web]\ncmd = sleep 300\n[watcher:other]\ncmd = sleep 300\n" + section(circusd, GUARD))
    circusd.wait_for("start", watcher="web")
    assert said(circusd)[0] == "asked web before_start"
    assert "asked other before_start" not in said(circusd), "it guards others only"
    wait_for_words(circusd, f"spawned {circusd.pids('web')[0]}")
    (circusd.folder / "refuse").touch()
    reply = circusd.call("restart", name="web", waiting=True)
    assert "the hook before_start refused (plugin:mine)" in reply["reason"]
    (circusd.folder / "refuse").unlink()
    circusd.ok("start", name="web")
    failure = circusd.wait_for("hook_failure", watcher="web")
    assert failure.data["name"] == "before_signal", "after an error the signal is sent nevertheless"
    assert failure.data["error"] == "RuntimeError: a defect"
    assert "plugin:mine: the hook before_signal of web raised RuntimeError: a defect" in circusd.output()
    (pid,) = circusd.pids("web")
    assert circusd.ok("stats", name="web", extended=True)["info"][str(pid)]["answer"] == pid + 1


def test_the_same_plugin_by_hand_is_asked_beside_the_one_that_circusd_runs(circusd: Circusd) -> None:
    code = """
class Mine(CircusPlugin):
    @hookimpl
    def on_resync(self, snapshot):
        say("there", os.getpid())

    @hookimpl
    def before_start(self):
        say("asked", os.getpid())
"""
    section(circusd, code)
    path = f"{circusd.folder}/mine.py:Mine"
    circusd.start(f"{SLEEP}[plugin:{path}]\n")
    supervised = pid_of(circusd, path)
    wait_for_words(circusd, f"asked {supervised}")
    command = [sys.executable, "-m", "circus.cli.plugin", "--endpoint", circusd.endpoint]
    with subprocess.Popen([*command, "--pubsub", circusd.pubsub_endpoint, path], stderr=subprocess.DEVNULL) as by_hand:
        wait_for_words(circusd, f"there {by_hand.pid}")
        circusd.ok("restart", name="w")
        assert sorted(said(circusd)[-2:]) == sorted([f"asked {supervised}", f"asked {by_hand.pid}"])
        by_hand.terminate()
    circusd.ok("restart", name="w")
    assert said(circusd)[-1] == f"asked {supervised}"


def test_one_that_takes_its_time_delays_one_watcher_and_nothing_else(circusd: Circusd) -> None:
    circusd.start(SLEEP + "[watcher:other]\ncmd = sleep 300\n" + section(circusd, GUARD))
    circusd.wait_for("start", watcher="w")
    (circusd.folder / "wait").touch()
    replies: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: replies.append(circusd.call("restart", name="w", waiting=True)))
    thread.start()
    wait_until(lambda: said(circusd).count("asked w before_start") == 2, "it is asked")
    circusd.ok("restart", name="other")
    assert circusd.ok("status", name="w")["status"] != "active"
    (circusd.folder / "wait").unlink()
    thread.join()
    assert replies[0]["status"] == "ok"


def test_one_that_is_killed_while_it_is_asked_fails_and_its_successor_is_asked_next_time(circusd: Circusd) -> None:
    circusd.start(SLEEP + section(circusd, GUARD))
    circusd.wait_for("start", watcher="w")
    (circusd.folder / "wait").touch()
    circusd.call("restart", name="w")
    wait_until(lambda: said(circusd).count("asked w before_start") == 2, "it is asked")
    os.kill(pid_of(circusd), signal.SIGKILL)
    failure = circusd.wait_for("hook_failure", watcher="w", name="before_start")
    assert "plugin:mine ended before it had answered" in failure.data["error"]
    (circusd.folder / "wait").unlink()
    circusd.wait_for("start", watcher="plugin:mine", count=1)
    circusd.ok("start", name="w")
    assert said(circusd).count("asked w before_start") == 3
    assert circusd.ok("status", name="w")["status"] == "active"


def test_a_gate_does_not_wait_for_the_events_before_it(circusd: Circusd) -> None:
    code = """
import asyncio

class Mine(CircusPlugin):
    @hookimpl
    async def on_event(self, event):
        if event.action == "slow":
            say("slow")
            await asyncio.sleep(1000)

    @hookimpl
    def before_start(self, watcher):
        say("asked", watcher.name)
"""
    circusd.start(SLEEP + section(circusd, code, "graceful_timeout = 1"))
    circusd.wait_for("start", watcher="w")
    circusd.ok("notify", name="w", action="slow")
    wait_for_words(circusd, "slow")
    circusd.ok("restart", name="w")
    assert said(circusd).count("asked w") == 2


def test_a_hook_that_would_wait_for_itself_gets_an_error(circusd: Circusd) -> None:
    code = """
class Mine(CircusPlugin):
    @hookimpl
    async def before_start(self, watcher):
        reply = await self.acall("restart", name=watcher.name, waiting=True)
        say(reply["status"], reply["reason"])
        reply = self.call("status", name=watcher.name)
        say("then", reply["status"])
"""
    circusd.start(SLEEP + section(circusd, code))
    circusd.wait_for("start", watcher="w")
    assert said(circusd)[0].startswith("error w waits for the hook before_start")
    assert said(circusd)[1].startswith("then ")
    assert circusd.ok("status", name="w")["status"] == "active"


def test_each_of_many_gates_is_answered_once(circusd: Circusd) -> None:
    code = """
class Mine(CircusPlugin):
    @hookimpl
    def after_spawn(self, pid):
        say("spawned", pid)
"""
    circusd.start("[watcher:w]\ncmd = sleep 300\nnumprocesses = 100\n" + section(circusd, code))
    circusd.wait_for("start", watcher="w")
    circusd.ok("restart", name="w")
    asked = [line for line in said(circusd) if line.startswith("spawned")]
    assert len(asked) == len(set(asked)) == 200
    assert "came too late" not in circusd.output()
    assert "is closed" not in circusd.output()
