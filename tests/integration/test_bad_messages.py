"""What comes in through the endpoints of real daemons: every fault is answered, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from circus import commands
from circus.commands.base import Property
from circus.config.schema import WATCHER
from circus.protocol import MESSAGE_LIMIT
from tests.seen import Seen, deaf, open_descriptors, resident
from tests.support import Circusd, Events, free_port, is_alive, wait_until

SLEEP = "cmd = sleep 300"
STUBBORN = "cmd = sh -c \"trap '' TERM; while :; do sleep 1; done\""
PATIENCE = 20_000
"""Milliseconds until a missing reply is a failure."""

Json = dict[str, Any]


@contextlib.contextmanager
def client(circusd: Circusd, kind: int = zmq.DEALER, **options: int) -> Iterator[zmq.Socket[bytes]]:
    """A socket that speaks to the daemon without the manners of a client library."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = context.socket(kind)
    for name, value in options.items():
        made.setsockopt(getattr(zmq, name), value)
    made.connect(circusd.endpoint)
    try:
        yield made
    finally:
        made.close(linger=0)
        context.term()


def receive(made: zmq.Socket[bytes]) -> Json:
    assert made.poll(PATIENCE), "no reply"
    reply: Json = json.loads(made.recv_multipart()[-1])
    return reply


def ask(circusd: Circusd, payload: bytes) -> Json:
    """Send bytes; return the reply."""
    with client(circusd) as made:
        made.send(payload)
        return receive(made)


def request(command: str, id: Any = None, **properties: Any) -> bytes:
    return json.dumps({"command": command, "properties": properties, "id": id}).encode()


GARBAGE = [
    b"",
    b" ",
    b"\0",
    b"\xff\xfe\x00garbage\x80",
    b"hello",
    b'{"command": "list"',
    b'{"command": "li',
    b'{"command": "list"}}',
    b'{"command": "list"} {"command": "list"}',
    b"{'command': 'list'}",
    b"\xef\xbb\xbf" + b"[" * 10,
    b"[" * 500_000,
    b'{"a":' * 100_000,
    b"9" * 10_000,
    b"1",
    b"null",
    b'"list"',
    b"[1]",
    b"[]",
    b"NaN",
]


def test_what_is_no_json_object_is_answered(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    for payload in GARBAGE:
        reply = ask(circusd, payload)
        found = (reply["status"], reply["errno"], reply["id"], reply["tb"], reply["reason"][:12])
        assert found == ("error", 1, None, None, "json invalid"), (payload[:40], reply)
    assert circusd.ok("list")["watchers"] == ["w"]
    circusd.assert_no_defect()


def test_a_request_without_its_parts_is_answered_with_its_id(circusd: Circusd) -> None:
    circusd.start("")
    messages: list[tuple[Json, str]] = [
        ({}, "'command'"),
        ({"command": None}, "'command'"),
        ({"command": 7}, "'command'"),
        ({"command": ["list"]}, "'command'"),
        ({"properties": {"name": "w"}}, "'command'"),
        ({"command": "list", "properties": []}, "'properties'"),
        ({"command": "list", "properties": "w"}, "'properties'"),
        ({"command": "list", "properties": 0}, "'properties'"),
    ]
    for message, reason in messages:
        reply = ask(circusd, json.dumps({**message, "id": "x1"}).encode())
        assert (reply["status"], reply["errno"], reply["id"]) == ("error", 3, "x1"), message
        assert reason in reply["reason"], message
    circusd.assert_no_defect()


def test_an_unknown_command(circusd: Circusd) -> None:
    circusd.start("")
    for name in ("nosuch", "", "list ", "../add", "__init__", "base", "dispatch", "NoSuch\n", "é" * 99):
        reply = ask(circusd, request(name, 5))
        assert (reply["status"], reply["errno"], reply["id"], reply["tb"]) == ("error", 2, 5, None)
        assert reply["reason"] == f"unknown command: {name!r}"
    circusd.assert_no_defect()


def test_letter_case_and_blanks_around_do_not_matter(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    assert ask(circusd, b' \n\t{"command": "LiSt"}\r\n ')["watchers"] == ["w"]


def test_an_id_of_any_type_comes_back(circusd: Circusd) -> None:
    circusd.start("")
    ids = [None, True, False, 0, -7, 2**80, 1.5, "", "é\n\0", "\ud800", [], [1, [2, None]], {}, {"a": {"b": [1]}}]
    for id in ids:
        good = ask(circusd, request("list", id))
        bad = ask(circusd, request("nosuch", id))
        assert (good["status"], good["id"], type(good["id"])) == ("ok", id, type(id))
        assert (bad["status"], bad["id"]) == ("error", id)


def test_an_id_that_is_nested_deeply_does_no_harm(circusd: Circusd) -> None:
    circusd.start("")
    for depth in (100, 500, 900, 950, 980, 990, 995, 1000, 1100):
        nested = b"[" * depth + b"]" * depth
        with client(circusd) as made:
            made.send(b'{"command": "list", "id": ' + nested + b"}")
            assert made.poll(PATIENCE), f"no reply at a depth of {depth}"
            reply = made.recv()
        assert b'"status":"ok"' in reply or b"json invalid" in reply
    circusd.assert_no_defect()


def test_properties_that_are_nested_deeply_do_no_harm(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    for key in ("env", "hooks", "hooks.before_start", "rlimit_nofile", "stdout_stream", "args", "numprocesses"):
        for depth in (100, 900, 960, 985):
            nested = b"[" * depth + b"]" * depth
            text = f'{{"command": "set", "properties": {{"name": "w", "options": {{"{key}": '.encode()
            assert ask(circusd, text + nested + b"}}}")["status"] in ("ok", "error")
    assert circusd.ok("list")["watchers"] == ["w"]


def test_a_req_socket_is_answered(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    with client(circusd, zmq.REQ) as made:
        for count in range(3):
            made.send(request("list", count))
            reply = receive(made)
            assert (reply["watchers"], reply["id"]) == (["w"], count)
        made.send(request("stop", 9, name="w", waiting=True))
        assert receive(made)["info"] is None


def test_a_request_in_more_frames_is_dropped_with_a_warning(circusd: Circusd) -> None:
    circusd.start("")
    with client(circusd) as made:
        made.send_multipart([b"", b"", request("list")])
        made.send_multipart([b"x", request("list")])
        made.send_multipart([b""] * 1000)
        made.send_multipart([request("list", 1)] * 3)
        made.send(request("list", "last"))
        assert receive(made)["id"] == "last"
    assert circusd.output().count("one frame with a JSON object is expected") == 4
    circusd.assert_no_defect()


def test_a_message_beyond_the_limit_is_answered(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    reply = ask(circusd, request("list", 1, padding="x" * (10 << 20)))
    assert (reply["status"], reply["errno"]) == ("error", 3)
    assert str(MESSAGE_LIMIT) in reply["reason"]
    assert ask(circusd, request("list", 1, padding="x" * (MESSAGE_LIMIT - 1000)))["status"] == "ok"


def test_whoever_sends_far_too_much_is_cut_off(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    assert circusd.process is not None
    before = resident(circusd.process.pid)
    with client(circusd) as made:
        made.send(b"x" * (80 << 20))
        assert circusd.ok("list")["watchers"] == ["w"]
        assert not made.poll(500)
    assert circusd.ok("list")["watchers"] == ["w"]
    assert resident(circusd.process.pid) - before < 40 << 20


@pytest.mark.parametrize("endpoint", ["endpoint", "pubsub_endpoint"])
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_bytes_that_are_not_of_this_protocol(circusd: Circusd, endpoint: str, transport: str) -> None:
    if transport == "tcp":
        circusd.endpoint, circusd.pubsub_endpoint = (f"tcp://127.0.0.1:{port}" for port in free_ports(2))
    circusd.start(f"[watcher:w]\n{SLEEP}")
    greeting = b"\xff" + b"\0" * 8 + b"\x7f\x03\0NULL" + b"\0" * 16 + b"\0" * 32
    ready = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"
    huge = b"\x02" + b"\x7f" + b"\xff" * 7
    held = []
    for raw in (
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        os.urandom(4096),
        b"\xff" * 10_000,
        greeting[:11],
        greeting,
        greeting + b"\x04\xff" + b"\xff" * 100,
        greeting + ready + huge + b"x" * 1000,
        greeting + ready + b"\x00\x01\x01" * 100,
        json.dumps({"command": "quit"}).encode(),
    ):
        for close in (True, False):
            made = connect_raw(getattr(circusd, endpoint))
            with contextlib.suppress(OSError):
                made.sendall(raw)
            if close:
                made.close()
            else:
                held.append(made)
    assert circusd.ok("list")["watchers"] == ["w"]
    events = circusd.subscribe()
    circusd.ok("restart", name="w")
    assert "spawn" in events.actions("w")
    for made in held:
        made.close()
    assert circusd.stop() == 0


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def connect_raw(endpoint: str) -> socket.socket:
    transport, _, place = endpoint.partition("://")
    if transport == "ipc":
        made = socket.socket(socket.AF_UNIX)
        made.connect(place)
        return made
    host, _, port = place.partition(":")
    return socket.create_connection((host, int(port)))


# Every command, every property.

WRONG: dict[str, list[Any]] = {
    "text": [1, 1.5, True, [], {}],
    "integer": ["z", "", 1.5, True, [], {}],
    "number": ["z", "", True, [], {}],
    "boolean": ["maybe", 2, 1.5, [], {}],
    "list": ["x", 1, True, {}],
    "object": ["x", 1, True, []],
    "text or list": [1, True, {}],
    "signal": [1.5, True, [], {}],
    "pid": ["z", "", 1.5, True, [], {}],
}
RIGHT: dict[str, Any] = {
    "name": "w",
    "cmd": "sleep 1",
    "keys": ["cmd"],
    "options": {},
    "signum": 0,
    "pid": 1,
    "action": "deployed",
    "plugin": "plugin:p",
    "sync": "0" * 32,
    "gate": 1,
    "allow": True,
}


def wrong_requests(command: str) -> Iterator[tuple[Property, Json]]:
    declared = commands.lookup(command).properties
    required = {item.name: RIGHT[item.name] for item in declared if item.required}
    if command == "add":
        required["name"] = "fresh"
    for item in declared:
        for value in WRONG[item.kind]:
            yield item, {**required, item.name: value}


def test_wrong_types_of_every_property_of_every_command(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2")
    before = circusd.wids("w")
    with client(circusd) as made:
        for command in commands.names():
            for item, properties in wrong_requests(command):
                made.send(request(command, "mine", **{"waiting": True, **properties}))
                reply = receive(made)
                found = (reply["status"], reply["errno"], reply["id"], reply["tb"])
                assert found == ("error", 3, "mine", None), (command, properties, reply)
                # Whatever is sent to "listen", the answer is how to listen.
                assert item.name in reply["reason"] or command == "listen", (command, properties, reply)
    assert circusd.wids("w") == before
    assert circusd.ok("list")["watchers"] == ["w"]
    circusd.assert_no_defect()


def test_a_required_property_that_is_missing_is_named(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    for command in commands.names():
        declared = [item for item in commands.lookup(command).properties if item.required]
        for missing in declared:
            present = {item.name: RIGHT[item.name] for item in declared if item is not missing}
            for properties in (present, {**present, missing.name: None}):
                reply = circusd.call(command, **properties)
                assert (reply["errno"], reply["reason"]) == (3, f"message invalid '{missing.name}' is missing")
    assert circusd.ok("list")["watchers"] == ["w"]


NAMED = [
    name
    for name in commands.names()
    if name != "add" and any(item.name == "name" for item in commands.lookup(name).properties)
]


def test_an_unknown_watcher(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    for command in NAMED:
        required = {item.name: RIGHT[item.name] for item in commands.lookup(command).properties if item.required}
        for name in ("nosuch", "", "w ", "NoSuch", "w\0", "\ud800"):
            for waiting in (False, True):
                reply = circusd.call(command, **{**required, "name": name, "waiting": waiting})
                assert (reply["status"], reply["errno"]) == ("error", 3), (command, name, reply)
                assert reply["reason"] == f"program {name} not found", (command, name, reply)
    circusd.assert_no_defect()


def test_wrong_types_of_every_option(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    before = circusd.ok("options", name="w")["options"]
    wrong: list[Any] = [[], [1], {"a": 1}]
    for key in sorted(row.name for row in WATCHER.values() if not row.prefix):
        for value in wrong if key != "args" else ():
            for reply in (
                circusd.call("set", name="w", options={"graceful_timeout": 7, key: value}),
                circusd.call("add", name="fresh", cmd="sleep 1", options={key: value}),
            ):
                assert (reply["status"], reply["errno"], reply["tb"]) == ("error", 3, None), (key, value, reply)
    assert circusd.ok("options", name="w")["options"] == before
    assert circusd.ok("list")["watchers"] == ["w"]
    circusd.assert_no_defect()


BIG = 10**30
EXTREME: list[tuple[str, Json]] = [
    ("signal", {"name": "w", "signum": BIG}),
    ("signal", {"name": "w", "signum": -1}),
    ("signal", {"name": "w", "signum": 99}),
    ("signal", {"name": "w", "signum": "9" * 40}),
    ("signal", {"name": "w", "signum": "__class__"}),
    ("signal", {"name": "w", "signum": 0, "pid": BIG}),
    ("signal", {"name": "w", "signum": 0, "pid": -1, "childpid": BIG}),
    ("signal", {"name": "w", "signum": 0, "childpid": 1}),
    ("kill", {"name": "w", "pid": BIG}),
    ("kill", {"name": "w", "pid": -1}),
    ("kill", {"name": "w", "signum": BIG}),
    ("kill", {"name": "w", "pid": 1, "graceful_timeout": 1e308}),
    ("kill", {"name": "w", "graceful_timeout": -1}),
    ("kill", {"name": "w", "graceful_timeout": float("nan")}),
    ("kill", {"name": "w", "graceful_timeout": float("inf")}),
    ("kill", {"name": "w", "graceful_timeout": 10**400}),
    ("stats", {"name": "w", "process": BIG}),
    ("stats", {"name": "w", "process": -1}),
    ("events", {"since": BIG}),
    ("events", {"since": -BIG, "limit": -BIG}),
    ("events", {"limit": BIG}),
    ("get", {"name": "w", "keys": [None, {}, []]}),
    ("list", {"name": "w" * 100_000}),
    ("stop", {"name": "(", "match": "regex"}),
    ("stop", {"name": "[", "match": "glob"}),
    ("stop", {"name": "x" * 100_000, "match": "regex"}),
    ("stop", {"name": "(" * 3000 + ")" * 3000, "match": "regex"}),
    ("stop", {"name": "a{4294967296}", "match": "regex"}),
    ("stop", {"name": "nosuch", "match": "__class__"}),
    ("globaloptions", {"option": "__dict__"}),
    ("decr", {"name": "w", "nb": -BIG}),
    ("incr", {"name": "w", "nb": BIG}),
    ("set", {"name": "w", "options": {"numprocesses": BIG}}),
    ("set", {"name": "w", "options": {"max_retry": -BIG}}),
    ("set", {"name": "w", "options": {"priority": 1.5}}),
    ("set", {"name": "w", "options": {"warmup_delay": float("nan")}}),
    ("set", {"name": "w", "options": {"graceful_timeout": float("inf")}}),
    ("set", {"name": "w", "options": {"graceful_timeout": 10**400}}),
    ("set", {"name": "w", "options": {"stop_signal": 0}}),
    ("set", {"name": "w", "options": {"stop_signal": BIG}}),
    ("set", {"name": "w", "options": {"uid": "nosuch\0user"}}),
    ("set", {"name": "w", "options": {"uid": "\ud800"}}),
    ("set", {"name": "w", "options": {"gid": "²"}}),
    ("set", {"name": "w", "options": {"gid": "\ud800"}}),
    ("set", {"name": "w", "options": {"rlimit_nosuch": 1}}),
    ("set", {"name": "w", "options": {"": 1}}),
    ("set", {"name": "w", "options": {"name": "other"}}),
    ("set", {"name": "w", "options": {"extra": {}}}),
    ("set", {"name": "w", "options": {"hooks.nosuch": "a.b"}}),
    ("set", {"name": "w", "options": {"env": {"A": 1}}}),
]


def test_extreme_values(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2\ngraceful_timeout = 0.5")
    before = circusd.wids("w")
    faults = []
    for command, properties in EXTREME:
        reply = circusd.call(command, **properties)
        if "log has the details" in str(reply.get("reason")):
            faults.append((command, properties, reply["reason"][:200]))
    assert not faults
    assert circusd.wids("w") == before
    assert circusd.ok("status", name="w")["status"] == "active"
    circusd.assert_no_defect()


def test_an_unknown_signal_is_an_error_and_nothing_is_sent(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    before = circusd.pids("w")
    for command in ("signal", "kill"):
        for signum in ("nosuch", "SIG", "", "TERM+", "²"):
            for waiting in (False, True):
                reply = circusd.call(command, name="w", signum=signum, waiting=waiting)
                assert (reply["errno"], reply["reason"], reply["tb"]) == (3, "signal invalid", None), (command, signum)
    assert circusd.pids("w") == before


# Names, commands and options that the system cannot take.

NAMES = ["a.b.c", "*", "watcher:x", "é ß", "x" * 5000, "..", "[", "$(circus.wid)", "%s"]


def names_in(events: Events, action: str) -> set[str]:
    """The watchers of which an event of that kind was seen, with the topic's underscores taken for blanks."""
    return {event.watcher.replace("_", " ") for event in events.of(action)}


def test_a_watcher_of_any_name(circusd: Circusd) -> None:
    circusd.start("")
    events = circusd.subscribe()
    for name in NAMES:
        circusd.ok("add", name=name, cmd="sleep 300", start=True)
        assert circusd.ok("list")["watchers"] == [name.lower()]
        assert circusd.ok("status", name=name)["status"] == "active"
        circusd.ok("restart", name=name, match="simple")
        circusd.ok("stop", name=name, match="simple")
        circusd.ok("rm", name=name)
        assert circusd.ok("list")["watchers"] == []
    removed = {name.lower() for name in NAMES}
    wait_until(lambda: removed <= names_in(events, "remove"), "each removal was published")
    circusd.assert_no_defect()


def test_a_name_that_cannot_be_shown_is_refused(circusd: Circusd) -> None:
    circusd.start("")
    events = circusd.subscribe()
    for name in ("\ud800", "a\0b", "a\nb", "\x1b[31m", "a\u202eb"):
        reply = circusd.call("add", name=name, cmd="sleep 300", start=True, waiting=True)
        assert (reply["status"], reply["errno"]) == ("error", 3), name
        assert repr(name) in reply["reason"], name
    assert circusd.ok("list")["watchers"] == []
    assert "a" not in {name[:1] for name in names_in(events, "add")}
    circusd.assert_no_defect()


def test_an_empty_name_is_refused(circusd: Circusd) -> None:
    circusd.start("")
    for name in ("", " ", "\t\n"):
        for waiting in (False, True):
            reply = circusd.call("add", name=name, cmd="sleep 1", waiting=waiting)
            assert (reply["status"], reply["errno"]) == ("error", 3)
            assert "'name' is empty" in reply["reason"]
    assert circusd.ok("list")["watchers"] == []


def test_a_name_that_exists_is_refused(circusd: Circusd) -> None:
    circusd.start(f"[watcher:Web]\n{SLEEP}")
    reply = circusd.call("add", name="wEB", cmd="sleep 1", start=True, waiting=True)
    assert (reply["status"], reply["errno"], reply["tb"]) == ("error", 5, None)
    assert reply["reason"].endswith("'wEB' already exist")
    assert circusd.ok("options", name="web")["options"]["cmd"] == "sleep 300"


IMPOSSIBLE: list[tuple[str, Json]] = [
    ("sl\0eep", {}),
    ("/bin/sl\0eep", {}),
    ("/bin/sleep", {"args": ["3\x000"]}),
    ("/bin/sleep", {"args": "3\x000"}),
    ("\ud800", {}),
    ("/\ud800", {}),
    ("sleep 300", {"args": "\ud800"}),
    ("sleep 300", {"working_dir": "/t\0mp"}),
    ("sleep 300", {"working_dir": "/\ud800"}),
    ("sleep 300", {"executable": "/bin/sl\0eep"}),
    ("sleep 300", {"env": {"A": "x\0y"}}),
    ("sleep 300", {"env": {"A\0B": "x"}}),
    ("sleep 300", {"env": {"A=B": "x"}}),
    ("sleep 300", {"env": {"PATH": "/\0:/bin"}}),
    ("sleep 300", {"env": {"PATH": "\ud800"}}),
    ("sleep 300", {"env": {"A": "\ud800"}}),
    ("sleep 300", {"env": {"\ud800": "x"}}),
    ("sleep 300\0", {"shell": True}),
    ("sleep 300", {"virtualenv": "/\0", "copy_env": True}),
    ("sleep 300", {"rlimit_nofile": 2**70}),
    ("'sleep", {}),
    ("   ", {}),
    ("", {}),
]


def test_texts_that_the_system_cannot_take(circusd: Circusd) -> None:
    circusd.start(f"[watcher:good]\n{SLEEP}")
    faults = []
    for number, (cmd, options) in enumerate(IMPOSSIBLE):
        reply = circusd.try_call(
            "add", 5, name=f"bad{number}", cmd=cmd, options={"max_retry": 2, **options}, start=True, waiting=True
        )
        if reply is None or reply["status"] != "error" or "log has the details" in reply["reason"]:
            faults.append((cmd, options, reply))
    assert not faults
    assert circusd.ok("status", name="good")["status"] == "active"
    circusd.assert_no_defect()


# Clients without manners.


def test_a_cast_is_never_answered(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    with client(circusd) as made:
        for message in (
            {"command": "list"},
            {"command": "nosuch"},
            {"command": "stop"},
            {"command": "stop", "properties": {"name": "nosuch"}},
            {"command": "start", "properties": {"name": "w", "waiting": True}},
            {"command": "incr", "properties": {"name": "w", "nb": "z", "waiting": True}},
        ):
            made.send_json({**message, "msg_type": "cast", "id": "cast"})
        made.send(request("list", "last"))
        assert receive(made)["id"] == "last"
        wait_until(lambda: circusd.ok("status", name="w")["status"] == "active", "the casts were carried out")
        assert not made.poll(100)
    assert "the command nosuch, for which nobody waits, failed" in circusd.output()
    assert "program nosuch not found" in circusd.output()


def test_replies_that_nobody_reads_cost_nothing(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 3")
    assert circusd.process is not None
    for _ in range(50):
        circusd.ok("options", name="w")
    before = resident(circusd.process.pid)
    descriptors = open_descriptors(circusd.process.pid)
    with client(circusd, SNDHWM=0, RCVHWM=1) as rude:
        for number in range(20_000):
            rude.send(request("options", number, name="w"))
        rude.send(request("incr", "last", name="w"))
        assert len(circusd.wait_for_pids("w", 4)) == 4
        assert resident(circusd.process.pid) - before < 24 << 20
    wait_until(lambda: open_descriptors(circusd.process.pid) <= descriptors, "its connection is gone")
    circusd.assert_no_defect()


def test_a_flood_leaves_room_for_others(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    stop = threading.Event()

    def flood() -> None:
        with client(circusd, SNDHWM=10_000, RCVHWM=1) as rude:
            while not stop.is_set():
                with contextlib.suppress(zmq.Again):
                    rude.send(request("nosuch"), zmq.NOBLOCK)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        for _ in range(5):
            (pid,) = circusd.pids("w")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: circusd.pids("w") not in ([], [pid]), "it was replaced")  # noqa: B023
    finally:
        stop.set()
        flooding.join()
    assert circusd.stop() == 0


def test_a_client_that_leaves_while_commands_wait(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 1\n[watcher:v]\n{SLEEP}")
    deaf(circusd, "w")
    with client(circusd) as made:
        made.send(request("stop", 1, name="w", waiting=True))
        for number in range(200):
            made.send(request("status", number, name="v"))
            made.send(request("stop", number, name="w", waiting=True))
        made.send(request("restart", 2, name="v", waiting=True))
        assert made.poll(PATIENCE)
    with client(circusd, zmq.REQ) as made:
        made.send(request("stop", 1, name="w", waiting=True))
    assert circusd.ok("stop", name="w")["status"] == "ok"
    assert circusd.ok("status")["statuses"] == {"v": "active", "w": "stopped"}
    circusd.assert_no_defect()


def test_a_hundred_clients_at_once(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 0")
    assert circusd.process is not None
    before = open_descriptors(circusd.process.pid)
    with contextlib.ExitStack() as stack:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.destroy, linger=0)
        clients = []
        for _ in range(100):
            made = context.socket(zmq.DEALER)
            made.connect(circusd.endpoint)
            clients.append(made)
        for number in range(20):
            for made in clients:
                made.send(request(["incr", "decr", "list", "status"][number % 4], number, name="w"))
        for made in clients:
            assert [receive(made)["id"] for _ in range(20)] == list(range(20))
    assert circusd.ok("numprocesses", name="w")["numprocesses"] == 0
    assert circusd.ok("stop", name="w")["status"] == "ok"
    wait_until(lambda: open_descriptors(circusd.process.pid) <= before + 2, "their connections are gone")
    circusd.assert_no_defect()


# Faults of the original that can be met from outside.


def test_graceful_timeout_of_a_kill_as_text(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 100")
    (pid,) = deaf(circusd, "w")
    circusd.ok("kill", name="w", graceful_timeout="0.5")
    assert not is_alive(pid)
    circusd.wait_for_pids("w", 1)
    (pid,) = deaf(circusd, "w")
    assert circusd.ctl("kill", "w", "--graceful_timeout", "0.2", "--waiting").returncode == 0
    assert not is_alive(pid)
    circusd.ok("set", name="w", options={"graceful_timeout": 0.1})
    assert circusd.ok("stop", name="w")["status"] == "ok"


def test_no_command_is_ever_refused_because_another_one_runs(circusd: Circusd) -> None:
    circusd.start(
        f"[watcher:slow]\n{STUBBORN}\ngraceful_timeout = 2\n[watcher:quick]\ncmd = true\nmax_retry = -1\n"
        f"[watcher:w]\n{SLEEP}\n[watcher:bad]\ncmd = /nowhere\nmax_retry = -1",
        "check_delay = 0.1",
    )
    deaf(circusd, "slow")
    circusd.ok("stop", name="slow", waiting=False)
    every = ["incr", "decr", "restart", "reload", "stop", "start", "kill"]
    for command in [*every, *every]:
        for name in ("slow", "quick", "w", "bad"):
            assert circusd.call(command, name=name)["status"] == "ok", (command, name)
    assert circusd.call("reloadconfig")["status"] == "ok"
    assert circusd.call("restart")["status"] == "ok"
    assert circusd.call("reload")["status"] == "ok"
    circusd.assert_no_defect()


def test_a_death_just_before_a_command_has_its_reap(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2")
    events = circusd.subscribe()
    for command, properties in (
        ("incr", {}),
        ("set", {"options": {"numprocesses": 2}}),
        ("decr", {}),
        ("restart", {}),
        ("stop", {}),
    ):
        victim = wait_until(lambda: circusd.pids("w"), "none of them waits for its next try")[0]
        os.kill(victim, signal.SIGKILL)
        circusd.ok(command, name="w", **properties)
        wait_until(
            lambda: [event for event in events.of("reap", watcher="w") if event.data["process_pid"] == victim],  # noqa: B023
            f"a reap of {victim} after {command}",
        )
    assert {
        event.data["exit_code"] for event in events.of("reap", watcher="w") if event.data["reason"] == "exited"
    } == {-9}


def test_restart_of_everything_again_and_again(circusd: Circusd) -> None:
    circusd.endpoint, circusd.pubsub_endpoint = (f"tcp://127.0.0.1:{port}" for port in free_ports(2))
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 2")
    before = circusd.pids("w")
    for _ in range(10):
        assert circusd.ok("restart")["status"] == "ok"
    assert len(circusd.pids("w")) == 2
    assert not set(before) & set(circusd.pids("w"))
    assert circusd.stop() == 0


def test_circusctl_keeps_its_options(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{STUBBORN}\ngraceful_timeout = 0.5\n[watcher:v]\n{SLEEP}")
    (pid,) = circusd.pids("w")
    assert circusd.ctl("kill", "w", "--waiting").returncode == 0
    assert not is_alive(pid)
    (pid,) = circusd.pids("v")
    assert circusd.ctl("rm", "v", "--nostop").returncode == 0
    assert circusd.ok("list")["watchers"] == ["w"]
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    (pid,) = circusd.wait_for_pids("w", 1)
    assert circusd.ctl("rm", "w", "--waiting").returncode == 0
    assert not is_alive(pid)


def test_set_takes_effect(circusd: Circusd) -> None:
    circusd.start("[watcher:w]\ncmd = sleep 300\n[watcher:bad]\ncmd = /nowhere\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("set", name="bad", options={"max_retry": 2})
    assert circusd.call("start", name="bad", waiting=True)["status"] == "error"
    assert len(events.of("spawn_failed", watcher="bad")) == 2
    for key, value in (("rlimit_nofile", 77), ("copy_env", True), ("close_child_stdout", True)):
        (before,) = circusd.pids("w")
        circusd.ok("set", name="w", options={key: value})
        assert circusd.ok("get", name="w", keys=[key])["options"] == {key: value}
        assert circusd.pids("w") != [before], f"{key} reaches the process by a reload"
    (pid,) = circusd.pids("w")
    assert "Max open files            77                   77" in Path(f"/proc/{pid}/limits").read_text()
    assert "PATH" in Seen(pid).env
    assert os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
    circusd.ok("set", name="w", options={"singleton": True})
    assert circusd.ok("incr", name="w")["singleton"] is True
    circusd.ok("set", name="w", options={"respawn": False})
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: circusd.ok("status", name="w")["status"] == "stopped", "it is not replaced")


def test_add_with_a_limit(circusd: Circusd) -> None:
    circusd.start("")
    reply = circusd.ok("add", name="w", cmd="sleep 300", options={"rlimit_nofile": 99, "rlimit_core": None}, start=True)
    limits = Path(f"/proc/{reply['started'][0]}/limits")
    wait_until(lambda: "Max open files            99" in limits.read_text(), "prlimit has done its work")
    reply = circusd.call("add", name="v", cmd="sleep 300", options={"rlimit_nofile": "99"})
    assert (reply["errno"], reply["reason"]) == (3, "'99' rlimit value isn't a valid int")


def test_get_of_every_option_that_is_shown(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nflapping.window = 7\nmy.own = yes")
    options = circusd.ok("options", name="w")["options"]
    assert (options["flapping.window"], options["my.own"]) == ("7", "yes")
    for key, value in options.items():
        assert circusd.ok("get", name="w", keys=[key])["options"] == {key: value}
    assert not [key for key in options if key.startswith("__")]
    reply = circusd.call("get", name="w", keys=["cmd", "nosuch"])
    assert (reply["errno"], reply["reason"]) == (3, "'nosuch' option not found")


def test_the_children_get_the_stop_signal_even_if_their_parent_ends_at_once(circusd: Circusd) -> None:
    out = circusd.folder / "child"
    child = f"trap 'echo term >> {out}; exit' TERM; echo >> {out}.ready; while :; do sleep 0.05; done"
    program = circusd.folder / "parent.py"
    program.write_text(
        "import os, signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"
        f"for _ in range(5): subprocess.Popen(['sh', '-c', {child!r}])\n"
        "time.sleep(300)\n"
    )
    circusd.start(f"[watcher:w]\ncmd = {sys.executable} {program}\nstop_children = True\ngraceful_timeout = 20")
    ready = Path(f"{out}.ready")
    wait_until(lambda: ready.exists() and len(ready.read_text()) == 5, "the children run")
    begin = time.monotonic()
    circusd.ok("stop", name="w")
    assert out.read_text() == "term\n" * 5
    assert time.monotonic() - begin < 15, "and nobody had to wait for SIGKILL"


def test_the_umask_is_octal(circusd: Circusd) -> None:
    circusd.start('[watcher:w]\ncmd = sh -c "umask > mask; exec sleep 300"', "umask = 027")
    mask = circusd.folder / "mask"
    wait_until(lambda: mask.exists() and mask.read_text(), "the process has told")
    assert int(mask.read_text(), 8) == 0o027


def test_circusctl_passes_on_that_a_command_failed(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}")
    for arguments in (
        ["kill", "nosuch"],
        ["kill", "nosuch", "--waiting"],
        ["signal", "w", "nosuch"],
        ["incr", "w", "z"],
    ):
        for prefix in ([], ["--json"]):
            done: subprocess.CompletedProcess[str] = circusd.ctl(*prefix, *arguments)
            assert done.returncode in (2, 3), (prefix, arguments, done)
            assert "Traceback" not in done.stderr
