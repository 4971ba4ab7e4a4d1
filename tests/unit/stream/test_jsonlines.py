"""Output as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.stream import JSONStream, Source

ERR = Source('wéb "1"', 3, 42, "stderr")


def objects(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.decode().splitlines()]


def test_each_line_is_an_object(tmp_path: Path) -> None:
    stream = JSONStream(str(tmp_path / "log"))
    stream.open()
    stream.write(ERR, b'say "hi"\t\\\n\n' + "ä€😀".encode() + b"\nbro\xffken \x00\x1b[31m\r\n")
    stream.write(ERR, memoryview(b"end"))
    stream.close()
    found = objects((tmp_path / "log").read_bytes())
    assert [item.pop("line") for item in found] == ['say "hi"\t\\', "", "ä€😀", "bro\ufffdken \x00\x1b[31m\r", "end"]
    now = datetime.now(UTC)
    for item in found:
        assert item.pop("time").endswith("Z") or pytest.fail("no time of UTC")
        assert item == {"watcher": ERR.watcher, "wid": 3, "pid": 42, "stream": "stderr"}
    (first, *_) = objects((tmp_path / "log").read_bytes())
    assert now - timedelta(minutes=1) < datetime.fromisoformat(first["time"]) <= now
    assert list(first) == ["time", "watcher", "wid", "pid", "stream", "line"]


def test_standard_output_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    stream = JSONStream()
    stream.open()
    stream.write(ERR, b"one\ntwo\n")
    assert not stream.flush()
    stream.close()
    assert [json.loads(line)["line"] for line in capfd.readouterr().out.splitlines()] == ["one", "two"]


def test_files_are_rotated_between_objects(tmp_path: Path) -> None:
    stream = JSONStream(str(tmp_path / "log"), max_bytes="1000", backup_count="50", mode="600")
    stream.open()
    for number in range(40):
        stream.write(ERR, b"%d\n" % number)
    stream.close()
    files = list(tmp_path.iterdir())
    assert len(files) > 4
    assert sorted(int(item["line"]) for file in files for item in objects(file.read_bytes())) == list(range(40))
    assert all(file.stat().st_size <= 1000 and file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_a_full_disk_is_a_loss() -> None:
    stream = JSONStream("/dev/full")
    stream.open()
    stream.write(ERR, b"one\ntwo\n")
    (loss,) = stream.take_losses().values()
    assert loss.lines == 2
    assert "No space" in loss.reason
    stream.close()


@given(st.binary())
def test_any_bytes_give_lines_that_can_be_read(data: bytes) -> None:
    written: list[bytes] = []
    stream = JSONStream()

    class Kept:
        def write(self, source: Source, text: bytes) -> None:
            written.append(text)

    stream._target = Kept()  # type: ignore[assignment]
    stream.write(ERR, data)
    lines = [item["line"] for item in objects(b"".join(written))]
    assert lines == [line.decode(errors="replace") for line in data.removesuffix(b"\n").split(b"\n")]
