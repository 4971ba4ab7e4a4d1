"""Groups of real processes, with and without descriptors to spare."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from circus.stats.sampler import Processes, Sampler
from circus.stats.sampling import FILES


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Whoever opens something now is told that nothing is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Below what is open, so that nothing that is closed meanwhile makes room.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def sampler() -> Iterator[Sampler]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Sampler()
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def pids_of(sampler: Sampler, processes: Processes) -> list[int]:
    return [sampled.pid for sampled in sampler.look(processes, None, list(processes), time.monotonic())]


def test_files_stay_open_until_they_are_closed(sampler: Sampler, sleepers: list[subprocess.Popen[bytes]]) -> None:
    processes: Processes = dict.fromkeys(process.pid for process in sleepers)
    before = open_files()
    for _ in range(3):
        assert pids_of(sampler, processes) == list(processes)
        assert len(open_files()) == len(before) + FILES * len(sleepers)
    sleepers[0].kill()
    sleepers[0].wait()
    assert pids_of(sampler, processes) == list(processes)[1:]
    assert len(open_files()) == len(before) + FILES * 2
    for pid in processes:
        sampler.close(processes, pid)
        sampler.close(processes, pid)
    sampler.close(processes, 1)
    assert open_files() == before


def test_processes_that_live_shortly_leave_nothing_open(sampler: Sampler) -> None:
    before = open_files()
    for _ in range(50):
        with subprocess.Popen(["sleep", "0"]) as process:
            processes: Processes = {process.pid: None}
            sampler.look(processes, None, [process.pid], time.monotonic())
        sampler.look(processes, None, [process.pid], time.monotonic())
    assert open_files() == before


def test_without_descriptors_it_sees_what_is_open_already_and_recovers(
    sampler: Sampler, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    processes: Processes = {sleepers[0].pid: None}
    assert pids_of(sampler, processes)
    before = open_files()
    processes[sleepers[1].pid] = None
    with no_descriptor_left():
        seen = pids_of(sampler, processes)
    assert seen == [sleepers[0].pid]
    assert len(open_files()) == len(before) - FILES, "it has made room"
    assert pids_of(sampler, processes) == [process.pid for process in sleepers[:2]]
    assert len(open_files()) == len(before) - FILES, "and holds nothing any more"
