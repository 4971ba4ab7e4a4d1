"""Real processes, read from /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from circus.stats.collector import summary
from circus.stats.sampling import Sampled
from tests.support import wait_until

SPIN = "import time\nwhile True: pass"
THREADED = (
    "import threading, time\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()\n"
)


@pytest.fixture
def spinning() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SPIN]) as process:
        yield process
        process.kill()


def cpu_time(pid: int) -> float:
    return Sampled(pid, keep_open=False).look(0.0).cpu_time


@pytest.mark.parametrize("keep_open", [True, False])
def test_a_busy_process(spinning: subprocess.Popen[bytes], keep_open: bool) -> None:
    sampled = Sampled(spinning.pid, keep_open=keep_open)
    sampled.look(time.monotonic())

    def is_busy() -> bool:
        return sampled.look(time.monotonic()).cpu > 0

    wait_until(is_busy, "it is seen to use the CPU")
    usage = sampled.usage
    assert usage is not None
    assert usage.rss > 1 << 20
    assert usage.vms >= usage.rss
    assert usage.threads == 1
    assert sampled.program == os.path.basename(sys.executable)
    sampled.close()


def test_threads_that_work_while_the_first_one_sleeps() -> None:
    with subprocess.Popen([sys.executable, "-c", f"{THREADED}time.sleep(1000)"]) as process:
        try:
            sampled = Sampled(process.pid)
            wait_until(lambda: sampled.look(time.monotonic()).threads == 2, "the thread is there")
            wait_until(lambda: sampled.look(time.monotonic()).cpu > 20, "its CPU is seen")
        finally:
            process.kill()
    sampled.close()


def test_who_has_worked_and_rests_is_at_zero_again(spinning: subprocess.Popen[bytes]) -> None:
    sampled = Sampled(spinning.pid)
    sampled.look(time.monotonic())
    wait_until(lambda: sampled.look(time.monotonic()).cpu > 0, "it works")
    assert json.loads(sampled.message(time.time()))["cpu"] > 0
    ticks = sampled.usage
    assert ticks is not None
    wait_until(lambda: cpu_time(spinning.pid) >= ticks.cpu_time + 0.1, "it works on")
    spinning.send_signal(19)
    os.waitid(os.P_PID, spinning.pid, os.WSTOPPED | os.WNOWAIT)
    # The look after it has stopped is still about the time in which it worked.
    assert sampled.look(time.monotonic() + 1.0).cpu > 0
    assert sampled.look(time.monotonic() + 2.0).cpu == 0
    assert json.loads(sampled.message(time.time()))["cpu"] == 0
    sampled.close()


@pytest.mark.parametrize("keep_open", [True, False])
def test_who_is_gone(keep_open: bool) -> None:
    process = subprocess.Popen(["sleep", "1000"])
    sampled = Sampled(process.pid, keep_open=keep_open)
    sampled.look(time.monotonic())
    process.kill()
    process.wait()
    with pytest.raises(ProcessLookupError):
        sampled.look(time.monotonic())
    sampled.close()
    with pytest.raises(ProcessLookupError):
        Sampled(process.pid)


def test_a_program_that_a_shell_makes_way_for() -> None:
    with subprocess.Popen(["sh", "-c", "read x; exec sleep 1000"], stdin=subprocess.PIPE) as process:
        try:
            sampled = Sampled(process.pid)
            sampled.look(time.monotonic())
            assert sampled.program == "sh"
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            wait_until(lambda: os.readlink(f"/proc/{process.pid}/exe").endswith("sleep"), "it is another program")
            sampled.look(time.monotonic())
            assert json.loads(sampled.message(time.time()))["cmdline"] == "sleep"
            sampled.close()
        finally:
            process.kill()


def test_the_keys_that_subscribers_know() -> None:
    sampled = Sampled(os.getpid(), "circusd")
    sampled.look(time.monotonic())
    now = time.time()
    message = json.loads(sampled.message(now))
    known = "pid cmdline username nice mem_info1 mem_info2 cpu mem ctime create_time age children subtopic name".split()
    assert set(known) <= set(message)
    assert (message["pid"], message["subtopic"], message["name"]) == (os.getpid(), os.getpid(), "circusd")
    assert message["mem_info1"].endswith("M")
    assert abs(now - message["age"] - message["create_time"]) < 0.01
    assert message["rss"] > 0
    total = summary([sampled], now)
    assert total["pid"] == [os.getpid()]
    assert total["mem"] == message["mem"]
    assert total["rss"] == message["rss"]
    sampled.close()


def test_a_watcher_without_processes() -> None:
    assert summary([], 0.0) == {"pid": [], "cpu": "N/A", "mem": "N/A", "age": "N/A", "rss": 0, "cpu_sum": 0.0}
