"""What a plugin is told when it starts, and how far it has come."""

from __future__ import annotations

import os
import sys

import pytest

from circus.plugins.briefing import PROGRESS_SIZE, Briefing, Progress, read_briefing


def descriptor_with(data: bytes) -> int:
    descriptor = os.memfd_create("test")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def test_a_briefing_is_read_and_what_it_does_not_know_is_passed_over() -> None:
    descriptor = descriptor_with(
        b'{"name": "plugin:x", "factory": "a:B", "endpoint": "e", "pubsub_endpoint": "p", "config": {"k": "\\u00fc"},'
        b' "progress": 7, "later": true}'
    )
    briefing = read_briefing(descriptor)
    os.close(descriptor)
    assert briefing == Briefing(
        name="plugin:x", factory="a:B", endpoint="e", pubsub_endpoint="p", config={"k": "ü"}, progress=7
    )
    assert "ü" not in repr(briefing), "options may be secret"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b'{"name": "plugin:x"}'])
def test_what_is_no_briefing(data: bytes) -> None:
    descriptor = descriptor_with(data)
    with pytest.raises((ValueError, TypeError)):
        read_briefing(descriptor)
    os.close(descriptor)


def test_a_successor_finds_how_far_the_last_one_came() -> None:
    descriptor = os.memfd_create("progress")
    os.ftruncate(descriptor, PROGRESS_SIZE)
    progress = Progress(descriptor)
    assert progress.seq == 0
    progress.seq = 1 << 40
    assert Progress(descriptor).seq == 1 << 40
    assert int.from_bytes(os.pread(descriptor, 8, 0), sys.byteorder) == 1 << 40, "as circusd reads it"
    os.close(descriptor)


def test_it_is_known_how_many_processes_have_ended_in_an_event() -> None:
    descriptor = os.memfd_create("progress")
    os.ftruncate(descriptor, PROGRESS_SIZE)
    assert [Progress(descriptor).begin(7) for _ in range(300)] == [*range(256), *[255] * 44]
    assert Progress(descriptor).begin(8) == 0, "another event"
    Progress(descriptor).seq = 8
    assert Progress(descriptor).begin(8) == 0, "it was finished, and comes again in another life of circusd"
    Progress(descriptor).leave()
    assert Progress(descriptor).begin(8) == 0, "the end was no fault of the event"
    large = (1 << 55) + 1
    assert [Progress(descriptor).begin(large) for _ in range(2)] == [0, 1]
    os.close(descriptor)


def test_without_a_descriptor_it_is_for_this_process_alone() -> None:
    progress = Progress(None)
    progress.seq = 3
    assert (progress.seq, Progress(None).seq) == (3, 0)
