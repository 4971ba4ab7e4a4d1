"""Dead children, collected."""

from __future__ import annotations

import os
import subprocess

from circus.kernel.reaper import Reaper


def test_a_defect_of_one_listener_leaves_no_other_child_uncollected() -> None:
    defects: list[BaseException] = []
    ended: list[tuple[int, int]] = []

    def fail(pid: int, exit_code: int) -> None:
        raise LookupError(pid)

    def note(pid: int, exit_code: int) -> None:
        ended.append((pid, exit_code))

    children = [subprocess.Popen(["sh", "-c", f"exit {code}"]) for code in range(6)]
    reaper = Reaper(note, lambda _, error: defects.append(error))
    for child in children:
        reaper.watch(child.pid, fail if child in children[::2] else note)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        child.returncode = 0  # the reaper collects it, not Popen
    reaper.drain()
    assert sorted(ended) == sorted((child.pid, code) for code, child in enumerate(children) if code % 2)
    assert [type(error) for error in defects] == [LookupError] * 3
