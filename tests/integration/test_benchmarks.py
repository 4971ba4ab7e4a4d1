"""The benchmark measures, reports and leaves nothing behind; what it measures is not judged here."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tools, written
from benchmarks.births import Births

REPOSITORY = Path(__file__).parents[2]


def run(tmp_path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", "--quick", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "BENCH_CACHE": str(tmp_path)}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=50)


def test_every_start_gives_a_figure_in_table_and_json(tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    done = run(tmp_path, "--only", "start-100", "--peers", "floor", "--repeat", "2", "--json", str(target))
    assert done.returncode == 0, done.stderr
    figures = json.loads(target.read_text())["figures"]["start-100"]["floor"]
    assert len(figures) == 2
    assert all(figure > 0 for figure in figures)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("start of 100 workers")]
    assert "failed" not in line


def test_no_worker_outlives_it(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "mass-death", "--peers", "floor")
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    left = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            left.append(path.read_bytes())
    assert not [line for line in left if str(tmp_path).encode() in line]


def test_an_unknown_row_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "nonsense")
    assert done.returncode == 2
    assert "'nonsense' is none of answer, start-100" in done.stderr


def test_all_that_fast_writers_write_is_found_in_the_files(tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    done = run(tmp_path, "--only", "log-1,log-50", "--peers", "ours,cat,floor", "--json", str(target))
    assert done.returncode == 0, done.stderr
    figures = json.loads(target.read_text())["figures"]
    for row in ("log-1", "log-50"):
        assert figures[f"{row}-wrong"] == {"ours": [0], "cat": [0], "floor": [0]}
        assert all(figures[f"{row}-rate"][peer][0] > 0 for peer in ("ours", "cat", "floor"))


def test_commands_are_timed_while_output_is_captured(tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    done = run(tmp_path, "--only", "log-1-commands", "--peers", "ours,cat", "--json", str(target))
    assert done.returncode == 0, done.stderr
    figures = json.loads(target.read_text())["figures"]
    for peer in ("ours", "cat"):
        taken = [figures[f"log-1-commands-{part}"][peer][0] for part in ("p50", "p99", "max")]
        assert 0 < taken[0] <= taken[1] <= taken[2]


@pytest.fixture(params=["native", "interpreted"])
def log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three blocks of a writer in two files, rotated in the middle of a line."""
    monkeypatch.setattr("benchmarks.tools.CACHE", tmp_path)
    if request.param == "interpreted":
        monkeypatch.setattr("shutil.which", lambda _: None)
    gate, births, folder = tmp_path / "gate", Births(tmp_path / "births"), tmp_path / "logs" / "1"
    os.mkfifo(gate)
    folder.mkdir(parents=True)
    command = [*tools.build().writer, str(tmp_path / "births"), str(gate), "blocks", "3"]
    with (folder / "out.log.1").open("wb") as output, subprocess.Popen(command, stdout=output) as writer:
        try:
            births.wait(1, 20)
            with gate.open("wb"):
                births.wait(1, 20)
        finally:
            writer.kill()
            births.close()
    text = (folder / "out.log.1").read_bytes()
    (folder / "out.log.1").write_bytes(text[:100_000])
    (folder / "out.log").write_bytes(text[100_000:])
    return folder


def wrong(log: Path) -> int:
    return written.wrong_bytes(log.parent, [int((log / "out.log.1").read_bytes()[:8])], 3)


def test_what_a_writer_has_written_is_right(log: Path) -> None:
    assert written.size(log.parent) == 3 * written.BLOCK
    assert wrong(log) == 0


def test_a_lost_a_doubled_and_a_displaced_line_are_found(log: Path) -> None:
    file = log / "out.log.1"
    text = file.read_bytes()
    line = written.LINE
    file.write_bytes(text[:line] + text[2 * line :])
    assert wrong(log) == line
    file.write_bytes(text[:line] + text)
    assert wrong(log) == line
    file.write_bytes(text[line : 2 * line] + text[:line] + text[2 * line :])
    assert wrong(log) > 0
    file.write_bytes(text[: 3 * line] + text[4 * line - 1 :])
    assert wrong(log) >= line


def test_a_writer_of_whom_nothing_was_kept_is_missed(log: Path) -> None:
    pid = int((log / "out.log.1").read_bytes()[:8])
    assert written.wrong_bytes(log.parent, [pid, pid + 1], 3) == 3 * written.BLOCK
    (log / "out.log.1").write_bytes(b"")
    assert written.wrong_bytes(log.parent, [pid], 3) > written.BLOCK
