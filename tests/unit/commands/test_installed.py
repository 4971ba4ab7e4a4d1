"""Commands of distributions: what one has to be, and who is blamed if it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import circus.commands
import circus.hooks.registry
from circus.commands import dispatch, installed
from circus.commands.dispatch import Dispatcher
from circus.exc import UnknownCommand
from circus.hooks.registry import Registry
from circus.protocol import encode
from tests.installed import Installed
from tests.unit.commands.standin import StandInArbiter

UPTIME = '''
from circus.commands.base import Command, NAME, Property, VIEWER

class Uptime(Command):
    """Say how long"""

    name = "uptime"
    properties = (Property("name", "text", "the watcher", positional=True),)

    def execute(self, arbiter, properties):
        return {"endpoint": arbiter.endpoint}

    def render(self, reply):
        return f"at {reply['endpoint']}"

@hookimpl
def circus_register_commands():
    return [Uptime]
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a distribution with this text; return what is installed then."""
    site = Installed(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))

    def install(text: str, distribution: str) -> Registry:
        # Modules are cached by their names, so each has its own.
        site.add(distribution, text, version="2.1")
        found = Registry()
        for module in (circus.hooks.registry, installed, dispatch):
            monkeypatch.setattr(module, "registry", lambda: found)
        monkeypatch.setattr(circus.commands, "_installed", None)
        return found

    return install


def answer(**request: Any) -> dict[str, Any]:
    import json

    replies: list[bytes] = []
    Dispatcher(StandInArbiter()).handle(encode(request), replies.append)  # type: ignore[arg-type]
    (reply,) = replies
    found: dict[str, Any] = json.loads(reply)
    return found


def test_a_registered_command_is_one_of_the_protocol(install) -> None:
    install(UPTIME, "circus-trial-uptime")
    assert "uptime" in circus.commands.names()
    assert circus.commands.lookup("UpTime").usage() == "uptime [NAME]"
    assert circus.commands.origin("uptime") == "circus-trial-uptime 2.1"
    assert circus.commands.origin("status") == circus.commands.origin("nosuch") == ""
    assert circus.commands.problems() == []
    assert answer(command="uptime")["endpoint"] == StandInArbiter.endpoint
    assert "isn't a text" in answer(command="uptime", properties={"name": 3})["reason"]


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (1, ('name = "uptime"', 'name = "status"'), "circus has that name already"),
        (2, ('name = "uptime"', 'name = "help"'), "circus has that name already"),
        (3, ('name = "uptime"', 'name = "Up Time"'), "a name has lower-case letters"),
        (4, ("class Uptime(Command)", "class Uptime"), "circus_trial_bad4.Uptime is not derived from"),
        (5, ('"text"', '"txt"'), "the kind of name is 'txt'; text, integer"),
        (6, ("properties = (", "properties = (3, "), "3 among its properties is no Property"),
        (7, ('name = "uptime"', 'name = "uptime"\n    role = "root"'), "its role is 'root'; viewer, operator, admin"),
        (8, ('    """Say how long"""', ""), "it has no docstring"),
        (9, ('name = "uptime"', 'name = "uptime"\n    def __init__(self): 1 / 0'), "ZeroDivisionError"),
        (10, ("properties = (", "properties = 3 #"), "TypeError"),
    ],
)
def test_what_can_be_no_command_is_blamed_and_left_out(
    install, number: int, change: tuple[str, str], reason: str
) -> None:
    assert change[0] in UPTIME
    install(UPTIME.replace(*change), f"circus-trial-bad{number}")
    (problem,) = circus.commands.problems()
    assert problem.startswith(f"circus-trial-bad{number} 2.1: the command '")
    assert reason in problem
    assert circus.commands.names() == list(circus.commands.BUILT_IN)
    with pytest.raises(UnknownCommand):
        circus.commands.lookup("uptime")


@pytest.mark.parametrize("raised", ["1 / 0", "raise SystemExit(3)"])
def test_a_command_that_raises_is_blamed_in_the_log(install, raised: str, caplog: pytest.LogCaptureFixture) -> None:
    name = f"circus-trial-raising{len(raised)}"
    install(UPTIME.replace('return {"endpoint": arbiter.endpoint}', raised), name)
    assert answer(command="uptime")["status"] == "error"
    assert f"the command uptime met a defect of {name} 2.1" in caplog.text


RULES = """
@hookimpl
def circus_authorize(identity, command, target):
    {}
"""


@pytest.mark.parametrize(
    ("number", "body", "reason"),
    [
        (1, "return None", ""),
        (2, "return True", ""),
        (3, "return False", "status is refused by the access rules of circus-trial-rules3 2.1"),
        (
            4,
            "return False if (identity, command, target) == ('', 'status', 'web') else None",
            "is refused by the access",
        ),
        (5, "1 / 0", "status is refused, because the access rules of circus-trial-rules5 2.1 failed"),
        (6, "raise SystemExit", "because the access rules of circus-trial-rules6 2.1 failed"),
        (7, "return 'yes'", "because the access rules of circus-trial-rules7 2.1 failed"),
    ],
)
def test_hook_circus_authorize_may_refuse_a_command(
    install, number: int, body: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = install(RULES.format(body), f"circus-trial-rules{number}")
    assert found.has_rules
    reply = answer(command="Status", properties={"name": "web"})
    if reason:
        assert (reply["status"], reply["errno"]) == ("error", 3)
        assert reason in reply["reason"]
    else:
        assert reply["reason"] == "program web not found", "it was let through"
    assert (f"circus_authorize of circus-trial-rules{number} 2.1 failed" in caplog.text) == ("failed" in reason)


def test_the_first_answer_counts(install) -> None:
    install(RULES.format("return True"), "circus-trial-a")
    install(RULES.format("return False"), "circus-trial-b")
    assert answer(command="list")["status"] == "ok"
    install(RULES.format("return False").replace("@hookimpl", "@hookimpl(tryfirst=True)"), "circus-trial-c")
    assert "access rules of circus-trial-c 2.1" in answer(command="list")["reason"]


def test_without_rules_nobody_is_asked() -> None:
    assert not Registry().has_rules
