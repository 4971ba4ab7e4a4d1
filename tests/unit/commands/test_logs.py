"""What the command logs asks for, and what it says of output that is not captured."""

from __future__ import annotations

from typing import Any

import pytest

from circus.commands.logs import COMMAND
from circus.exc import MessageError
from tests.unit.commands.standin import StandInArbiter, StandInWatcher

FILE = {"stdout_stream.class": "FileStream", "stdout_stream.filename": "/x"}
JOINED = {**FILE, "stderr_stream.class": "stdout"}


def uncaptured(options: dict[str, Any], **properties: Any) -> Any:
    reply = ask(StandInArbiter(StandInWatcher("web", **options)), name="web", **properties)  # type: ignore[arg-type]
    return reply.get("uncaptured")


def ask(arbiter: Any, **properties: Any) -> dict[str, Any]:
    reply = COMMAND.execute(arbiter, COMMAND.check(properties))
    assert isinstance(reply, dict)
    return reply


def test_what_is_asked_for() -> None:
    arbiter = StandInArbiter(StandInWatcher("web"), StandInWatcher("db"))
    assert ask(arbiter)["logs"] == [
        {"watcher": name, "lines": 10, "only": "", "pieces": False} for name in ("db", "web")
    ]
    asked = ask(arbiter, name="WEB", lines="3", stderr=True, pieces=True)
    assert asked["logs"] == [{"watcher": "web", "lines": 3, "only": "stderr", "pieces": True}]
    assert asked["boot"] == "abc"


@pytest.mark.parametrize(
    ("options", "stderr", "text"),
    [
        ({}, False, "its output is not captured and goes where circusd's own goes; set stdout_stream.class = StdoutS"),
        (
            {},
            True,
            "its standard error is not captured and goes where circusd's own goes; set stderr_stream.class = Std",
        ),
        (
            FILE,
            False,
            "its standard error is not captured and goes where circusd's own goes; set stderr_stream.class = s",
        ),
        (
            {"close_child_stdout": True, "close_child_stderr": True},
            False,
            "what it prints is thrown away: unset close_",
        ),
        ({"close_child_stderr": True}, False, "its standard output is not captured"),
    ],
)
def test_what_is_not_captured_is_told(options: dict[str, Any], stderr: bool, text: str) -> None:
    told = uncaptured(options, stderr=stderr)["web"]
    assert told.startswith(f"web: {text}")


@pytest.mark.parametrize(
    "options", [JOINED, {**FILE, "close_child_stderr": True}, {**FILE, "stderr_stream.class": "StdoutStream"}]
)
def test_what_is_captured_needs_no_words(options: dict[str, Any]) -> None:
    assert uncaptured(options) is None


def test_of_plugins_nothing_is_told_unless_they_are_asked_for() -> None:
    arbiter = StandInArbiter(StandInWatcher("plugin:x"), StandInWatcher("web"))
    assert list(ask(arbiter)["uncaptured"]) == ["web"]
    assert list(ask(arbiter, name="plugin:x")["uncaptured"]) == ["plugin:x"]


def test_a_number_of_lines_is_not_negative() -> None:
    with pytest.raises(MessageError, match="'lines' is -1; a number of 0 or more is needed"):
        COMMAND.check({"lines": -1})
