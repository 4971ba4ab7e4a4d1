"""The benchmark measures, reports and leaves nothing behind; what it measures is not judged here."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

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
