"""The command line of circus-plugin."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from circus import __version__
from circus.cli import plugin as module
from circus.cli.plugin import attribute, main
from circus.plugins.briefing import Briefing
from circus.plugins.loading import PluginError


@pytest.fixture
def ran(monkeypatch) -> list[Briefing]:
    """What would have been run."""
    runs: list[Briefing] = []
    monkeypatch.setattr(module, "run_plugin", lambda briefing: runs.append(briefing) or 0)
    monkeypatch.setattr(module.logs, "configure", lambda **options: None)
    return runs


def test_what_is_told_by_hand(ran: list[Briefing]) -> None:
    arguments = ["--endpoint", "ipc:///e", "--pubsub", "ipc:///p", "--check-delay", "2.5", "--ssh", "me@there"]
    arguments += ["--config", "a:b c:::url:http://x:80/:::empty:", "--log-level", "DEBUG", "--log-output", "/tmp/log"]
    assert main([*arguments, "pkg.mod:Class"]) == 0
    (briefing,) = ran
    assert (briefing.name, briefing.factory) == (f"plugin:pkg.mod:Class@{os.getpid()}", "pkg.mod:Class")
    assert (briefing.endpoint, briefing.pubsub_endpoint, briefing.ssh_server) == ("ipc:///e", "ipc:///p", "me@there")
    assert briefing.config == {"a": "b c", "url": "http://x:80/", "empty": ""}
    assert briefing.check_delay == 2.5
    assert briefing.log == {"level": "debug", "output": "/tmp/log"}
    assert (briefing.daemon, briefing.progress, briefing.boot) == (None, None, "")


def test_a_registered_name_and_defaults(ran: list[Briefing], monkeypatch) -> None:
    monkeypatch.setenv("CIRCUSCTL_ENDPOINT", "ipc:///mine")
    assert main(["statsd"]) == 0
    assert ran[0].factory == "circus.plugins.statsd:StatsdEmitter"
    assert (ran[0].name, ran[0].endpoint, ran[0].config) == (f"plugin:statsd@{os.getpid()}", "ipc:///mine", {})


@pytest.mark.parametrize(
    "arguments,reason",
    [
        (["statd"], "did you mean 'statsd'"),
        (["--config", "nonsense", "statsd"], "'nonsense' is no option; write KEY:VALUE"),
        (["--config", ":value", "statsd"], "is no option"),
    ],
)
def test_what_is_wrong_is_said(ran: list[Briefing], capsys, arguments: list[str], reason: str) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("circus-plugin: ")
    assert reason in error
    assert not ran


def test_the_form_for_circusd_is_not_for_people() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "circus.cli.plugin", "plugin:statsd"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 1
    assert "by hand, write circus-plugin statsd" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_version() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "circus.cli.plugin", "--version"], capture_output=True, text=True, timeout=30
    )
    assert ended.stdout == f"circus-plugin {__version__}\n"


def failing(monkeypatch, error: Exception, level: int, caplog) -> str:
    def run(briefing: Briefing) -> int:
        raise error

    monkeypatch.setattr("circus.plugins.runtime.run", run)
    caplog.set_level(level, "circus")
    briefing = Briefing(name="plugin:x", factory="x:Y", endpoint="e", pubsub_endpoint="p")
    assert module.run_plugin(briefing) == 1
    return str(caplog.text)


@pytest.mark.parametrize("theirs", [True, False])
@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_a_traceback_stands_in_the_log_where_it_helps(monkeypatch, caplog, theirs: bool, level: int) -> None:
    error: Any = PluginError("cannot be imported", theirs=theirs)
    error.__cause__ = ValueError("deep inside")
    text = failing(monkeypatch, error, level, caplog)
    assert "cannot be imported" in text
    assert ("deep inside" in text) == (theirs or level == logging.DEBUG)


def test_what_nobody_foresaw_is_logged(monkeypatch, caplog) -> None:
    assert "KeyError: 'odd'" in failing(monkeypatch, KeyError("odd"), logging.INFO, caplog)


def test_records_are_attributed_whatever_is_in_them(monkeypatch, caplog) -> None:
    before = logging.getLogRecordFactory()
    try:
        attribute("plugin:50%s")
        logging.getLogger("x").warning("%d %%", 3)
        logging.getLogger("x").warning("plain %d")
        logging.getLogger("x").warning({"an": "object"})
    finally:
        logging.setLogRecordFactory(before)
    assert [record.getMessage() for record in caplog.records] == [
        "plugin:50%s: 3 %",
        "plugin:50%s: plain %d",
        "plugin:50%s: {'an': 'object'}",
    ]
