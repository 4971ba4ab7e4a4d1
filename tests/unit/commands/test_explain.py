"""How circusctl shows why a process has ended."""

from __future__ import annotations

from typing import Any

from circus.commands.events import event_line
from circus.commands.explain import COMMAND


def test_the_last_words_of_the_last_failure_stand_below_it() -> None:
    exits: list[dict[str, Any]] = [
        {"exit_code": 1, "output": ["the same before"]},
        {"exit_code": 2, "output": ["\x1b[31mTraceback\x1b[0m", "\tcaf\u00e9 \udcff \x1b]0;title\x07"]},
        {"exit_code": 0},
    ]
    processes = [{"wid": 1, "state": "backoff", "last_exits": exits}]
    assert COMMAND.render({"name": "web", "state": "active", "processes": processes}).splitlines() == [
        "web: active",
        "  slot 1: backoff",
        "    exit code 1",
        "    exit code 2",
        "      Traceback",
        "      \tcaf\u00e9 \\xff \\x1b]0;title\\x07",
        "    exit code 0",
    ]


def test_an_event_stays_a_line() -> None:
    line = event_line("watcher.web.reap", {"time": 0.0, "seq": 7, "exit_code": 1, "output": ["a", "b"]})
    assert line.endswith(" 7 watcher.web.reap exit_code=1 output=2 lines")
    assert event_line("watcher.web.reap", {"output": ["a"]}).endswith(" output=1 line")
