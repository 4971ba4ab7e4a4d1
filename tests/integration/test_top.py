"""circus-top beside a real daemon: by Textual's pilot, in a terminal, and as a plain table."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from circus.top.app import TopApp
from circus.top.places import Places
from circus.top.screens import ConfirmScreen, LogScreen, SignalScreen
from tests.support import DEADLINE, Circusd, daemon, is_alive, wait_until

SLEEPERS = """
[watcher:My Sleepers]
cmd = sleep 1000
numprocesses = 2

[socket:http]
host = 127.0.0.1
port = 0

[watcher:talker]
cmd = sh -c "echo hello there; echo alas >&2; exec sleep 1000"
stdout_stream.class = StdoutStream
stderr_stream.class = stdout
"""

Scenario = Callable[[TopApp, Pilot[None]], Awaitable[None]]


def start(circusd: Circusd) -> Circusd:
    return circusd.start(SLEEPERS, f"stats_endpoint = ipc://{circusd.folder}/stats\nstatsd = True\n")


@pytest.fixture(scope="module")
def shared() -> Iterator[Circusd]:
    """One daemon for all tests that leave it as it was."""
    with daemon() as running:
        yield start(running)


def drive(circusd: Circusd, scenario: Scenario, **options: Any) -> None:
    """Run circus-top in a terminal of 80×24 that is not there, and the scenario on it."""

    async def run() -> None:
        app = TopApp(Places(circusd.endpoint), **options)
        async with app.run_test(size=(80, 24)) as pilot:
            await scenario(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str) -> None:
    """Wait until something is so on the screen."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"not so in time: {what}\n{screen(pilot.app)}"
        await pilot.pause(0.05)


def screen(app: Any) -> str:
    """What stands on the screen."""
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


def shows(app: TopApp, *texts: str) -> Callable[[], bool]:
    return lambda: all(text in screen(app) for text in texts)


async def choose(app: TopApp, pilot: Pilot[None], watcher: str) -> None:
    """Put the cursor on a watcher."""
    await until(pilot, lambda: any(row.watcher == watcher for row in app.rows), f"{watcher} is there")
    line = next(at for at, row in enumerate(app.rows) if row.watcher == watcher)
    app.table.move_cursor(row=line, animate=False)
    await until(pilot, lambda: app.chosen and app.chosen.watcher == watcher, f"{watcher} is chosen")


def test_it_shows_figures_and_opens_watchers(shared: Circusd) -> None:

    async def scenario(app: TopApp, pilot: Pilot[None]) -> None:
        await until(pilot, shows(app, "circusd up", "stats up", "▸ My Sleepers", "2/2"), "both are there")
        await until(pilot, lambda: len(app.model.processes) >= 3, "figures of processes")
        await choose(app, pilot, "My Sleepers")
        await pilot.press("enter")
        pids = shared.ok("list", name="my sleepers")["pids"]
        await until(pilot, shows(app, "▾ My Sleepers", *(f"{pid} slot" for pid in pids)), "its processes")
        await pilot.press("e")
        await until(pilot, shows(app, "my_sleepers spawn"), "events from before")
        await pilot.press("escape", "n")
        await until(pilot, shows(app, "http", "127.0.0.1:"), "the socket")
        await pilot.press("escape", "question_mark")
        await until(pilot, shows(app, "send a signal"), "the help")

    drive(shared, scenario)


def test_keys_steer_once_that_is_confirmed(shared: Circusd) -> None:
    pids = shared.ok("list", name="my sleepers")["pids"]

    def state() -> str:
        return str(shared.ok("status", name="my sleepers")["status"])

    async def scenario(app: TopApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, "My Sleepers")
        await pilot.press("plus")
        await until(pilot, shows(app, "3/3"), "one more")
        await pilot.press("minus", "y")
        await until(pilot, lambda: not shows(app, "3/3")() and shows(app, "2/2")(), "one less")
        await pilot.press("x")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("s", "enter")
        assert state() == "active"
        await pilot.press("x", "y")
        await until(pilot, lambda: state() == "stopped", "it is stopped")
        assert not any(is_alive(pid) for pid in pids)
        await pilot.press("s")
        await until(pilot, lambda: state() == "active", "it is started")
        before = set(shared.ok("list", name="my sleepers")["pids"])
        await until(pilot, shows(app, "2/2"), "that is shown")
        await pilot.press("r", "y")
        await until(pilot, lambda: not before & {*shared.ok("list", name="my sleepers")["pids"]}, "it is restarted")

    drive(shared, scenario)


def test_a_signal_goes_to_the_chosen_process(shared: Circusd) -> None:

    async def scenario(app: TopApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, "My Sleepers")
        await pilot.press("enter", "down")
        await until(pilot, lambda: app.chosen and app.chosen.pid, "a process is chosen")
        assert app.chosen is not None
        pid = app.chosen.pid
        await pilot.press("k", *"nonsense", "enter")
        assert isinstance(app.screen, SignalScreen)
        await until(pilot, shows(app, "is not a signal"), "what is wrong")
        await pilot.press(*["backspace"] * 8, *"usr1", "enter")
        reap = await asyncio.to_thread(shared.wait_for, "reap", process_pid=pid)
        assert reap.data["exit_code"] == -10

    drive(shared, scenario)


def test_what_a_process_prints(shared: Circusd) -> None:

    async def scenario(app: TopApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, "talker")
        await pilot.press("l")
        assert isinstance(app.screen, LogScreen)
        await until(pilot, shows(app, "| hello there", "alas"), "what it has printed")
        # A key of the table does nothing here.
        await pilot.press("x")
        assert isinstance(app.screen, LogScreen)
        await pilot.press("escape")
        await choose(app, pilot, "My Sleepers")
        await pilot.press("l")
        await until(pilot, shows(app, "not captured"), "why there is nothing")

    drive(shared, scenario)


def test_filter_and_sort(shared: Circusd) -> None:

    async def scenario(app: TopApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, "My Sleepers")
        await pilot.press("slash", *"talk", "enter")
        await until(pilot, lambda: [row.watcher for row in app.rows] == ["talker"], "only that")
        assert "filter: talk" in screen(app)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.rows) >= 3, "all again")
        await pilot.press("o", "i")
        await until(pilot, shows(app, "CPU%▴"), "another order, from below")

    drive(shared, scenario)


def test_read_only_changes_nothing(shared: Circusd) -> None:

    async def scenario(app: TopApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, "My Sleepers")
        assert "Stop" not in screen(app)
        seq = shared.ok("events", limit=0)["last_seq"]
        await pilot.press("x", "y", "r", "y", "k", "plus", "minus", "s")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert shared.ok("events", limit=0)["last_seq"] == seq

    drive(shared, scenario, read_only=True)


def test_it_says_who_is_gone_and_recovers(circusd: Circusd) -> None:
    start(circusd)

    async def scenario(app: TopApp, pilot: Pilot[None]) -> None:
        await until(pilot, shows(app, "circusd up", "stats up", "My Sleepers"), "both are there")
        await asyncio.to_thread(circusd.ok, "stop", name="circusd-stats")
        await until(pilot, shows(app, "circusd-stats is gone"), "the statistics are gone")
        await asyncio.to_thread(circusd.ok, "start", name="circusd-stats")
        await until(pilot, shows(app, "stats up"), "they are back")
        await asyncio.to_thread(circusd.stop)
        await until(pilot, shows(app, "circusd is gone from"), "circusd is gone")
        circusd.launch()
        await until(pilot, shows(app, "circusd up", "stats up", "My Sleepers"), "it is back")

    drive(circusd, scenario)


def test_it_waits_for_a_circusd_that_was_never_there(circusd: Circusd) -> None:
    async def scenario(app: TopApp, pilot: Pilot[None]) -> None:
        await until(pilot, shows(app, "no circusd at", "--command-endpoint"), "what to do")
        circusd.write(SLEEPERS)
        circusd.launch()
        await until(pilot, shows(app, "circusd up", "My Sleepers"), "it is there")
        await until(pilot, shows(app, "statsd = True"), "what is to be set for statistics")

    drive(circusd, scenario)


@pytest.fixture
def terminal(circusd: Circusd) -> Iterator[Callable[..., str]]:
    """Runs tmux on a server of this test's own."""
    server = ["tmux", "-L", f"circus-{uuid.uuid4().hex}", "-f", "/dev/null"]

    def run(*words: str) -> str:
        environment = os.environ | {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        return subprocess.run([*server, *words], capture_output=True, text=True, check=True, env=environment).stdout

    yield run
    subprocess.run([*server, "kill-server"], capture_output=True)


def test_in_a_terminal_of_80_by_24(shared: Circusd, terminal: Callable[..., str]) -> None:
    command = shlex.join([sys.executable, "-m", "circus.cli.top", "--command-endpoint", shared.endpoint])
    status = shared.folder / "status"
    terminal("new-session", "-d", "-x", "80", "-y", "24", f"{command}; echo $? > {status}")

    def pane() -> str:
        return terminal("capture-pane", "-p")

    wait_until(lambda: "▸ My Sleepers" in pane() and "stats up" in pane(), "the watchers are shown")
    lines = pane().splitlines()
    assert lines[1].split() == ["NAME▾", "STATE", "PROCS", "RESTARTS", "CPU%", "MEM%", "RSS", "AGE", "CPU"]
    assert lines[-1].startswith("s Start x Stop r Restart")
    assert "? Help q" in lines[-1]
    terminal("send-keys", "x")
    wait_until(lambda: "y: yes" in pane(), "it asks first")
    terminal("send-keys", "n")
    wait_until(lambda: "y: yes" not in pane(), "the question is gone")
    terminal("send-keys", "q")
    wait_until(lambda: status.exists() and status.read_text().strip() == "0", "it has ended")


def top(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "circus.cli.top", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE * 2,
        stdin=subprocess.DEVNULL,
        env=os.environ | env,
    )


def test_once(shared: Circusd) -> None:
    run = top("--command-endpoint", shared.endpoint, "--once", "--process-timeout", str(DEADLINE))
    assert (run.returncode, run.stderr) == (0, "")
    lines = [line.split() for line in run.stdout.splitlines()]
    assert lines[0] == ["NAME", "STATE", "PROCS", "RESTARTS", "CPU%", "MEM%", "RSS", "AGE"]
    found = {line[0]: line for line in lines}
    assert found["My"][1:4] == ["Sleepers", "active", "2/2"]
    pid = str(shared.ok("list", name="talker")["pids"][0])
    assert found[pid][1:4] == ["slot", "1", "running"]
    assert float(found[pid][5]) >= 0


def test_as_old_scripts_call_it(shared: Circusd) -> None:
    stats = f"ipc://{shared.folder}/stats"
    # Commands go to the default endpoint, if that is the circusd whose statistics these are.
    words = ["--endpoint", stats, "--process-timeout", str(DEADLINE), "--once"]
    run = top(*words, CIRCUSCTL_ENDPOINT=shared.endpoint)
    assert (run.returncode, run.stderr) == (0, "")
    assert "My Sleepers" in run.stdout
    run = top(*words, CIRCUSCTL_ENDPOINT=f"ipc://{shared.folder}/nobody")
    assert run.returncode == 0
    assert "no circusd at" in run.stderr
    assert "my_sleepers" in run.stdout


def test_once_without_statistics_or_circusd(shared: Circusd) -> None:
    stats = f"ipc://{shared.folder}/nostats"
    run = top("--command-endpoint", shared.endpoint, "--endpoint", stats, "--once", "--process-timeout", "0.1")
    assert run.returncode == 0
    assert "statsd = True" in run.stderr
    assert "My Sleepers" in run.stdout
    nobody = f"ipc://{shared.folder}/nobody"
    run = top("--command-endpoint", nobody, "--endpoint", stats, "--once", "--process-timeout", "0.1")
    assert (run.returncode, run.stdout) == (1, "")
    assert "no circusd at" in run.stderr


def test_without_textual(shared: Circusd, tmp_path: Path) -> None:
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError(\"No module named 'textual'\", name='textual')\n")
    code = "import sys; sys.stdin.isatty = sys.stdout.isatty = lambda: True; "
    code += "from circus.cli.top import main; sys.exit(main())"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, env=environment
    )
    assert run.returncode == 1
    assert "pip install circus[top]" in run.stderr
    words = ["--command-endpoint", shared.endpoint, "--once", "--process-timeout", str(DEADLINE)]
    assert "My Sleepers" in top(*words, PYTHONPATH=str(tmp_path)).stdout


def test_no_terminal() -> None:
    run = top()
    assert run.returncode == 2
    assert "--once" in run.stderr
