"""Sockets that circusd binds: listed, shared with processes, kept over their deaths, removed at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.asking import SERVE, ask
from tests.sockets import answers
from tests.support import DEADLINE, Circusd, daemon, wait_until

SLEEP = "cmd = sleep 300"


def sockets_of(circusd: Circusd) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in circusd.ok("listsockets")["sockets"]}


def address_of(circusd: Circusd, name: str) -> tuple[str, int]:
    entry = sockets_of(circusd)[name]
    return entry["host"], entry["port"]


def held_by(pid: int) -> set[str]:
    """The sockets that a process has open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(link))
    return {target for target in found if target.startswith("socket:")}


def refused(circusd: Circusd, text: str, *arguments: str, **options: Any) -> str:
    """What circusd prints when it does not start."""
    circusd.write(text)
    process = circusd.launch(*arguments, **options)
    assert process.wait(DEADLINE) == 1
    return circusd.output()


EVERY_KIND = """
[watcher:tcp]
cmd = {serve} $(circus.sockets.web)
numprocesses = 2
[watcher:udp]
cmd = {serve} $(circus.sockets.UDP)
[watcher:six]
cmd = {serve} $(circus.sockets.six)
[watcher:unix]
cmd = {serve} $(circus.sockets.unix)
[watcher:datagram]
cmd = {serve} $(circus.sockets.datagram)
[watcher:packets]
cmd = {serve} $(circus.sockets.packets)
[watcher:none]
cmd = sleep 300
[socket:Web]
host = 127.0.0.1
port = 0
backlog = 9
[socket:udp]
port = 0
type = SOCK_DGRAM
[socket:six]
family = AF_INET6
port = 0
[socket:unix]
path = {folder}/unix
umask = 077
[socket:datagram]
path = {folder}/datagram
type = SOCK_DGRAM
[socket:packets]
path = {folder}/packets
type = SOCK_SEQPACKET
"""


def test_every_kind_of_socket_is_served_and_listed(circusd: Circusd) -> None:
    circusd.start(EVERY_KIND.format(serve=circusd.program("serve.py", SERVE), folder=circusd.folder))
    shown = sockets_of(circusd)
    assert list(shown) == [entry["name"] for entry in sorted(shown.values(), key=lambda entry: entry["fd"])]
    assert shown["web"].keys() == {"fd", "name", "backlog", "host", "port"}
    assert (shown["web"]["backlog"], shown["web"]["host"], shown["six"]["host"]) == (9, "127.0.0.1", "::1")
    assert shown["unix"]["path"] == f"{circusd.folder}/unix"
    assert (
        f"{shown['web']['fd']}:socket 'web' at 127.0.0.1:{shown['web']['port']}\n" in circusd.ctl("listsockets").stdout
    )
    wait_until(lambda: ask(address_of(circusd, "web")) in circusd.pids("tcp"), "the web is served")
    assert [ask(address_of(circusd, "udp"), kind=socket.SOCK_DGRAM)] == circusd.pids("udp")
    assert [ask(address_of(circusd, "six"), socket.AF_INET6)] == circusd.pids("six")
    assert [ask(f"{circusd.folder}/unix", socket.AF_UNIX)] == circusd.pids("unix")
    assert [ask(f"{circusd.folder}/packets", socket.AF_UNIX, socket.SOCK_SEQPACKET)] == circusd.pids("packets")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(f"{circusd.folder}/client")
        client.settimeout(DEADLINE)
        client.sendto(b"who?", f"{circusd.folder}/datagram")
        assert [int(client.recv(100))] == circusd.pids("datagram")
    assert (circusd.folder / "unix").stat().st_mode & 0o777 == 0o700
    (first, second), (none,) = circusd.pids("tcp"), circusd.pids("none")
    assert held_by(first) == held_by(second)
    assert len(held_by(first)) == 1
    assert not held_by(none)
    assert circusd.stop() == 0
    assert not [path for path in circusd.folder.iterdir() if path.is_socket() and path.name not in ("client", "notify")]
    assert not answers((shown["web"]["host"], shown["web"]["port"]))
    circusd.assert_no_defect()


def test_who_connects_while_nobody_serves_waits(circusd: Circusd) -> None:
    serve = circusd.program("serve.py", SERVE)
    circusd.start(f"[watcher:w]\ncmd = {serve} $(circus.sockets.web)\n[socket:web]\nport = 0\n")
    circusd.ok("stop", name="w")
    with socket.create_connection(address_of(circusd, "web")) as client:
        client.settimeout(DEADLINE)
        circusd.ok("start", name="w")
        assert [int(client.recv(100))] == circusd.pids("w")


def test_each_process_has_a_socket_of_its_own_with_so_reuseport(circusd: Circusd) -> None:
    serve = circusd.program("serve.py", SERVE)
    circusd.start(
        f"[watcher:w]\ncmd = {serve} $(circus.sockets.web)\nnumprocesses = 2\n"
        "[watcher:other]\ncmd = sleep 300\nuse_sockets = True\nargs = $(circus.sockets.shared)\n"
        "[socket:web]\nport = 0\nso_reuseport = True\n[socket:shared]\nport = 0\n"
    )
    assert circusd.process is not None
    address = address_of(circusd, "web")
    first, second = (held_by(pid) for pid in circusd.pids("w"))
    assert len(first) == len(second) == 1
    assert not first & second
    assert not (first | second) & held_by(circusd.process.pid)
    (other,) = circusd.pids("other")
    assert len(held_by(other)) == 1, "nobody would serve the one that it does not name"
    for _ in range(3):
        victim = circusd.pids("w")[0]
        circusd.kill(victim)
        wait_until(lambda victim=victim: len(set(circusd.pids("w")) - {victim}) == 2, "there is another one")  # type: ignore[misc]
    circusd.ok("reload", name="w")
    assert ask(address) in circusd.pids("w")
    for pid in circusd.pids("w"):
        assert not held_by(pid) & held_by(circusd.process.pid)
    circusd.ok("stop", name="w")
    assert not answers(address)
    circusd.ok("start", name="w")
    assert address_of(circusd, "web") == address
    assert ask(address) in circusd.pids("w")


def test_a_fresh_socket_that_cannot_be_had_is_a_failed_spawn(circusd: Circusd) -> None:
    circusd.start(
        "[watcher:w]\ncmd = sleep 300\nargs = $(circus.sockets.web)\nautostart = False\nmax_retry = 1\n"
        "[socket:web]\nport = 0\ntype = SOCK_DGRAM\nso_reuseport = True\n"
    )
    host, port = address_of(circusd, "web")
    with socket.socket(type=socket.SOCK_DGRAM) as thief:
        thief.bind((host, port))
        reply = circusd.call("start", name="w", waiting=True)
    assert reply["status"] == "error"
    assert f"sockets: [socket:web] port: localhost port {port} is in use by " in reply["reason"]


def test_a_socket_as_standard_input(circusd: Circusd) -> None:
    serve = circusd.program("serve.py", SERVE)
    circusd.start(f"[watcher:w]\ncmd = {serve} 0\nstdin_socket = Web\n[socket:web]\nport = 0\n")
    assert [ask(address_of(circusd, "web"))] == circusd.pids("w")
    wrong = {"stdin_socket": "wbe"}
    for reply in (
        circusd.call("add", name="x", cmd="sleep 1", options=wrong),
        circusd.call("set", name="w", options=wrong),
    ):
        assert reply["reason"] == "'stdin_socket': there is no socket 'wbe'; accepted: web; did you mean 'web'?"
    assert circusd.ok("get", name="w", keys=["stdin_socket"])["options"] == {"stdin_socket": "web"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root's rights")
def test_a_socket_at_one_interface(circusd: Circusd) -> None:
    serve = circusd.program("serve.py", SERVE)
    circusd.start(
        f"[watcher:w]\ncmd = {serve} $(circus.sockets.web)\n[socket:web]\nhost = 0.0.0.0\nport = 0\ninterface = lo\n"
    )
    assert [ask(("127.0.0.1", address_of(circusd, "web")[1]))] == circusd.pids("w")


def test_circusd_that_cannot_bind_starts_nothing(circusd: Circusd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        output = refused(
            circusd,
            f"[watcher:w]\ncmd = touch {circusd.folder}/started\n"
            f"[socket:a]\nport = {port}\n[socket:b]\nport = 0\n[socket:c]\npath = {circusd.ini}\n",
        )
    assert f"[socket:a] port: localhost port {port} is in use by " in output
    assert f"(pid {os.getpid()}); end that, or name another port" in output
    assert f"[socket:c] path: {circusd.ini} exists and is no socket" in output
    assert not (circusd.folder / "started").exists()
    assert "Traceback" not in output


def test_check_and_start_name_what_is_wrong_with_a_socket(circusd: Circusd) -> None:
    text = "[socket:a]\npath = /nosuch/a\n[socket:b]\ninterface = nosuch0\n"
    output = refused(circusd, text)
    assert "[socket:a] path: the folder /nosuch does not exist" in output
    assert "[socket:b] interface: there is no network interface 'nosuch0'" in output
    assert refused(circusd, text, "--check").count("error: ") == 4


def test_a_file_that_circusd_left_behind(circusd: Circusd) -> None:
    text = f"[watcher:w]\n{SLEEP}\n[socket:web]\npath = {circusd.folder}/web\n"
    circusd.start(text)
    assert circusd.process is not None
    circusd.kill(circusd.process.pid)
    circusd.process.wait()
    assert f"[socket:web] path: {circusd.folder}/web exists, left behind by a process that is gone" in refused(
        circusd, text
    )
    circusd.start(f"{text}replace = True\n")
    assert answers(f"{circusd.folder}/web", socket.AF_UNIX)


def test_a_socket_that_is_in_use_is_not_taken_away(circusd: Circusd) -> None:
    text = f"[watcher:w]\n{SLEEP}\n[socket:web]\npath = {circusd.folder}/web\nreplace = True\n"
    circusd.start(text)
    assert circusd.process is not None
    with daemon() as other:
        output = refused(other, text)
    assert f"[socket:web] path: {circusd.folder}/web is in use by circusd (pid {circusd.process.pid}); " in output
    assert answers(f"{circusd.folder}/web", socket.AF_UNIX)


ACTIVATE = """
import os, socket, sys
names = sys.argv[1]
held = [socket.create_server(("127.0.0.1", 0)) for _ in names.split(":")]
with open("ports", "w") as file:
    print(*(server.getsockname()[1] for server in held), file=file)
for position, server in enumerate(held):
    os.dup2(os.dup(server.fileno()), 100 + position)
for position in range(len(held)):
    os.dup2(100 + position, 3 + position)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(held)), LISTEN_FDNAMES=names)
os.execv(sys.executable, [sys.executable, "-m", "circus.cli.circusd", *sys.argv[2:]])
"""
"""What systemd does: it binds sockets and becomes circusd."""

PASSED = (
    "[watcher:w]\ncmd = {serve} $(circus.sockets.web)\n[watcher:o]\ncmd = sleep 300\n[socket:web]\nsystemd = Http\n"
)


class Activated(Circusd):
    """A circusd that gets sockets under these names from whoever starts it."""

    names = "spare:Http"

    def launch(self, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        (self.folder / "activate.py").write_text(ACTIVATE)
        popen = subprocess.Popen

        def activate(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
            return popen([sys.executable, "activate.py", self.names, *command[3:]], **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess, "Popen", activate)
            return super().launch(*arguments, env=env, **options)

    def ports(self) -> list[int]:
        return list(map(int, (self.folder / "ports").read_text().split()))


@pytest.fixture
def activated() -> Any:
    circusd = Activated()
    yield circusd
    assert not circusd.close()


def test_a_socket_that_systemd_hands_over(activated: Activated) -> None:
    text = PASSED.format(serve=activated.program("serve.py", SERVE))
    activated.start(text)
    _, port = activated.ports()
    assert "systemd passed the socket spare, which no [socket:NAME] with systemd = spare takes" in activated.output()
    assert address_of(activated, "web") == ("127.0.0.1", port)
    assert [ask(("127.0.0.1", port))] == activated.pids("w")
    (other,) = activated.pids("o")
    assert not held_by(other), "what circusd inherited is circusd's"
    environ = Path(f"/proc/{activated.pids('w')[0]}/environ").read_bytes()
    assert b"LISTEN_" not in environ, "what systemd told circusd is not for those who have a socket by its number"
    # Over reloads it is the same socket, also when no section takes it for a while.
    o = activated.pids("o")
    activated.write(f"[watcher:o]\n{SLEEP}\n")
    activated.ok("reloadconfig")
    assert answers(("127.0.0.1", port))
    activated.write(text.replace("socket:web", "socket:http").replace("sockets.web", "sockets.http"))
    activated.ok("reloadconfig")
    assert activated.pids("o") == o
    assert address_of(activated, "http") == ("127.0.0.1", port)
    wait_until(lambda: ask(("127.0.0.1", port)) in activated.pids("w"), "it is served again")
    activated.write(text.replace("Http", "Htp"))
    reply = activated.call("reloadconfig", waiting=True)
    assert (
        "[socket:web] systemd: no socket was passed as 'Htp'; passed were: spare, Http; did you mean" in reply["reason"]
    )
    assert ask(("127.0.0.1", port)) in activated.pids("w")
    activated.assert_no_defect()


def test_what_is_asked_of_systemd_and_was_not_passed(activated: Activated, circusd: Circusd) -> None:
    text = PASSED.format(serve="true")
    activated.names = "web:api:api"
    assert "[socket:web] systemd: no socket was passed as 'Http'; passed were: web, api" in refused(activated, text)
    output = refused(activated, text.replace("Http", "api"))
    assert "2 sockets were passed as 'api'; give each a name of its own" in output
    assert "circusd was not started by socket activation: LISTEN_FDS is not set" in refused(circusd, text)
    env = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    assert "what was passed is for process 1, and circusd is " in refused(circusd, text, env=env)


def test_descriptors_for_somebody_else_are_left_alone(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\n", env={"LISTEN_FDS": "5", "LISTEN_PID": "1"})
    assert "systemd passed" not in circusd.output()


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate")
def test_systemd_itself_hands_a_socket_over(circusd: Circusd) -> None:
    serve = circusd.program("serve.py", SERVE)
    circusd.write(PASSED.format(serve=serve))
    path = circusd.folder / "http"
    command = ["systemd-socket-activate", "--listen", str(path), "--fdname", "Http", "--setenv", "PATH"]
    with (circusd.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "circus.cli.circusd", str(circusd.ini)],
            stdout=log,
            stderr=log,
            env={**os.environ, "CIRCUS_MARK": circusd.mark},
            cwd=circusd.folder,
        )
    try:
        wait_until(path.exists, "it listens")
        pid = ask(str(path), socket.AF_UNIX)
        assert json.loads(circusd.ctl("--json", "list", "w").stdout)["pids"] == [pid]
        assert f"socket 'web' at {path}" in circusd.ctl("listsockets").stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        assert path.is_socket(), "it is systemd's to remove"
    finally:
        process.kill()
        process.wait()
