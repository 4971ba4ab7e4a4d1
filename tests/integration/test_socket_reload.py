"""reloadconfig changes sockets: those concerned and their watchers alone, whole or not at all."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

import pytest

from tests.asking import SERVE, ask
from tests.sockets import answers
from tests.support import Circusd, free_port, is_alive, wait_until

TEXT = """
[watcher:web]
cmd = {serve} $(circus.sockets.web)
numprocesses = 2
[watcher:api]
cmd = {serve} $(circus.sockets.api)
[watcher:other]
cmd = sleep 300
[socket:web]
host = {host}
port = {port}
[socket:api]
port = {api}
"""


class Served:
    """A daemon with two served sockets."""

    def __init__(self, circusd: Circusd) -> None:
        self.circusd = circusd
        self.values: dict[str, Any] = {"host": "127.0.0.1", "api": free_port(), "port": free_port()}
        self.values["serve"] = circusd.program("serve.py", SERVE)
        circusd.start(TEXT.format(**self.values))

    def write(self, old: str = "", new: str = "", **values: Any) -> None:
        """Change the file."""
        self.circusd.write(TEXT.format(**{**self.values, **values}).replace(old, new))

    def pids(self) -> dict[str, list[int]]:
        return {name: self.circusd.pids(name) for name in ("web", "api", "other")}

    def sockets(self) -> dict[str, dict[str, Any]]:
        return {entry["name"]: entry for entry in self.circusd.ok("listsockets")["sockets"]}

    def assert_served(self, name: str, port: int, host: str = "127.0.0.1") -> None:
        """Every connection is served by a process of the watcher."""
        wait_until(lambda: ask((host, port)) in self.circusd.pids(name), f"{name} is served at {port}")
        assert {ask((host, port)) for _ in range(20)} <= set(self.circusd.pids(name))


@pytest.fixture
def served(circusd: Circusd) -> Served:
    return Served(circusd)


def test_another_port_takes_its_watcher_along_and_nobody_else(served: Served) -> None:
    """What 0.19 refused, and left the processes on a socket that nobody could reach."""
    before, old = served.pids(), served.values["port"]
    shown, new = served.sockets(), free_port()
    served.write(port=new)
    steps = ["rebind socket web: port changed", "replace watcher web: it uses the changed socket web"]
    assert served.circusd.ok("plan")["steps"] == steps
    assert served.pids() == before
    assert served.circusd.ok("reloadconfig")["steps"] == steps
    after = served.pids()
    assert not set(after["web"]) & set(before["web"])
    assert (after["api"], after["other"]) == (before["api"], before["other"])
    assert served.sockets()["api"] == shown["api"]
    assert served.sockets()["web"]["port"] == new
    served.assert_served("web", new)
    assert not answers(("127.0.0.1", old))
    served.circusd.assert_no_defect()


def test_sockets_come_and_go(served: Served) -> None:
    before, port = served.pids(), free_port()
    more = f"[socket:more]\nport = {port}\n[watcher:more]\ncmd = {served.values['serve']} $(circus.sockets.more)\n"
    served.write("[socket:api]", f"{more}[socket:api]")
    assert served.circusd.ok("reloadconfig")["steps"] == ["add socket more", "add watcher more"]
    served.assert_served("more", port)
    served.write()
    assert served.circusd.ok("reloadconfig")["steps"] == ["remove watcher more", "remove socket more"]
    assert not answers(("127.0.0.1", port))
    assert served.sockets().keys() == {"api", "web"}
    assert served.pids() == before


@pytest.mark.parametrize("waiting", [True, False])
def test_a_port_that_is_taken_fails_the_whole_plan(served: Served, waiting: bool) -> None:
    before, shown = served.pids(), served.sockets()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served.write("[socket:api]", "backlog = 3\n[watcher:new]\ncmd = sleep 300\n[socket:api]", api=port)
        reply = served.circusd.call("reloadconfig", waiting=waiting)
        if waiting:
            assert reply["status"] == "error"
            assert f"[socket:api] port: localhost port {port} is in use by " in reply["reason"]
        wait_until(lambda: "reloadconfig failed: [socket:api] port: " in served.circusd.output(), "it is logged")
        dry = served.circusd.ctl("reloadconfig", "--dry-run")
        assert dry.returncode != 0
        assert f"[socket:api] port: localhost port {port} is in use by " in dry.stderr
    assert served.pids() == before
    assert served.sockets() == shown
    served.assert_served("web", served.values["port"])
    served.assert_served("api", served.values["api"])
    served.circusd.ok("reloadconfig")
    served.assert_served("api", port)


def test_a_dry_run_binds_nothing(served: Served) -> None:
    port = free_port()
    shown = served.sockets()
    served.write(port=port, host="0.0.0.0")
    served.circusd.ok("plan")
    assert served.sockets() == shown
    assert not answers(("127.0.0.1", port))


@pytest.mark.parametrize("hosts", [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
def test_another_address_at_the_same_port(circusd: Circusd, hosts: tuple[str, str]) -> None:
    served = Served(circusd)
    served.write(host=hosts[0])
    circusd.ok("reloadconfig")
    served.assert_served("web", served.values["port"])
    served.write(host=hosts[1])
    assert circusd.ok("reloadconfig")["steps"][0] == "rebind socket web: host changed"
    assert served.sockets()["web"]["host"] == hosts[1]
    served.assert_served("web", served.values["port"])


def test_options_that_change_without_another_socket(served: Served) -> None:
    before, shown = served.pids(), served.sockets()
    served.write("[socket:api]", "backlog = 5\n[socket:api]")
    assert served.circusd.ok("reloadconfig")["steps"] == ["adjust socket web: backlog changed"]
    assert served.pids() == before
    assert served.sockets()["web"] == {**shown["web"], "backlog": 5}
    served.write("[socket:api]", "backlog = 5\nblocking = True\n[socket:api]")
    served.circusd.ok("reloadconfig")
    after = served.pids()
    assert not set(after["web"]) & set(before["web"])
    assert after["api"] == before["api"]
    assert served.sockets()["web"]["fd"] == shown["web"]["fd"]
    served.assert_served("web", served.values["port"])


def test_a_reload_that_fails_leaves_the_sockets_as_they_were(served: Served) -> None:
    before, shown, new = served.pids(), served.sockets(), free_port()
    # It looks as if it could be started: only the system finds that its interpreter is missing.
    broken = served.circusd.folder / "broken"
    broken.write_text("#!/nowhere/interpreter\n")
    broken.chmod(0o755)
    served.write("cmd = sleep 300", f"cmd = {broken}", port=new)
    reply = served.circusd.call("reloadconfig", waiting=True)
    assert reply["reason"].startswith("rolled back: other: ")
    assert served.sockets() == shown
    assert not answers(("127.0.0.1", new))
    served.assert_served("web", served.values["port"])
    assert served.pids()["api"] == before["api"]
    assert served.circusd.ok("plan")["steps"][0] == "rebind socket web: port changed"


def test_watchers_that_the_file_does_not_know_follow_their_socket(served: Served) -> None:
    serve, circusd = served.values["serve"], served.circusd
    (added,) = circusd.add("added", f"{serve} $(circus.sockets.web)")
    circusd.ok("set", name="other", options={"cmd": f"{serve} $(circus.sockets.api)"})
    (other,) = circusd.pids("other")
    new = free_port()
    served.write(port=new)
    assert "replace watcher added: it uses the changed socket web" in circusd.ok("reloadconfig")["steps"]
    assert not is_alive(added)
    assert circusd.pids("other") == [other]
    circusd.ok("stop", name="web")
    served.assert_served("added", new)
    served.write(port=new, api=free_port())
    circusd.ok("reloadconfig")
    assert not is_alive(other)


def test_a_unix_socket_of_another_type_takes_the_place(circusd: Circusd) -> None:
    serve = circusd.program("serve.py", SERVE)
    text = f"[watcher:w]\ncmd = {serve} $(circus.sockets.web)\n[socket:web]\npath = {circusd.folder}/web\n"
    circusd.start(text)
    (old,) = circusd.pids("w")
    assert ask(f"{circusd.folder}/web", socket.AF_UNIX) == old
    circusd.write(f"{text}type = SOCK_SEQPACKET\n")
    circusd.ok("reloadconfig")
    (new,) = circusd.pids("w")
    assert ask(f"{circusd.folder}/web", socket.AF_UNIX, socket.SOCK_SEQPACKET) == new != old
    circusd.write(text.replace("/web\n", "/elsewhere\n"))
    circusd.ok("reloadconfig")
    assert not (circusd.folder / "web").exists()
    assert ask(f"{circusd.folder}/elsewhere", socket.AF_UNIX) in circusd.pids("w")
    assert [name for name in os.listdir(circusd.folder) if name.startswith("web")] == []


@pytest.mark.parametrize("command", ["reloadconfig", "restart"])
def test_a_file_that_was_removed_is_made_anew(served: Served, command: str) -> None:
    """As by whoever cleans /tmp up: until then nobody can connect."""
    circusd, path = served.circusd, served.circusd.folder / "socket"
    served.write(
        "[socket:api]",
        f"[watcher:u]\ncmd = {served.values['serve']} $(circus.sockets.u)\n[socket:u]\npath = {path}\n[socket:api]",
    )
    circusd.ok("reloadconfig")
    before, (old,) = served.pids(), circusd.pids("u")
    path.unlink()
    steps = ["rebind socket u: its file is gone", "replace watcher u: it uses the changed socket u"]
    assert circusd.ok("plan")["steps"] == steps
    circusd.ok(command)
    assert [ask(str(path), socket.AF_UNIX)] == circusd.pids("u") != [old]
    assert command == "restart" or served.pids() == before
    assert circusd.ok("plan")["steps"] == ["nothing has changed"]


def test_a_socket_that_is_shared_and_then_each_process_s_own(served: Served) -> None:
    port = served.values["port"]
    served.write("[socket:api]", "so_reuseport = True\n[socket:api]")
    served.circusd.ok("reloadconfig")
    served.assert_served("web", port)
    served.write()
    served.circusd.ok("reloadconfig")
    served.assert_served("web", port)


def test_circus_changes_and_sockets_stay(served: Served) -> None:
    shown = served.sockets()
    served.circusd.write(TEXT.format(**served.values), "check_delay = 7")
    served.circusd.ok("reloadconfig")
    assert served.sockets() == shown
    served.write(port=free_port())
    served.circusd.ok("restart")
    assert served.sockets()["api"] == shown["api"]
    assert served.sockets()["web"]["port"] != shown["web"]["port"]
    served.assert_served("web", served.sockets()["web"]["port"])


def test_somebody_listens_all_the_time_while_a_socket_moves_to_other_addresses(served: Served) -> None:
    port, over = served.values["port"], threading.Event()
    refused: list[str] = []

    def load() -> None:
        while not over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=20):
                    pass
            except ConnectionRefusedError as error:
                refused.append(str(error))
            except ConnectionResetError:
                pass  # it waited in the queue of the old one, whose processes were gone

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for host in ("0.0.0.0", "127.0.0.1", "0.0.0.0"):
            served.write(host=host)
            served.circusd.ok("reloadconfig")
    finally:
        over.set()
        thread.join()
    assert not refused
