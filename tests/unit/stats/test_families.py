"""Real processes and their children."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from circus.stats.families import Families
from tests.support import wait_until


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with two children, one of which has a child."""
    script = "sleep 1000 & sh -c 'sleep 1001 & wait' & wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as process:
        yield process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)


def children_of(families: Families, pid: int) -> list[dict[str, Any]]:
    families.find({pid})
    return [json.loads(child) for child in families.of(pid, time.monotonic(), time.time())]


def test_the_direct_children_as_long_as_they_are_there(parent: subprocess.Popen[bytes]) -> None:
    families = Families()
    wait_until(
        lambda: sorted(child["cmdline"] for child in children_of(families, parent.pid)) == ["sh", "sleep"],
        "both children are there",
    )
    children = children_of(families, parent.pid)
    assert all(child["children"] == [] and child["rss"] > 0 and child["age"] >= 0 for child in children)
    assert not any(key in child for child in children for key in ("subtopic", "name"))
    (sleep,) = (child["pid"] for child in children if child["cmdline"] == "sleep")
    os.kill(sleep, 9)
    wait_until(lambda: len(children_of(families, parent.pid)) == 1, "one is gone")


def test_a_child_that_has_gone_since_it_was_found(parent: subprocess.Popen[bytes]) -> None:
    families = Families()
    wait_until(lambda: len(children_of(families, parent.pid)) == 2, "both are there")
    os.killpg(parent.pid, 9)
    parent.wait()
    wait_until(lambda: families.of(parent.pid, time.monotonic(), time.time()) == [], "nothing is told of the dead")


def test_who_has_none(parent: subprocess.Popen[bytes]) -> None:
    families = Families()
    families.find({parent.pid})
    assert families.of(1, time.monotonic(), time.time()) == []
    families.rest()
    assert families.of(parent.pid, time.monotonic(), time.time()) == []
