"""No event is lost: plugins that are killed, stopped, slow or far behind, and a real kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import zmq

from circus.consumer import CircusConsumer
from tests.plugin_events import RECORDER, record, recorder_section, storm
from tests.support import DEADLINE, Circusd, is_alive, wait_until

SLEEP = "[watcher:w]\ncmd = sleep 300\n"
STORM = 20_000


def pid_of(circusd: Circusd, plugin: str = "plugin:recorder") -> int:
    (pid,) = circusd.wait_for_pids(plugin, 1)
    return pid


def kill(circusd: Circusd, plugin: str = "plugin:recorder") -> int:
    """Kill a plugin, and return its process id."""
    pid = pid_of(circusd, plugin)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in circusd.pids(plugin), "it was reaped")
    return pid


def test_hook_on_event_tells_each_event_once_and_in_order(circusd: Circusd) -> None:
    circusd.start(SLEEP + recorder_section(circusd))
    circusd.ok("restart", name="w")
    last = storm(circusd, 100)
    heard = record(circusd)
    heard.wait_for(last)
    (start,) = heard.resyncs
    assert heard.until(last) == list(range(start + 1, last + 1))
    topics = [line[1] for line in heard.lines if line[0] != "resync"]
    assert [topic for topic in topics if topic.startswith("watcher.w.")][-101:-100] == ["watcher.w.start"]
    assert "circus.tick" not in topics


def test_hook_on_resync_tells_how_everything_is_at_the_start(circusd: Circusd) -> None:
    (circusd.folder / "looking.py").write_text(
        RECORDER
        + """
class Looking(Recorder):
    @hookimpl
    async def on_resync(self, snapshot):
        watcher = snapshot["watchers"]["My W"]
        [process] = watcher["processes"]
        reply = await self.acall("list", name="my w")
        self.write("resync", snapshot["seq"], watcher["state"], watcher["numprocesses"], process["wid"],
                   process["pid"] in reply["pids"])
"""
    )
    circusd.start("[watcher:My W]\ncmd = sleep 300\n")
    section = f"[plugin:looking]\nuse = ./looking.py:Looking\nfile = {circusd.folder}/looking.txt\n"
    circusd.write(f"[watcher:My W]\ncmd = sleep 300\n{section}")
    circusd.ok("reloadconfig")
    heard = record(circusd, "looking")
    wait_until(lambda: heard.lines, "it was told")
    assert heard.lines[0][2:] == ["active", "1", "1", "True"]


def test_a_plugin_that_is_killed_in_a_storm_has_heard_of_everything(circusd: Circusd) -> None:
    circusd.start(SLEEP + recorder_section(circusd), "event_ring_size = 65536")
    heard = record(circusd)
    wait_until(lambda: heard.resyncs, "it has begun")
    numbers: list[int] = []
    thread = threading.Thread(target=lambda: numbers.append(storm(circusd, STORM)))
    thread.start()
    kills = 0
    try:
        while thread.is_alive() and kills < 5:
            reached = heard.last
            wait_until(lambda reached=reached: heard.last > reached or not thread.is_alive(), "it hears on")
            kill(circusd)
            kills += 1
    finally:
        thread.join()
    assert kills > 1
    (last,) = numbers
    heard.wait_for(last, deadline=40)
    start = heard.resyncs[0]
    events = heard.events
    assert set(range(start + 1, last + 1)) <= set(events), "nothing is missing"
    assert len(events) - len(set(events)) <= kills, "at most one event is told again for each kill"
    lives = {line[2] for line in heard.lines}
    assert len(lives) > 1, "several processes have written it"


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGSEGV)", "os._exit(3)", "sys.exit(4)"])
def test_an_event_in_which_two_processes_have_ended_is_passed_over(circusd: Circusd, end: str) -> None:
    section = recorder_section(circusd, more="backoff_max = 0.1")
    code = f"""
import sys

class Recorder(Recorder):
    @hookimpl
    def on_event(self, event):
        self.write(event.seq, event.topic, os.getpid())
        if event.action == "deadly":
            {end}
"""
    (circusd.folder / "recorder.py").write_text(RECORDER + code)
    circusd.start(SLEEP + section)
    heard = record(circusd)
    wait_until(lambda: heard.resyncs, "it has begun")
    deadly = circusd.ok("notify", name="w", action="deadly")["seq"]
    heard.wait_for(circusd.ok("notify", name="w", action="harmless")["seq"])
    assert heard.events.count(deadly) == 2
    assert heard.until(heard.last) == sorted(heard.events), "in order, each of the others once"
    assert len(heard.events) == len(set(heard.events)) + 1
    passed = (
        f"plugin:recorder: watcher.w.deadly ({deadly}) is passed over: 2 processes have ended while they handled it"
    )
    assert passed in circusd.output()


def test_whoever_is_told_to_end_was_not_ended_by_the_event(circusd: Circusd) -> None:
    section = recorder_section(circusd)
    code = """
import asyncio

class Recorder(Recorder):
    @hookimpl
    async def on_event(self, event):
        self.write(event.seq, event.topic, os.getpid())
        if event.action == "long" and not os.path.exists(self.config["file"] + ".go"):
            await asyncio.sleep(1000)
"""
    (circusd.folder / "recorder.py").write_text(RECORDER + code)
    circusd.start(SLEEP + section)
    heard = record(circusd)
    wait_until(lambda: heard.resyncs, "it has begun")
    long = circusd.ok("notify", name="w", action="long")["seq"]
    for times in range(1, 4):
        wait_until(lambda times=times: heard.events.count(long) == times, f"it is told of it, {times}")
        circusd.ok("stop", name="plugin:recorder", waiting=True)
        if times == 3:
            (circusd.folder / "recorder.txt.go").touch()
        circusd.ok("start", name="plugin:recorder")
    heard.wait_for(circusd.ok("notify", name="w", action="harmless")["seq"])
    assert heard.events.count(long) == 4
    assert "passed over" not in circusd.output()


def test_a_plugin_that_was_away_for_too_long_is_told_from_where_on_it_has_heard_of_everything(
    circusd: Circusd,
) -> None:
    circusd.start(SLEEP + recorder_section(circusd), "event_ring_size = 100")
    heard = record(circusd)
    heard.wait_for(storm(circusd, 10))
    circusd.ok("stop", name="plugin:recorder")
    before = heard.last
    storm(circusd, 500)
    circusd.ok("start", name="plugin:recorder")
    wait_until(lambda: len(heard.resyncs) == 2, "it was told")
    last = storm(circusd, 10)
    heard.wait_for(last)
    first, second = heard.resyncs
    assert second > before
    assert heard.until(last) == [*range(first + 1, before + 1), *range(second + 1, last + 1)]


def test_a_plugin_that_is_started_again_goes_on_where_it_was(circusd: Circusd) -> None:
    circusd.start(SLEEP + recorder_section(circusd))
    heard = record(circusd)
    heard.wait_for(storm(circusd, 10))
    circusd.ok("stop", name="plugin:recorder")
    last = storm(circusd, 300)
    circusd.ok("start", name="plugin:recorder")
    heard.wait_for(last)
    wait_until(lambda: len(heard.resyncs) == 2, "the second life is told how everything is, too")
    first, second = heard.resyncs
    assert second >= last, "behind what it had missed"
    assert heard.until(last) == list(range(first + 1, last + 1))


def test_a_subscriber_with_a_tiny_high_water_mark_ends_with_the_full_count(circusd: Circusd) -> None:
    narrow = "import circus.plugins.subscription as narrow\nnarrow.HIGH_WATER_MARK = 10\n"
    (circusd.folder / "recorder.py").write_text(narrow + RECORDER.replace("pause = 0.0", "pause = 0.0001"))
    circusd.start(SLEEP + recorder_section(circusd), "event_ring_size = 65536")
    heard = record(circusd)
    wait_until(lambda: heard.resyncs, "it has begun")
    pid = pid_of(circusd)
    os.kill(pid, signal.SIGSTOP)  # so that its queue overflows for certain
    storm(circusd, STORM // 2)
    os.kill(pid, signal.SIGCONT)
    last = storm(circusd, STORM // 2)
    heard.wait_for(last, deadline=50)
    assert heard.until(last) == list(range(heard.resyncs[0] + 1, last + 1))


def test_a_stopped_subscriber_slows_neither_the_kernel_nor_others(circusd: Circusd) -> None:
    circusd.start(SLEEP + recorder_section(circusd) + recorder_section(circusd, "other"), "event_ring_size = 65536")
    stopped, other = record(circusd), record(circusd, "other")
    wait_until(lambda: stopped.resyncs and other.resyncs, "both have begun")
    pid = pid_of(circusd)
    os.kill(pid, signal.SIGSTOP)
    last = storm(circusd, STORM)
    other.wait_for(last)
    reached = stopped.last
    assert reached < last
    circusd.ok("restart", name="w")
    os.kill(pid, signal.SIGCONT)
    last = storm(circusd, 1)
    stopped.wait_for(last, deadline=40)
    assert stopped.until(last) == list(range(stopped.resyncs[0] + 1, last + 1))


def test_the_last_events_are_not_missed_where_nothing_follows_them(circusd: Circusd) -> None:
    """The tick tells of them: what the queue of a stopped subscriber does not hold is lost without a trace."""
    narrow = "import circus.plugins.subscription as narrow\nnarrow.HIGH_WATER_MARK = 2\n"
    # Silence is another sign, which is not to be the one that helps here.
    narrow += "import circus.plugins.runtime as patient\npatient.SILENCE = 1000\n"
    (circusd.folder / "recorder.py").write_text(narrow + RECORDER)
    circusd.start(SLEEP + recorder_section(circusd), "event_ring_size = 65536")
    heard = record(circusd)
    wait_until(lambda: heard.resyncs, "it has begun")
    pid = pid_of(circusd)
    os.kill(pid, signal.SIGSTOP)
    last = storm(circusd, STORM)
    os.kill(pid, signal.SIGCONT)
    heard.wait_for(last, deadline=40)
    assert heard.until(last) == list(range(heard.resyncs[0] + 1, last + 1))


@pytest.mark.parametrize("topic", ["watcher.", "watcher.w.gust", ""])
def test_plain_subscribers_work_as_before(circusd: Circusd, topic: str) -> None:
    circusd.start(SLEEP)
    socket = circusd.context.socket(zmq.SUB)
    socket.subscribe(topic)
    socket.connect(circusd.pubsub_endpoint)
    try:
        frames: list[bytes] = []
        while not frames or not frames[0].startswith(b"watcher."):
            storm(circusd, 1)
            if socket.poll(10):
                frames = socket.recv_multipart()
        assert len(frames) == 2
        assert frames[0] == b"watcher.w.gust"
        assert json.loads(frames[1]).keys() >= {"time", "seq"}
    finally:
        socket.close(linger=0)


def test_a_consumer_of_the_library_misses_nothing(circusd: Circusd) -> None:
    circusd.start(SLEEP, "event_ring_size = 65536")
    with CircusConsumer(
        ["watcher.w"], endpoint=circusd.pubsub_endpoint, command_endpoint=circusd.endpoint, timeout=0.1
    ) as consumer:
        messages = iter(consumer)
        heard = threading.Event()

        def blow() -> None:
            while not heard.is_set():  # it begins with what happens once it is live
                storm(circusd, 1)

        thread = threading.Thread(target=blow)
        thread.start()
        seen = [json.loads(next(messages)[1])["seq"]]
        heard.set()
        thread.join()
        for _ in range(5):  # it is live, and has asked for what was before
            last = storm(circusd, 1)
            while seen[-1] < last:
                seen.append(json.loads(next(messages)[1])["seq"])
        last = storm(circusd, STORM)  # nobody reads meanwhile
        while seen[-1] < last:
            topic, message = next(messages)
            assert topic == b"watcher.w.gust"
            seen.append(json.loads(message)["seq"])
    assert seen == list(range(seen[0], last + 1))


def test_a_consumer_without_the_commands_endpoint_hears_what_arrives(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    over = threading.Event()

    def blow() -> None:
        while not over.is_set():
            storm(circusd, 1)

    thread = threading.Thread(target=blow)
    thread.start()
    try:
        with CircusConsumer(["watcher.w"], endpoint=circusd.pubsub_endpoint) as consumer:
            topic, message = next(iter(consumer))
    finally:
        over.set()
        thread.join()
    assert topic == b"watcher.w.gust"
    assert b'"seq"' in message


def test_a_plugin_by_hand_lives_on_when_circusd_is_started_anew(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    recorder_section(circusd)
    heard = record(circusd)
    log = (circusd.folder / "by-hand.log").open("wb")
    plugin = subprocess.Popen(
        [
            *(sys.executable, "-m", "circus.cli.plugin", "--endpoint", circusd.endpoint),
            *("--pubsub", circusd.pubsub_endpoint, "--config", f"file:{heard.path}"),
            f"{circusd.folder}/recorder.py:Recorder",
        ],
        stdout=log,
        stderr=log,
    )
    try:
        wait_until(lambda: heard.resyncs, "it has begun")
        first = storm(circusd, 10)
        heard.wait_for(first)
        assert circusd.process is not None
        circusd.process.kill()
        circusd.process.wait(DEADLINE)
        for pid in circusd.descendants():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not circusd.descendants(), "nothing of it is left")
        circusd.launch()
        circusd.wait_until_ready()
        wait_until(lambda: len(heard.resyncs) == 2, "it was told how everything is")
        last = storm(circusd, 5)
        wait_until(lambda: heard.events[-5:] == list(range(last - 4, last + 1)), "it hears on")
        assert is_alive(plugin.pid)
        plugin.send_signal(signal.SIGINT)
        assert plugin.wait(DEADLINE) == 0
    finally:
        plugin.kill()
        plugin.wait()
        log.close()
