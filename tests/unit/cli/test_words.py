"""The command line: options stand anywhere, and what is wrong is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from circus.cli.words import UsageError, parse


def message(line: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    invocation = parse(line.split())
    return invocation.word, invocation.message(), invocation.settings


@pytest.mark.parametrize(
    ("line", "word", "properties"),
    [
        ("list", "list", {}),
        ("LIST web", "list", {"name": "web"}),
        ("add web python -u a.py --flag", "add", {"name": "web", "cmd": "python -u a.py --flag"}),
        ("add --start web sleep -- 5", "add", {"name": "web", "cmd": "sleep -- 5", "start": True}),
        ("incr web 3 --waiting", "incr", {"name": "web", "nb": 3, "waiting": True}),
        ("incr --waiting web -3", "incr", {"name": "web", "nb": -3, "waiting": True}),
        ("--waiting incr web", "incr", {"name": "web", "waiting": True}),
        ("get web cmd env", "get", {"name": "web", "keys": ["cmd", "env"]}),
        ("kill web 12 --signum USR1", "kill", {"name": "web", "pid": 12, "signum": "USR1"}),
        ("kill web --graceful_timeout 1.5", "kill", {"name": "web", "graceful_timeout": 1.5}),
        ("kill web --graceful-timeout=2", "kill", {"name": "web", "graceful_timeout": 2.0}),
        ("reload --sequential", "reload", {"sequential": True, "graceful": True}),
        ("reload web --terminate", "reload", {"name": "web", "graceful": False}),
        ("start w* --match glob", "start", {"name": "w*", "match": "glob"}),
        ("rm web --nostop --waiting", "rm", {"name": "web", "nostop": True, "waiting": True}),
        ("signal web HUP", "signal", {"name": "web", "signum": "HUP"}),
        ("signal web 12 HUP --children", "signal", {"name": "web", "pid": 12, "signum": "HUP", "children": True}),
        ("stats web 12 --extended", "stats", {"name": "web", "process": 12, "extended": True}),
        ("events --since 7", "events", {"since": 7}),
        ("logs web -f -n 20", "logs", {"name": "web", "lines": 20}),
        ("-n20 logs --stderr", "logs", {"lines": 20, "stderr": True}),
        ("status -- --odd", "status", {"name": "--odd"}),
        ("reloadconfig --waiting", "reloadconfig", {"waiting": True}),
    ],
)
def test_a_line_becomes_a_request(line: str, word: str, properties: dict[str, Any]) -> None:
    assert message(line)[:2] == (word, properties)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("numprocesses", "3", 3),
        ("warmup_delay", "1", 1),
        ("graceful_timeout", "0.5", 0.5),
        ("max_age", "10", 10),
        ("retry_in", "2", 2),
        ("send_hup", "Yes", True),
        ("respawn", "off", False),
        ("stop_signal", "quit", 3),
        ("stop_signal", "15", 15),
        ("uid", "1000", 1000),
        ("uid", "www-data", "www-data"),
        ("env", "A=b,C=d=e", {"A": "b", "C": "d=e"}),
        ("hooks", "before_start:a.b,after_stop:c.d", {"before_start": "a.b", "after_stop": "c.d"}),
        ("hooks.before_start", "a.b,true", "a.b,true"),
        ("hooks.before_start", "./a.py:b,true", f"{Path.cwd()}/a.py:b,true"),
        ("rlimit_nofile", "100", 100),
        ("rlimit_nofile", "unlimited", None),
        ("stdout_stream.filename", "x.log", "x.log"),
        ("stdout_stream.class", "./a.py:B", f"{Path.cwd()}/a.py:B"),
        ("stderr_stream", "class=FileStream,filename=/x=y", {"class": "FileStream", "filename": "/x=y"}),
        ("cmd", "7", "7"),
        ("something.new", "1", "1"),
    ],
)
def test_set_converts_by_key(key: str, text: str, value: Any) -> None:
    properties = parse(["set", "web", key, text, "--waiting"]).message()
    assert properties == {"name": "web", "options": {key: value}, "waiting": True}
    assert type(properties["options"][key]) is type(value)


def test_options_of_circusctl_stand_anywhere() -> None:
    expected = {"endpoint": "tcp://h:1", "timeout": 2.5, "json": True, "ssh_keyfile": "k"}
    for line in (
        "--endpoint tcp://h:1 --timeout 2.5 --json --ssh-keyfile k list web",
        "list --json web --endpoint=tcp://h:1 --ssh_keyfile k --timeout=2.5",
    ):
        assert message(line) == ("list", {"name": "web"}, expected)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("stat", "unknown command 'stat'; did you mean"),
        ("xyzzy", "unknown command 'xyzzy'; 'circusctl help' lists what there is"),
        ("start --wating", "unknown option '--wating'; did you mean --waiting?"),
        ("--nostop start", "unknown option '--nostop'"),
        ("list -x", "unknown option '-x'"),
        ("list -n 5", "unknown option '-n'"),
        ("-f list", "unknown option '--follow'"),
        ("logs -fn", "-f takes no value"),
        ("logs -n", "-n needs a value"),
        ("logs -n many", "-n: LINES is 'many'; a whole number is needed"),
        ("list --timeout", "--timeout needs a value"),
        ("list --timeout soon", "--timeout: TIMEOUT is 'soon'; a number of 0 or more is needed"),
        ("list --timeout nan", "--timeout: TIMEOUT is 'nan'; a number of 0 or more is needed"),
        ("list --timeout -1", "--timeout: TIMEOUT is '-1'; a number of 0 or more is needed"),
        ("list --json=yes", "--json takes no value"),
        ("incr", "Invalid number of arguments"),
        ("incr web 1 2", "Invalid number of arguments"),
        ("incr web x", "NB is 'x'; a whole number is needed"),
        ("kill web x", "PID is 'x'; a whole number is needed"),
        ("add web", "Invalid number of arguments"),
        ("get web", "Invalid number of arguments"),
        ("signal web", "Invalid number of arguments"),
        ("set web numprocesses", "Invalid number of arguments"),
        ("set web numprocesses 1 cmd", "List of key/values is invalid"),
        ("set web numprocesses x", "numprocesses is 'x'; a whole number is needed"),
        ("set web graceful_timeout x", "graceful_timeout is 'x'; a number is needed"),
        ("set web rlimit_core x", "rlimit_core is 'x'; a whole number is needed, or 'unlimited'"),
        ("set web send_hup perhaps", "send_hup: 'perhaps' is not a boolean; write one of"),
        ("set web stop_signal nosuch", "stop_signal: 'nosuch' is not a signal; write a name"),
        ("set web env A", "env is 'A'; write it as A=b,C=d"),
        ("stats a b c", "message invalid"),
        ("status a b", "message invalid"),
        ("reload a b", "invalid number of arguments"),
    ],
)
def test_what_is_wrong_is_told(line: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        message(line)
    assert str(caught.value).startswith(reason)
