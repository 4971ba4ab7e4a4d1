"""What authors of plugins test with: the fixture circusd, and what pytest loads because Circus is installed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from circus.events import Event
from circus.plugins import CircusPlugin, hookimpl
from circus.plugins.loading import PluginError
from circus.testing import Circusd, RunPlugin, daemon, is_alive, wait_until

SLEEP = "[watcher:web]\ncmd = sleep 300\n"


def test_a_death_is_waited_for(circusd: Circusd) -> None:
    circusd.start()
    [pid] = circusd.add("web", "sleep 300")
    circusd.kill(pid)
    reap = circusd.wait_for("reap", watcher="web")
    assert isinstance(reap, Event)
    assert (reap.data["process_pid"], reap.data["exit_code"]) == (pid, -signal.SIGKILL)
    assert circusd.wait_for("spawn", watcher="web", count=2).data["process_pid"] == circusd.pids("web")[0]


def test_add_takes_options_and_a_name_of_any_kind(circusd: Circusd) -> None:
    circusd.start()
    assert len(circusd.add("My Web", "sleep 300", numprocesses=2)) == 2
    assert circusd.add("later", "sleep 300", start=False) == []
    assert circusd.wait_for("start", watcher="My Web").watcher == "my_web"
    assert circusd.events.actions("My Web") == ["add", "spawn", "spawn", "start"]


def test_events_reach_back_to_the_start(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    for _ in range(3):
        circusd.ok("restart", name="web")
    assert [event.seq for event in circusd.events] == list(range(1, len(circusd.events) + 1))
    assert len(circusd.events.of("spawn", watcher="web")) == 4
    since_now = circusd.subscribe()
    circusd.ok("stop", name="web")
    assert since_now.actions("web") == ["kill", "reap", "stop"]


def test_events_narrow_down_by_watcher_and_data(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    [pid] = circusd.add("other", "sleep 300")
    circusd.ok("stop", name="other")
    circusd.ok("stop", name="web")
    assert [event.watcher for event in circusd.events.of("reap")] == ["other", "web"]
    assert [event.watcher for event in circusd.events.of("reap", process_pid=pid)] == ["other"]
    assert circusd.events.of("reap", watcher="web", process_pid=pid) == []


def test_events_come_to_the_very_last_and_of_the_next_daemon(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    first = circusd.wait_for("start", watcher="web")
    assert circusd.stop() == 0
    circusd.wait_for("stop", watcher="web")
    circusd.start(SLEEP)
    second = circusd.wait_for("start", watcher="web")
    assert second.boot != first.boot
    assert len(circusd.events.of("start", watcher="web")) == 1


def test_what_does_not_come_is_told_of_with_what_came(circusd: Circusd, monkeypatch: pytest.MonkeyPatch) -> None:
    circusd.start(SLEEP)
    monkeypatch.setattr("circus.testing.events.DEADLINE", 0.2)
    with pytest.raises(AssertionError, match=r"0 of 1 times reap of web with {'exit_code': 3} .* seen: .*web\.spawn"):
        circusd.wait_for("reap", watcher="web", exit_code=3)


def test_mistakes_in_a_test_are_explained(circusd: Circusd) -> None:
    with pytest.raises(AssertionError, match=r"call circusd\.start\(\) first"):
        circusd.pids("web")
    circusd.start()
    with pytest.raises(AssertionError, match=r"'reason'.*not found"):
        circusd.pids("web")
    assert circusd.call("list", name="web")["status"] == "error"


def test_circusctl_talks_to_that_daemon(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    assert circusd.ctl("status", "web").stdout == "active\n"


def test_a_start_that_fails_shows_the_log(circusd: Circusd) -> None:
    with pytest.raises(AssertionError, match=r"(?s)circusd ended with 1:.*has no command"):
        circusd.start("[watcher:web]\nnumprocesses = 2\n")


def test_nothing_outlives_the_daemon() -> None:
    with daemon() as circusd:
        [pid] = circusd.start(SLEEP).pids("web")
    wait_until(lambda: not is_alive(pid), "it is ended")
    assert not circusd.folder.exists()


def test_what_a_stop_leaves_behind_is_an_error() -> None:
    with pytest.raises(AssertionError, match="left behind"), daemon() as circusd:
        circusd.start()
        program = circusd.program("leftover.py", "import time\nopen('there', 'w')\ntime.sleep(300)\n")
        left = subprocess.Popen(
            program.split(), env={"CIRCUS_MARK": circusd.mark}, cwd=circusd.folder, start_new_session=True
        )
        wait_until((circusd.folder / "there").exists, "it runs")
        circusd.stop()
    assert left.wait(20) == -signal.SIGKILL


def test_pytest_loads_the_fixtures_and_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    assert 'circus.testing.plugin' in sys.modules\n"
        "    assert not {'zmq', 'tornado', 'psutil', 'circus.events'} & set(sys.modules)\n"
        "def test_fixture(circusd):\n"
        "    assert circusd.start().call('numwatchers')['numwatchers'] == 0\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=50,
    )
    assert run.returncode == 0, run.stdout + run.stderr


# A plugin in the test's own process.


class Counter(CircusPlugin):
    """Counts, refuses what it is told to refuse, and fails where it is told to fail."""

    name = "counter"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.spawned = 0
        self.ended = False
        if "fail" in config:
            raise ValueError(config["fail"])

    async def handle_init(self) -> None:
        if "fail_to_begin" in self.config:
            raise ValueError(self.config["fail_to_begin"])

    def handle_stop(self) -> None:
        self.ended = True

    @hookimpl
    def on_event(self, event: Event) -> None:
        self.spawned += event.action == "spawn"

    @hookimpl
    def before_start(self, watcher: Any) -> bool:
        return bool(watcher.name != self.config.get("refuse"))


def test_a_plugin_hears_of_what_happens_from_then_on(circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start(SLEEP)
    plugin = run_plugin(Counter, limit=3)
    assert plugin.config == {"limit": "3"}
    for number in range(5):
        circusd.add(f"w{number}", "sleep 300")
    run_plugin.catch_up(plugin)
    assert plugin.spawned == 5
    assert plugin.call("numwatchers")["numwatchers"] == 6


def test_a_slow_plugin_is_waited_for(circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start()

    class Slow(CircusPlugin):
        known = False
        seen = 0

        @hookimpl
        async def on_resync(self, snapshot: dict[str, Any]) -> None:
            await asyncio.sleep(0.5)
            self.known = True

        @hookimpl
        async def on_event(self, event: Event) -> None:
            await asyncio.sleep(0.1)
            self.seen += 1

    plugin = run_plugin(Slow)
    assert plugin.known, "it takes part when it knows how everything is"
    for number in range(3):
        circusd.add(f"w{number}", "sleep 300", start=False)
    run_plugin.catch_up(plugin)
    assert plugin.seen == 3


def test_a_plugin_gates(circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start()
    run_plugin(Counter, refuse="b")
    assert circusd.add("a", "sleep 300")
    assert circusd.call("add", name="b", cmd="sleep 300", start=True, waiting=True)["status"] == "error"
    assert circusd.pids("b") == []


def test_a_plugin_is_ended_in_good_order(circusd: Circusd) -> None:
    circusd.start()
    run_plugin = RunPlugin(circusd)
    first, second = run_plugin(Counter), run_plugin(Counter)
    run_plugin.stop(first)
    assert (first.ended, second.ended) == (True, False)
    run_plugin.close()
    assert second.ended


def test_what_a_plugin_raises_reaches_the_test(circusd: Circusd, run_plugin: RunPlugin) -> None:
    with pytest.raises(AssertionError, match=r"call circusd\.start\(\)"):
        run_plugin(Counter)
    circusd.start()
    with pytest.raises(PluginError, match="its constructor raised ValueError: no luck"):
        run_plugin(Counter, fail="no luck")
    with pytest.raises(AssertionError, match="plugin:counter has ended before it took part"):
        run_plugin(Counter, fail_to_begin="no luck")


def test_a_plugin_may_be_made_by_a_function(circusd: Circusd, run_plugin: RunPlugin) -> None:
    circusd.start()
    seen: list[str] = []

    class Listener(CircusPlugin):
        @hookimpl
        def on_event(self, event: Event) -> None:
            seen.append(event.action)

    def make(*args: Any, **config: Any) -> Listener:
        return Listener(*args, **config)

    plugin = run_plugin(make)
    circusd.add("web", "sleep 300")
    run_plugin.catch_up(plugin)
    assert seen == ["add", "spawn", "start"]
