"""Who is whose child, seen on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from circus.kernel import tree
from tests.support import is_alive, wait_until

# Starts a child in its session and one that leaves it, prints all pids, and waits until its stdin ends.
FAMILY = """
import os, subprocess, sys
nap = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
near = subprocess.Popen(nap, stdout=subprocess.PIPE)
nested = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); p.wait()"
far = subprocess.Popen(
    [sys.executable, "-c", nested, *nap], stdout=subprocess.PIPE, start_new_session=True, env={"CIRCUS_MARK": "other"}
)
near.stdout.readline()
grandchild = int(far.stdout.readline())
print(near.pid, far.pid, grandchild, flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["listed by the kernel", "one scan"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to find children: the second one where the kernel has no list."""
    listed = request.param == "listed by the kernel"
    if listed and not os.path.exists("/proc/thread-self/children"):
        pytest.skip("this kernel does not list children (CONFIG_PROC_CHILDREN)")
    monkeypatch.setattr(tree, "_has_children_file", listed)
    monkeypatch.setattr(tree, "_table", tree._Table())


@contextmanager
def family() -> Iterator[tuple[int, int, int, int]]:
    """A process, its child in the same session, its child in another session, and that one's child."""
    command = [sys.executable, "-c", FAMILY]
    env = {**os.environ, "CIRCUS_MARK": "boot.1.1.1,boot.2.2.2"}
    parent = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, env=env
    )
    assert parent.stdin and parent.stdout
    near = far = grandchild = 0
    try:
        near, far, grandchild = map(int, parent.stdout.readline().split())
        yield parent.pid, near, far, grandchild
    finally:
        for pid in filter(None, (grandchild, far, near, parent.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        parent.stdin.close()
        parent.stdout.close()
        parent.wait()


@pytest.mark.usefixtures("way")
def test_children_and_descendants() -> None:
    with family() as (parent, near, far, grandchild):
        assert set(tree.children(parent)) == {near, far}
        assert tree.children(far) == [grandchild]
        assert tree.children(grandchild) == []
        found = tree.descendants(parent)
        assert sorted(found) == sorted([near, far, grandchild])
        assert found.index(far) < found.index(grandchild)
        assert parent in tree.own_children()
        assert not {near, far, grandchild} & set(tree.own_children())
        assert parent not in tree.own_children(known={parent})


@pytest.mark.usefixtures("way")
def test_a_process_that_is_gone_has_no_children() -> None:
    with family() as (parent, _, _, _):
        tree.children(parent)
    assert tree.children(parent) == []
    assert tree.descendants(parent) == []
    assert parent not in tree.own_children()


def test_children_that_left_are_not_taken_from_an_old_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_has_children_file", False)
    monkeypatch.setattr(tree, "_REUSE", 1e9)
    monkeypatch.setattr(tree, "_table", tree._Table())
    with family() as (parent, near, far, grandchild):
        assert sorted(tree.descendants(parent)) == sorted([near, far, grandchild])
        os.kill(far, signal.SIGKILL)
        assert os.waitid(os.P_PID, parent, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        wait_until(lambda: not is_alive(far), "it has ended")
        assert grandchild not in tree.descendants(parent)


def test_the_kernel_s_list_is_read_for_every_thread(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form of the files, also where this kernel has none."""
    for thread, listed in (("10", "12 11 "), ("20", ""), ("21", "30 ")):
        folder = os.path.join(tmp_path, "10", "task", thread)
        os.makedirs(folder)
        with open(os.path.join(folder, "children"), "w", encoding="ascii") as file:
            file.write(listed)
    monkeypatch.setattr(tree, "_PROC", os.fspath(tmp_path))
    monkeypatch.setattr(tree, "_has_children_file", True)
    assert tree.children(10) == [11, 12, 30]
    assert tree.children(99) == []


def test_sessions() -> None:
    with family() as (parent, near, far, grandchild):
        assert [tree.session_of(pid) for pid in (parent, near, far, grandchild)] == [parent, parent, far, far]
    assert tree.session_of(parent) is None


def test_marks_are_inherited() -> None:
    with family() as (parent, near, far, grandchild):
        while any(map(tree.is_starting, (near, far, grandchild))):
            os.sched_yield()
        assert tree.marks_of(parent) == tree.marks_of(near) == "boot.1.1.1,boot.2.2.2"
        assert tree.marks_of(far) == tree.marks_of(grandchild) == "other"
    assert tree.marks_of(parent) == ""


def test_a_process_without_marks_is_told_from_one_that_starts() -> None:
    processes = [subprocess.Popen(["sleep", "50"], env={"CIRCUS_MARK": "b.1.1.1"}) for _ in range(30)]
    starting = {process.pid: tree.is_starting(process.pid) for process in processes}
    unmarked = [pid for pid in starting if not tree.marks_of(pid)]
    for process in processes:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not tree.is_starting(process.pid)
        process.wait()
        assert not tree.is_starting(process.pid)
    assert all(starting[pid] for pid in unmarked)


def test_marks_that_may_not_be_read() -> None:
    """A kernel thread has no environment, and pid 1 is not for everybody; neither is an error."""
    assert tree.marks_of(2) == ""
    assert isinstance(tree.marks_of(1), str)


def test_start_time() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin
    began = tree.start_time(process.pid)
    assert began is not None
    assert began >= (tree.start_time(os.getpid()) or 0) > 0
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert tree.start_time(process.pid) == began
    assert process.pid in tree.own_children()
    process.wait()
    assert tree.start_time(process.pid) is None


def test_a_name_with_blanks_and_parentheses() -> None:
    code = "open('/proc/self/comm', 'w').write('a) Z (b 1'); print(flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        assert (tree.start_time(process.pid) or 0) >= (tree.start_time(os.getpid()) or 0)
        assert process.pid in tree.own_children()
        process.stdin.write(b"\n")
