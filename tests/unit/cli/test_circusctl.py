"""circusctl as people and scripts use it: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from circus import __version__
from circus.commands import names
from tests.unit.fakes import Responder

CIRCUSCTL = [sys.executable, "-m", "circus.cli.circusctl"]
_REPLIES: dict[str, dict[str, Any]] = {
    "status": {"statuses": {"web": "active", "Db": "stopped"}},
    "list": {"watchers": ["db", "web"]},
    "numprocesses": {"numprocesses": 3},
    "options": {"options": {"env": {"B": "2", "A": "1"}, "uid": None, "cmd": "sleep"}},
    "globaloptions": {"options": {"check_delay": 5.0}},
    "listsockets": {
        "sockets": [
            {"fd": 4, "name": "a", "host": "localhost", "port": 80, "backlog": 1},
            {"fd": 5, "name": "b", "path": "/s"},
        ]
    },
    "dstats": {"info": {"pid": 9, "cmdline": "circusd", "cpu": 0.0}},
    "stats": {
        "infos": {
            "web": {
                "10": {"pid": 10, "cmdline": "x", "children": [{"pid": 11, "cmdline": "y"}]},
                "9": "No such process",
            }
        }
    },
    "incr": {"numprocesses": 4},
    "decr": {"numprocesses": 1, "singleton": True},
    "stop": {},
    "plan": {"steps": ["add watcher new"]},
    "start": {"status": "error", "reason": "program x not found", "errno": 3, "tb": None},
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    return {"status": "ok", "time": 100.0, **_REPLIES.get(request["command"], {"status": "error", "reason": "no"})}


@pytest.fixture
def server() -> Iterator[Responder]:
    with Responder(answer) as responder:
        yield responder


def ctl(*words: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        [*CIRCUSCTL, *words], capture_output=True, text=True, timeout=30, env=environment, check=False, **options
    )


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ("status", "Db: stopped\nweb: active\n"),
        ("list", "db,web\n"),
        ("numprocesses", "3\n"),
        ("options web", "cmd: sleep\nenv: A=1,B=2\nuid: \n"),
        ("globaloptions", "check_delay: 5.0\n"),
        ("listsockets", "4:socket 'a' at localhost:80\n5:socket 'b' at /s\n"),
        ("dstats", "Main Process:\n    9  circusd N/A N/A N/A N/A 0.0 N/A N/A\n"),
        (
            "stats",
            "web:\n9: No such process\n10: 10  x N/A N/A N/A N/A N/A N/A N/A\n    11  y N/A N/A N/A N/A N/A N/A N/A\n",
        ),
        ("incr web --waiting", "4\n"),
        ("decr web", "This watcher is a Singleton - not changing the number of processes\n"),
        ("stop web --waiting", "ok\n"),
        ("plan", "add watcher new\n"),
        ("reloadconfig --dry-run", "add watcher new\n"),
    ],
)
def test_scripts_read_plain_text(server: Responder, words: str, output: str) -> None:
    run = ctl("--endpoint", server.endpoint, *words.split())
    assert (run.stdout, run.stderr, run.returncode) == (output, "", 0)


def test_the_endpoint_may_stand_in_the_environment(server: Responder) -> None:
    assert ctl("list", env={"CIRCUSCTL_ENDPOINT": server.endpoint}).stdout == "db,web\n"


def test_an_error_of_the_daemon(server: Responder) -> None:
    run = ctl("--endpoint", server.endpoint, "start", "x")
    assert (run.stdout, run.stderr, run.returncode) == ("", "error: program x not found\n", 3)
    run = ctl("--endpoint", server.endpoint, "start", "x", "--json")
    assert (json.loads(run.stdout)["errno"], run.stderr, run.returncode) == (3, "", 3)


def test_json(server: Responder) -> None:
    run = ctl("--endpoint", server.endpoint, "list", "--json")
    assert (json.loads(run.stdout)["watchers"], run.stdout.count("\n"), run.returncode) == (["db", "web"], 1, 0)
    pretty = ctl("--endpoint", server.endpoint, "list", "--json", "--prettify").stdout
    assert pretty == json.dumps(json.loads(pretty), indent=2, sort_keys=True) + "\n"


@pytest.mark.parametrize("mode", [[], ["--json"]])
def test_exit_status_without_a_daemon(tmp_path: Path, mode: list[str]) -> None:
    run = ctl("--endpoint", f"ipc://{tmp_path}/no", "--timeout", "0.2", "status", *mode)
    assert (run.stdout, run.returncode) == ("", 1)
    assert run.stderr.startswith("error: no circusd at ipc://")
    with Responder(lambda _: None) as silent:
        run = ctl("--endpoint", silent.endpoint, "--timeout", "0.2", "status", *mode)
    assert (run.stdout, run.returncode) == ("", 1)
    assert run.stderr.startswith("error: Timed out after 0.2 s: circusd at ipc://")


@pytest.mark.parametrize("mode", [[], ["--json"]])
@pytest.mark.parametrize(
    "words", ["nosuch", "list --nosuch", "incr", "incr web x", "--endpoint nonsense list", "help nosuch"]
)
def test_exit_status_of_wrong_usage(words: str, mode: list[str]) -> None:
    run = ctl(*words.split(), *mode)
    assert (run.stdout, run.returncode) == ("", 2)
    assert run.stderr and "Traceback" not in run.stderr


def test_wrong_usage_shows_the_usage() -> None:
    assert ctl("incr").stderr == "Invalid number of arguments\nusage: circusctl incr NAME [NB] [--waiting]\n"


@pytest.mark.parametrize("reply", [b"no json", b"[1]", b'{"status": "ok", "id": null}'])
def test_a_strange_answer_is_no_traceback(reply: bytes) -> None:
    with Responder(lambda _: reply) as strange:
        run = ctl("--endpoint", strange.endpoint, "--timeout", "2", "list")
    assert run.returncode in (1, 2)
    assert run.stderr and "Traceback" not in run.stderr


def test_output_that_nobody_reads() -> None:
    code = " ".join([*CIRCUSCTL, "help"]) + " | true; exit ${PIPESTATUS[0]}"
    run = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (run.stderr, run.returncode) == ("", 0)


# Help.


def test_version() -> None:
    assert ctl("--version").stdout == f"circusctl {__version__}\n"


def test_help_lists_every_command() -> None:
    output = ctl("--help").stdout
    assert ctl("help").stdout == output
    for name in names():
        assert f"\n  {name} " in output


@pytest.mark.parametrize("name", [*names(), "help", "completion"])
def test_every_command_has_help(name: str) -> None:
    run = ctl(name, "--help")
    assert run.returncode == 0
    assert run.stdout.startswith("usage: circusctl ")
    assert "``" not in run.stdout


@pytest.mark.parametrize("words", [["help"], ["help", "stop"], ["help", "register"]], ids=" ".join)
def test_help_fits_the_terminal(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in ctl(*words).stdout.splitlines()[1:] if len(line) > 80] == []


def test_help_of_a_command() -> None:
    output = ctl("help", "kill").stdout
    assert output == ctl("kill", "--help").stdout
    assert output.startswith("usage: circusctl kill NAME [PID] [--signum SIGNUM] [--graceful-timeout")
    assert "\nEnd one process of a watcher, or all of them\n" in output
    assert "\n  -n, --lines LINES  " in ctl("help", "logs").stdout


# Completion.


def complete(line: str, endpoint: str = "tcp://127.0.0.1:1") -> list[str]:
    words = line.split(" ")
    env = {
        "AUTO_COMPLETE": "1",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "CIRCUSCTL_ENDPOINT": endpoint,
    }
    run = ctl(env=env)
    assert (run.stderr, run.returncode) == ("", 1)
    return run.stdout.split()


def test_completion_of_commands_and_options() -> None:
    assert complete("circusctl st") == ["start", "stats", "status", "stop"]
    assert complete("circusctl start --w") == ["--waiting"]
    assert complete("circusctl logs web -") == sorted(
        complete("circusctl status -") + "--follow --lines --stderr -f -n".split()
    )
    assert complete("circusctl logs -n ") == complete("circusctl logs --lines ") == []
    assert complete("circusctl --end") == ["--endpoint"]
    assert complete("circusctl start x --match g") == ["glob"]
    assert complete("circusctl help inc") == ["incr"]
    assert complete("circusctl completion ") == ["bash", "fish", "zsh"]
    assert complete("circusctl kill web --signum US") == ["USR1", "USR2"]


def test_words_may_stand_one_a_line(server: Responder) -> None:
    """As zsh and fish send them, whose words may have blanks."""
    env = {"AUTO_COMPLETE": "1", "COMP_WORDS": "circusctl\nlist\nD", "COMP_CWORD": "2"}
    assert ctl(env={**env, "CIRCUSCTL_ENDPOINT": server.endpoint}).stdout == "db\n"
    env["COMP_WORDS"] = "circusctl\nset\nsome name\nc"
    assert ctl(env={**env, "COMP_CWORD": "3", "CIRCUSCTL_ENDPOINT": server.endpoint}).stdout == "cmd\n"


def test_completion_asks_the_daemon(server: Responder) -> None:
    assert complete("circusctl start w", server.endpoint) == ["web"]
    assert complete("circusctl set web c", server.endpoint) == ["cmd"]
    assert complete("circusctl set web cmd ", server.endpoint) == []
    assert complete("circusctl get web cmd e", server.endpoint) == ["env"]
    assert complete(f"circusctl --endpoint {server.endpoint} list d") == ["db"]
    assert complete("circusctl start w") == []


def test_completion_waits_for_a_daemon_that_has_much_to_do() -> None:
    def slow(request: dict[str, Any]) -> dict[str, Any] | None:
        time.sleep(1)
        return {"status": "ok", "watchers": ["web"]}

    with Responder(slow) as busy, Responder(lambda request: None) as silent:
        assert complete("circusctl start w", busy.endpoint) == ["web"]
        assert complete("circusctl start w", silent.endpoint) == []


def interactive_bash(server: Responder, folder: Path) -> pexpect.spawn[str]:
    program = folder / "circusctl"
    program.write_text(f'#!/bin/sh\nexec {" ".join(CIRCUSCTL)} "$@"\n')
    program.chmod(0o755)
    script = folder / "completion"
    script.write_text(ctl("completion", "bash").stdout)
    env = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "CIRCUSCTL_ENDPOINT": server.endpoint,
        "INPUTRC": "/dev/null",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
    }
    bash = pexpect.spawn("bash", ["--norc", "--noprofile"], env=env, timeout=20, encoding="utf-8", dimensions=(24, 200))
    bash.sendline(f"PS1='$ '; bind 'set enable-bracketed-paste off'; . {script}; printf 're%s\\n' ady")
    bash.expect_exact("ready\r\n$ ")
    return bash


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("circusctl start w", "start web "),
        ("circusctl start plugin:f", "start plugin:flapping "),
        ("circusctl start gr", "start größe\\ im\\ kasten "),
        ("circusctl start größe\\ i", "start größe\\ im\\ kasten "),
        ('circusctl start "größe i', 'start "größe im kasten" '),
        ("circusctl --endpoint {endpoint} start w", "start web "),
        ("true; circusctl stop --mat", "stop --match "),
    ],
)
def test_bash_completes(tmp_path: Path, typed: str, completed: str) -> None:
    def many(request: dict[str, Any]) -> dict[str, Any] | None:
        return {"status": "ok", "watchers": ["größe im kasten", "plugin:flapping", "plugin:x", "web"]}

    with Responder(many) as server:
        bash = interactive_bash(server, tmp_path)
        bash.send(typed.replace("{endpoint}", server.endpoint) + "\t")
        bash.expect_exact(completed)
        bash.close(force=True)  # what is typed while a terminal takes in Ctrl-C is lost, or joined with what was there


def test_scripts_for_shells() -> None:
    assert ctl("completion", "zsh").stdout.startswith("#compdef circusctl\n")
    assert "circusctl completion zsh > " in ctl("help", "completion").stdout
    assert "complete -c circusctl" in ctl("completion", "fish").stdout
    assert ctl("completion").returncode == ctl("completion", "tcsh").returncode == 2


# On a terminal.


def on_terminal(*words: str, env: dict[str, str] | None = None, timeout: float = 20) -> pexpect.spawn[str]:
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **(env or {})}
    return pexpect.spawn(
        CIRCUSCTL[0], [*CIRCUSCTL[1:], *words], env=environment, timeout=timeout, encoding="utf-8", dimensions=(40, 160)
    )


_DETAILS = {
    "web": {
        "state": "active",
        "detail": "degraded",
        "reason": "ports:\n in use",
        "wanted": 3,
        "running": 2,
        "restarts": 4,
        "processes": [{"pid": 10, "since": 40.0}, {"pid": 11, "since": 90.0}, {"pid": None, "since": None}],
    },
    "Db": {"state": "stopped", "detail": "", "reason": "", "wanted": 0, "running": 0, "restarts": 0, "processes": []},
}


def detailed(request: dict[str, Any]) -> dict[str, Any] | None:
    if request["command"] == "status" and request["properties"].get("detail"):
        return {"status": "ok", "time": 100.0, "statuses": {}, "details": _DETAILS}
    return answer(request)


@pytest.mark.parametrize("no_color", ["", "1"])
def test_status_is_a_table(no_color: str) -> None:
    with Responder(detailed) as server:
        child = on_terminal("--endpoint", server.endpoint, "status", env={"NO_COLOR": no_color})
        child.expect(pexpect.EOF)
        child.close()
    assert child.exitstatus == 0
    assert ("\x1b[" in child.before) == (not no_color)
    plain = child.before.replace("\x1b[0m", "")
    for code in ("1", "31", "90"):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert plain.splitlines() == [
        "NAME  STATE              PROCESSES  RESTARTS  AGE    PIDS   REASON",
        "Db    stopped            0/0        0         -      -",
        "web   active (degraded)  2/3        4         1m00s  10 11  ports: in use",
    ]


def test_a_daemon_without_details_gets_plain_lines(server: Responder) -> None:
    child = on_terminal("--endpoint", server.endpoint, "status")
    child.expect(pexpect.EOF)
    child.close()
    assert child.before == "Db: stopped\r\nweb: active\r\n"


def test_progress_is_counted() -> None:
    looks = []

    def slow(request: dict[str, Any]) -> dict[str, Any] | None:
        """The command is done once somebody has looked twice."""
        if request["command"] == "start":
            looks.append(request)
            return None
        looks.append(request)
        if len(looks) == 4:
            server.late(looks[0], {"status": "ok"})
        return detailed(request)

    with Responder(slow) as server:
        child = on_terminal("--endpoint", server.endpoint, "start", "web", "--waiting")
        child.expect("start: 2/3 processes")
        child.expect("ok\r\n")
        child.expect(pexpect.EOF)
        child.close()
    assert child.exitstatus == 0


def test_the_console(server: Responder, tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path), "INPUTRC": "/dev/null"}
    child = on_terminal("--endpoint", server.endpoint, env=env)
    child.expect_exact(f"circusctl {__version__}\r\nDb: stopped\r\nweb: active\r\n")
    child.expect_exact("(circusctl) ")
    for line, output in (
        ("numpr\t", "3\r\n"),
        ("list", "db,web\r\n"),
        ("options w\t", "cmd: sleep\r\n"),
        ("numprocesses D\t--js\t", '"status": "ok"'),
        ("start x", "error: program x not found\r\n"),
        ("nosuch", "unknown command 'nosuch'"),
        ("incr", "Invalid number of arguments"),
        ('list "', "close each quotation mark"),
        ("help incr", "usage: circusctl incr"),
    ):
        child.sendline(line)
        child.expect_exact(output)
        child.expect_exact("(circusctl) ")
    child.sendintr()
    child.expect_exact("(circusctl) ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    history = tmp_path / "circusctl_history"
    assert "options web" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_the_console_reads_from_a_pipe(server: Responder) -> None:
    run = ctl("--endpoint", server.endpoint, input="list\n\nnosuch\nnumprocesses")
    assert run.returncode == 0
    assert run.stdout == (
        f"circusctl {__version__}\nDb: stopped\nweb: active\n"
        "(circusctl) db,web\n(circusctl) (circusctl) (circusctl) 3\n(circusctl) \n"
    )


def test_the_console_opens_without_a_daemon(tmp_path: Path) -> None:
    run = ctl("--endpoint", f"ipc://{tmp_path}/no", "--timeout", "0.2", input="help incr\n")
    assert "no circusd" in run.stderr
    assert "usage: circusctl incr" in run.stdout


# Internals of the table that a daemon seldom shows.
@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0s"), (0.44, "0.4s"), (12.9, "12s"), (185, "3m05s"), (7800, "2h10m"), (442800, "5d03h")],
)
def test_durations(seconds: float, text: str) -> None:
    from circus.commands.explain import duration

    assert duration(seconds) == text
