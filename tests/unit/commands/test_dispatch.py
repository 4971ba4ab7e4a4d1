"""Every request that there can be gets the one reply that clients know."""

from __future__ import annotations

import asyncio
import json
import logging
import pwd
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circus.commands import lookup, names
from circus.commands.base import ADMIN, OPERATOR, VIEWER
from circus.commands.dispatch import Dispatcher
from circus.exc import CommandFailed, UnknownCommand
from circus.protocol import MESSAGE_LIMIT
from tests.unit.commands.standin import StandInArbiter, StandInWatcher

Ask = Callable[..., dict[str, Any]]


def arbiter() -> Any:
    return StandInArbiter(StandInWatcher("Web", numprocesses=2), StandInWatcher("single", singleton=True))


def replies_to(dispatcher: Dispatcher, payload: bytes) -> list[dict[str, Any]]:
    """Every reply to one payload, those that come later too."""
    replies: list[bytes] = []

    async def run() -> None:
        dispatcher.handle(payload, replies.append)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*others), 10)

    asyncio.run(run())
    return [json.loads(reply) for reply in replies]


def asker(dispatcher: Dispatcher) -> Ask:
    def ask(command: str, **properties: Any) -> dict[str, Any]:
        message = {"command": command, "properties": properties, "id": "x"}
        (reply,) = replies_to(dispatcher, json.dumps(message).encode())
        assert reply["id"] == "x"
        assert isinstance(reply["time"], float)
        return reply

    return ask


@pytest.fixture
def ask() -> Ask:
    return asker(Dispatcher(arbiter()))


# What is no request.


@pytest.mark.parametrize(
    ("payload", "errno", "reason"),
    [
        (b"", 1, "json invalid"),
        (b"no json", 1, "json invalid"),
        (b"\xff\xfe\x00", 1, "json invalid"),
        (b"[" * 100_000, 1, "json invalid"),
        (b"[1]", 1, "json invalid: a request is an object with the key 'command'"),
        (b"{}", 3, "message invalid 'command' is missing"),
        (b'{"command": 5}', 3, "message invalid 'command' is missing"),
        (b'{"command": "list", "properties": 3}', 3, "message invalid 'properties' isn't a valid object"),
        (b'{"command": "NoSuch"}', 2, "unknown command: 'NoSuch'"),
        (b'{"command": "base"}', 2, "unknown command: 'base'"),
        (b'{"command": "../list"}', 2, "unknown command: '../list'"),
    ],
)
def test_what_is_no_request_gets_an_error(payload: bytes, errno: int, reason: str) -> None:
    (reply,) = replies_to(Dispatcher(arbiter()), payload)
    assert (reply["status"], reply["errno"], reply["reason"], reply["tb"], reply["id"]) == (
        "error",
        errno,
        reason,
        None,
        None,
    )
    assert set(reply) == {"status", "errno", "reason", "tb", "id", "time"}


def test_a_request_that_is_too_large_gets_an_error() -> None:
    (reply,) = replies_to(Dispatcher(arbiter()), b'{"command": "list", "x": "' + b"y" * MESSAGE_LIMIT + b'"}')
    assert reply["errno"] == 3
    assert str(MESSAGE_LIMIT) in reply["reason"]


@pytest.mark.parametrize("id", [None, 0, 1.5, "text", [1, {"a": None}], {"x": "\ud800"}])
def test_the_id_comes_back(id: Any) -> None:
    (reply,) = replies_to(Dispatcher(arbiter()), json.dumps({"command": "list", "id": id}).encode())
    assert reply["id"] == id


def test_an_id_that_is_nested_too_deeply_does_not_cost_the_reply() -> None:
    for depth in (100, 500, 900, 980):
        payload = b'{"command": "list", "id": ' + b"[" * depth + b"]" * depth + b"}"
        (reply,) = replies_to(Dispatcher(arbiter()), payload)
        assert reply["status"] in ("ok", "error")


def test_a_cast_gets_no_reply(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = Dispatcher(arbiter())
    assert replies_to(dispatcher, b'{"command": "list", "msg_type": "cast"}') == []
    with caplog.at_level(logging.WARNING, "circus"):
        assert replies_to(dispatcher, b'{"command": "list", "msg_type": "cast", "properties": {"name": "no"}}') == []
    assert "program no not found" in caplog.text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(["Web", "single", "no", "*", ""]) | _JSON
_PROPERTIES = st.dictionaries(
    st.sampled_from(["name", "cmd", "options", "waiting", "nb", "pid", "signum", "match", "keys", "since", "limit"]),
    _NAMES,
)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_get_one_reply(payload: bytes) -> None:
    (reply,) = replies_to(Dispatcher(arbiter()), payload)
    assert reply["status"] == "error"


# What the stand-in cannot do is left to the tests with a daemon; stats and dstats read real processes.
_TRIED = sorted(
    set(names())
    - set("stats dstats listsockets plan quit reload reloadconfig events rm snapshot plugins explain status".split())
)


@given(st.sampled_from(_TRIED) | st.text(max_size=8), _PROPERTIES | _JSON, _JSON)
@settings(deadline=None)
def test_any_properties_get_one_reply(command: str, properties: Any, id: Any) -> None:
    payload = json.dumps({"command": command, "properties": properties, "id": id}).encode()
    (reply,) = replies_to(Dispatcher(arbiter()), payload)
    if reply["status"] == "error":
        assert set(reply) == {"status", "errno", "reason", "tb", "id", "time"}
        assert reply["errno"] in (2, 3, 4, 5, 6)
        assert "circusd's log" not in reply["reason"], reply["reason"]


# Errors.


def test_the_log_tells_what_changed_something(caplog: pytest.LogCaptureFixture, ask: Ask) -> None:
    caplog.set_level(logging.INFO, "circus")
    ask("stop", name="Web")
    ask("set", name="Web", options={"env": {"PASSWORD": "secret"}})
    ask("quit")
    ask("stop", name="x\n2026-01-01 forged")
    for query in ("status", "list", "numprocesses"):
        ask(query, name="Web")
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("command ")]
    assert told == ["command stop Web", "command set Web", "command quit", "command stop 'x\\n2026-01-01 forged'"]
    assert "secret" not in caplog.text


def test_a_defect_is_logged_and_told_without_a_traceback(caplog: pytest.LogCaptureFixture, ask: Ask) -> None:
    reply = ask("listsockets")
    assert (reply["errno"], reply["tb"]) == (5, None)
    assert "ZeroDivisionError: a defect" in reply["reason"]
    assert "Traceback" in caplog.text


def test_with_debug_the_reply_has_the_traceback() -> None:
    reply = asker(Dispatcher(arbiter(), debug=True))("listsockets")
    assert "Traceback" in reply["tb"]


def test_what_the_system_refuses_has_its_text(ask: Ask) -> None:
    reply = ask("signal", name="web", signum=99)
    assert (reply["errno"], reply["reason"]) == (4, "[Errno 22] Invalid argument")


def test_a_command_that_fails_after_it_began() -> None:
    async def fail() -> dict[str, Any]:
        raise CommandFailed("web: exec: no such program")

    class Failing(StandInWatcher):
        def start(self) -> Any:
            intent = super().start()
            intent.wait = fail  # type: ignore[method-assign]
            return intent

    failing: Any = StandInArbiter(Failing("web"))
    reply = asker(Dispatcher(failing))("start", name="web", waiting=True)
    assert (reply["errno"], reply["reason"]) == (6, "web: exec: no such program")


def test_a_command_that_returns_no_object(monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    async def nothing(*arguments: Any) -> None:
        return None

    def later(*arguments: Any) -> Awaitable[None]:
        return nothing()

    monkeypatch.setattr(type(lookup("list")), "execute", later)
    reply = ask("list")
    assert (reply["errno"], reply["reason"]) == (6, "server error")


# Properties.


@pytest.mark.parametrize(
    ("command", "properties", "reason"),
    [
        ("incr", {}, "message invalid 'name' is missing"),
        ("incr", {"name": None}, "message invalid 'name' is missing"),
        ("incr", {"name": 5}, "message invalid 'name' isn't a text"),
        ("incr", {"name": "Nope"}, "program Nope not found"),
        ("incr", {"name": "web", "nb": "z"}, "message invalid 'nb' isn't an integer"),
        ("incr", {"name": "web", "nb": True}, "message invalid 'nb' isn't an integer"),
        ("incr", {"name": "web", "waiting": "maybe"}, "message invalid 'waiting' isn't a boolean"),
        ("stop", {"name": None}, "message invalid 'name' isn't a text"),
        ("add", {"name": "x"}, "message invalid 'cmd' is missing"),
        ("add", {"name": "", "cmd": "true"}, "message invalid 'name' is empty"),
        ("add", {"name": "x", "cmd": "true", "options": {"nope": 1}}, "unknown key 'nope'"),
        ("add", {"name": "x", "cmd": "true", "options": {"numprocesses": "2"}}, "'numprocesses' isn't an integer"),
        ("get", {"name": "web", "keys": ["nope"]}, "'nope' option not found"),
        ("globaloptions", {"option": "nope"}, "'nope' not an existing option"),
        ("kill", {"name": "web", "signum": "nosuch"}, "signal invalid"),
        ("kill", {"name": "web", "signum": 99}, "signal invalid"),
        ("kill", {"name": "web", "pid": "x"}, "message invalid 'pid' isn't a process id"),
        ("kill", {"name": "nosuch"}, "program nosuch not found"),
        ("signal", {"name": "web"}, "message invalid 'signum' is missing"),
        ("signal", {"name": "web", "signum": "nosuch"}, "signal invalid"),
        ("signal", {"name": "web", "signum": 1, "childpid": 5}, "message invalid 'childpid' needs 'pid'"),
        ("listen", {}, "invalid message. use a pub/sub socket"),
        ("stats", {"name": "web", "process": "x"}, "message invalid 'process' isn't a process id"),
        ("set", {"name": "web", "options": {"numprocesses": True}}, "'numprocesses' isn't an integer"),
    ],
)
def test_wrong_properties_get_errno_3(ask: Ask, command: str, properties: dict[str, Any], reason: str) -> None:
    reply = ask(command, **properties)
    assert (reply["status"], reply["errno"], reply["reason"], reply["tb"]) == ("error", 3, reason, None)


def test_digits_and_flags_may_come_as_texts() -> None:
    watched = arbiter()
    asker(Dispatcher(watched))("kill", name="WEB", pid="101", signum="usr1", graceful_timeout="1.5", waiting="true")
    assert watched.get_watcher("web").calls == [("kill", 101, 10, 1.5)]


def test_names_have_no_letter_case(ask: Ask) -> None:
    assert ask("LIST", name="wEB")["pids"] == [101, 102]
    assert ask("numprocesses", name="wEB")["watcher_name"] == "wEB"


# Replies.


def test_replies_of_queries(ask: Ask) -> None:
    assert ask("list")["watchers"] == ["single", "web"]
    assert ask("status")["statuses"] == {"Web": "active", "single": "active"}
    assert ask("status", name="web")["status"] == "active"
    assert ask("numprocesses")["numprocesses"] == 4
    assert ask("numwatchers")["numwatchers"] == 2
    assert ask("get", name="web", keys=["cmd", "numprocesses"])["options"] == {"cmd": "sleep 60", "numprocesses": 2}
    assert ask("globaloptions", option="check_delay")["options"] == {"check_delay": 5.0}
    assert set(ask("globaloptions")["options"]) == {
        "endpoint",
        "stats_endpoint",
        "pubsub_endpoint",
        "check_delay",
        "multicast_endpoint",
    }
    assert ask("ipython")["shell"] is False


def test_incr_and_decr(ask: Ask) -> None:
    assert ask("incr", name="web")["seq"] == 7
    assert ask("decr", name="web", nb=9, waiting=True)["numprocesses"] == 0
    assert ask("incr", name="web", nb=-4, waiting=True)["numprocesses"] == 0
    reply = ask("incr", name="single")
    assert (reply["numprocesses"], reply["singleton"]) == (1, True)


def test_add_has_the_processes_at_the_top_of_its_reply(ask: Ask) -> None:
    reply = ask("add", name="new", cmd="true", start=True, waiting=True)
    assert (reply["started"], reply["kept"]) == ([9], [])
    assert "info" not in reply
    reply = ask("add", name="NEW", cmd="true")
    assert (reply["errno"], reply["reason"]) == (5, "'NEW' already exist")


def test_clients_may_add_a_limited_number_of_watchers() -> None:
    watched = arbiter()
    dispatcher = Dispatcher(watched)
    dispatcher.added_limit = 3
    ask = asker(dispatcher)
    for number in range(3):
        assert ask("add", name=f"w{number}", cmd="true")["status"] == "ok"
    reply = ask("add", name="w3", cmd="true")
    assert reply["errno"] == 5
    assert "limit" in reply["reason"]
    del watched.watchers["w0"]
    assert ask("add", name="w3", cmd="true")["status"] == "ok"


# endpoint_owner.

_USER = pwd.getpwuid(65534).pw_name


@pytest.fixture
def owned() -> Ask:
    watched: Any = StandInArbiter(StandInWatcher("mine", uid=_USER), StandInWatcher("theirs"))
    return asker(Dispatcher(watched, _USER))


def test_the_owner_adds_watchers_of_that_user_alone(owned: Ask) -> None:
    for options in ({}, {"uid": "root"}, {"uid": 0}, {"uid": 65534}, {"uid": None}):
        reply = owned("add", name="x", cmd="true", options=options)
        assert (reply["errno"], reply["reason"]) == (3, "uid does not match endpoint_owner"), options
    assert owned("add", name="x", cmd="true", options={"uid": _USER})["status"] == "ok"


@pytest.mark.parametrize(
    "options", [{"cmd": "sh"}, {"env": {"LD_PRELOAD": "x"}}, {"args": "x"}, {"numprocesses": 1}, {"hooks": {}}]
)
def test_the_owner_changes_no_watcher_of_another_user(owned: Ask, options: dict[str, Any]) -> None:
    reply = owned("set", name="THEIRS", options=options)
    assert reply["errno"] == 3
    assert "owns this endpoint" in reply["reason"]


@pytest.mark.parametrize(
    "options",
    [
        {"uid": "root"},
        {"uid": 0},
        {"uid": None},
        {"gid": "root"},
        {"gid": 0},
        {"hooks": {"before_start": "os.abort"}},
        {"hooks.before_start": "os.abort"},
        {"stdout_stream": {"class": "FileStream", "filename": "/etc/passwd"}},
        {"stderr_stream.filename": "/etc/passwd"},
        {"rlimit_nofile": 100},
    ],
)
def test_what_the_owner_adds_or_changes_leads_to_no_other_rights(owned: Ask, options: dict[str, Any]) -> None:
    assert owned("set", name="mine", options=options)["status"] == "error"
    added = owned("add", name="x", cmd="true", options={"uid": _USER, **options})
    assert added["status"] == "error"
    assert owned("list")["watchers"] == ["mine", "theirs"]


def test_the_owner_changes_watchers_of_that_user(owned: Ask) -> None:
    options = {"cmd": "sleep 5", "numprocesses": 2, "env": {"A": "b"}, "uid": _USER}
    assert owned("set", name="mine", options=options)["status"] == "ok"


# Declarations.


@pytest.mark.parametrize("name", names())
def test_every_command_is_declared(name: str) -> None:
    command = lookup(name.upper())
    assert command.name == name
    assert command.role in (VIEWER, OPERATOR, ADMIN)
    summary = (command.__doc__ or "").strip().partition("\n")[0]
    assert summary and summary[0].isupper()
    assert command.usage().startswith(name)


def test_what_is_no_command_is_not_found() -> None:
    with pytest.raises(UnknownCommand):
        lookup("arguments")
