"""What a process uses, read from real ones."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys

import psutil

from circus.commands import procinfo

KEYS = {
    *("pid", "cmdline", "username", "nice", "mem_info1", "mem_info2"),
    *("cpu", "mem", "ctime", "create_time", "age", "children"),
}


def info_of(pid: int, *, children: bool = False) -> procinfo.Info:
    info = asyncio.run(procinfo.collect([pid], children=children))[pid]
    assert isinstance(info, dict), info
    return info


def test_a_process_has_every_key() -> None:
    info = info_of(os.getpid())
    assert set(info) == KEYS
    assert info["pid"] == os.getpid()
    assert info["username"] == psutil.Process().username()
    assert re.fullmatch(r"\d+(\.\d\d[KMGT]|B)", info["mem_info1"])
    assert re.fullmatch(r"\d+:\d\d\.\d\d", info["ctime"])
    assert info["age"] >= 0
    assert info["children"] == []


def test_cpu_is_counted_since_the_last_look() -> None:
    assert isinstance(info_of(os.getpid())["cpu"], float)
    end = sum(os.times()[:2]) + 0.2
    while sum(os.times()[:2]) < end:
        pass
    assert info_of(os.getpid())["cpu"] > 10


def test_direct_children_are_told() -> None:
    code = "import subprocess as s; c = s.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        (told,) = info_of(parent.pid, children=True)["children"]
        assert (told["pid"], told["cmdline"], told["children"]) == (child, "sleep", [])
        assert info_of(parent.pid)["children"] == []
    finally:
        os.kill(child, 9)
        parent.communicate()


def test_a_zombie_and_a_process_that_is_gone() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    info = info_of(process.pid)
    assert info["nice"] == "Zombie"
    process.wait()
    assert asyncio.run(procinfo.collect([process.pid], children=True)) == {process.pid: procinfo.GONE}
