"""Streams of watchers: how they change, and what is wrong with one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from circus.config import load
from circus.config.schema import WatcherSettings
from circus.exc import ConfigError, MessageError

FILE = {"class": "FileStream", "filename": "/var/log/w", "max_bytes": "9"}


def changed(options: dict[str, object], **before: dict[str, str]) -> WatcherSettings:
    settings, effects = WatcherSettings(name="w", **before).with_options(options)
    assert effects == {"stream"}
    return settings


def test_another_class_leaves_behind_what_it_does_not_know() -> None:
    settings = changed({"stdout_stream.class": "WatchedFileStream"}, stdout_stream=FILE)
    assert settings.stdout_stream == {"class": "WatchedFileStream", "filename": "/var/log/w"}
    settings = changed({"stdout_stream.class": "StdoutStream"}, stdout_stream=FILE)
    assert settings.stdout_stream == {"class": "StdoutStream"}
    settings = changed({"stdout_stream.class": "my.Stream"}, stdout_stream=FILE)
    assert settings.stdout_stream == {**FILE, "class": "my.Stream"}


def test_a_whole_stream_takes_the_place_of_the_one_before() -> None:
    settings = changed({"stdout_stream": {"filename": "/var/log/x", "mode": "600"}}, stdout_stream=FILE)
    assert settings.stdout_stream == {"class": "FileStream", "filename": "/var/log/x", "mode": "600"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stdout_stream.class": "FileStrem"}, ["'stdout_stream.class'", "did you mean 'FileStream'"]),
        ({"stdout_stream.class": "a..b"}, ["'stdout_stream.class'", "is no path"]),
        ({"stdout_stream.class": "FileStream"}, ["'stdout_stream.class'", "needs filename"]),
        ({"stdout_stream.class": "./own.py:Stream"}, ["'stdout_stream.class'", "relative to nothing"]),
        ({"stderr_stream.color": "red"}, ["'stderr_stream.color'", "no class"]),
        ({"stderr_stream": {**FILE, "max_bytes": "x"}}, ["'stderr_stream.max_bytes'", "'x'"]),
        ({"stdout_stream.filename": "/x", "stdout_stream.max_bytes": -1}, ["'stdout_stream.max_bytes'"]),
    ],
)
def test_what_is_wrong_with_a_stream_is_the_answer(options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(MessageError) as failure:
        WatcherSettings(name="w").with_options(options)
    assert all(word in str(failure.value) for word in words), failure.value
    with pytest.raises(MessageError):
        WatcherSettings.from_options("w", "x", options)


def test_options_that_go_together_are_not_judged_one_by_one() -> None:
    """While a reload is under way, those that need no new processes are told apart."""
    options = {"cmd": "new", "stdout_stream.class": "FileStream", "stdout_stream.filename": "/x"}
    assert WatcherSettings(name="w").without_reload(options).keys() == options.keys() - {"cmd"}


def test_options_that_go_together_may_come_in_any_order() -> None:
    changed({"stdout_stream.max_bytes": 3, "stdout_stream.filename": "/x"})


def test_what_was_there_before_is_not_judged_again() -> None:
    settings = WatcherSettings(name="w", stdout_stream={"class": "LeftBehind"})
    assert settings.with_options({"priority": 3})[0].priority == 3


def test_a_class_in_a_file_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("class Stream:\n    def __call__(self, data): pass\n")
    (tmp_path / "w.ini").write_text(
        "[watcher:w]\ncmd = w\nstdout_stream.class = ./own.py:Stream\nstderr_stream.class = own.py:Strem\n"
    )
    (watcher,) = load(str(tmp_path / "w.ini")).watchers
    assert watcher.stdout_stream == {"class": f"{tmp_path}/own.py:Stream"}
    assert os.path.isabs(watcher.stderr_stream["class"])
    with pytest.raises(ConfigError) as failure:
        load(str(tmp_path / "w.ini"), check_paths=True)
    (fault,) = failure.value.faults
    assert (fault.line, fault.option) == (4, "stderr_stream.class")
    assert "has no attribute 'Strem'" in fault.message


def test_what_runs_streams_has_none_itself(tmp_path: Path) -> None:
    (tmp_path / "w.ini").write_text("[plugin:streams]\nstdout_stream.class = StdoutStream\n")
    with pytest.raises(ConfigError, match="would write to itself"):
        load(str(tmp_path / "w.ini"))
    with pytest.raises(MessageError, match="would write to itself"):
        WatcherSettings(name="plugin:streams").with_options({"stdout_stream.class": "StdoutStream"})
