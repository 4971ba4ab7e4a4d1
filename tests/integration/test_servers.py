"""Servers that people use, and programs of ten lines, on sockets that circusd owns."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from tests.serving import SERVE, port_of, under_load, visiting, wait_for_answer
from tests.support import BIN, DEADLINE, Circusd, free_port, wait_until

APPLICATION = """
import os

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""
"""One page, the pid of the process that serves it, for each of Python's two interfaces."""

NGINX = """
daemon off;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    return 200 $pid;
  }}
}}
"""

SHOW = """
import json, os, pathlib, signal, sys
sockets, told = {}, {name: value for name, value in os.environ.items() if name.startswith("LISTEN_")}
if told:
    assert int(told.pop("LISTEN_PID")) == os.getpid()
for name in os.listdir("/proc/self/fd"):
    try:
        target = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        continue  # what listed the folder
    if target.startswith("socket:") and int(name) > 2:
        sockets[name] = target
file = pathlib.Path(sys.argv[1])
file.with_suffix(".new").write_text(json.dumps({"argv": sys.argv[2:], "sockets": sockets, "told": told}))
file.with_suffix(".new").rename(file)
signal.pause()
"""
"""Writes what it knows of sockets into a file."""

FILES = {"application.py": APPLICATION, "serve.py": SERVE}

PATH = f"{os.environ['PATH']}:/usr/sbin"
GUNICORN = f"{BIN}/gunicorn --log-level warning"

WATCHERS = {
    "gunicorn, by number": f"cmd = {GUNICORN} --bind fd://$(circus.sockets.web) application:wsgi",
    "gunicorn, by LISTEN_FDS": f"cmd = {GUNICORN} application:wsgi\nuse_sockets = True",
    "uvicorn": f"cmd = {BIN}/uvicorn --fd $(circus.sockets.web) --no-access-log application:asgi",
    "Python, by number": f"cmd = {BIN}/python serve.py $(circus.sockets.web)",
    "Python, by LISTEN_FDS": f"cmd = {BIN}/python serve.py\nuse_sockets = True",
    "Python, on standard input": f"cmd = {BIN}/python serve.py 0\nstdin_socket = web",
}


def run(circusd: Circusd, watcher: str, socket_options: str = "port = 0", more: str = "") -> int:
    """Start circusd with a watcher and the socket that it serves; return the port."""
    for name, text in FILES.items():
        (circusd.folder / name).write_text(text)
    circusd.start(
        f"""
[socket:web]
host = 127.0.0.1
{socket_options}
[watcher:server]
{watcher}
working_dir = {circusd.folder}
[env:server]
HOME = {circusd.folder}
{more}
"""
    )
    return port_of(circusd, "web")


@pytest.mark.parametrize("watcher", [pytest.param(text, id=name) for name, text in WATCHERS.items()])
def test_a_server_that_comes_and_goes(circusd: Circusd, watcher: str) -> None:
    comes_and_goes(circusd, run(circusd, watcher))


def comes_and_goes(circusd: Circusd, port: int) -> None:
    """A server answers over the death of its process, a reload and more of them, and no connection is refused."""
    with visiting(port) as visits:
        first = circusd.pids("server")
        wait_for_answer(port, of=set(first))
        circusd.kill(first[0])
        circusd.wait_for("spawn", watcher="server", count=2)
        second = circusd.pids("server")
        assert second != first
        wait_for_answer(port, of=set(second))
        circusd.ok("reload", name="server")
        third = circusd.pids("server")
        assert not {*first, *second} & set(third)
        wait_for_answer(port, of=set(third))
        circusd.ok("incr", name="server")
        assert len(circusd.pids("server")) == 2
        wait_for_answer(port, of=set(circusd.pids("server")))
    assert (visits.refused, visits.answered > 0) == (0, True)
    assert len(visits.broken) <= 1, visits.broken  # that of the process that was killed


@pytest.mark.parametrize("name", ["gunicorn, by number", "gunicorn, by LISTEN_FDS", "uvicorn", "Python, by LISTEN_FDS"])
def test_a_server_that_the_first_request_starts(circusd: Circusd, name: str) -> None:
    port = run(circusd, f"{WATCHERS[name]}\non_demand = True\nidle_timeout = 1")
    for count in (1, 2):
        assert circusd.ok("explain", name="server")["detail"] == "listening"
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 200 " in client.recv(1000)
        circusd.wait_for("listening", watcher="server", count=count + 1)
    assert len(circusd.events.of("start", watcher="server")) == 2


@pytest.mark.skipif(shutil.which("nginx", path=PATH) is None, reason="needs nginx")
def test_nginx(circusd: Circusd) -> None:
    """It takes sockets over by the variable with which it hands them to a new version of itself."""
    port = free_port()
    (circusd.folder / "nginx.conf").write_text(NGINX.format(folder=circusd.folder, port=port))
    circusd.folder.chmod(0o755)  # its workers are another user
    nginx = f"{shutil.which('nginx', path=PATH)} -e stderr -c {circusd.folder}/nginx.conf"
    watcher = f"cmd = {nginx} -g 'pid {circusd.folder}/$(circus.wid).pid;'\nstop_signal = QUIT"
    comes_and_goes(circusd, run(circusd, watcher, f"port = {port}", "NGINX = $(circus.sockets.web);"))


def test_several_processes_share_one_socket(circusd: Circusd) -> None:
    port = run(circusd, f"{WATCHERS['Python, by number']}\nnumprocesses = 3")
    wait_for_answer(port, of=set(circusd.pids("server")))
    assert listening(port) == 1


def test_so_reuseport_gives_each_process_a_socket_of_its_own(circusd: Circusd) -> None:
    watcher = f"{WATCHERS['Python, by number']}\nnumprocesses = 3"
    port = run(circusd, watcher, "port = 0\nso_reuseport = True")
    wait_for_answer(port, of=set(circusd.pids("server")))
    assert listening(port) == 3
    circusd.kill(circusd.pids("server")[0])
    circusd.wait_for("spawn", watcher="server", count=4)
    wait_for_answer(port, of=set(circusd.pids("server")))
    assert listening(port) == 3


def listening(port: int) -> int:
    """Return how many sockets listen on a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def test_programs_get_the_sockets_that_they_name_or_all(circusd: Circusd) -> None:
    """The names in both dialects, as a program sees them."""
    show = circusd.program("show.py", SHOW)
    circusd.start(
        f"""
        [socket:web]
        port = 0
        [socket:api]
        path = {circusd.folder}/api.sock
        [watcher:named]
        cmd = {show} {circusd.folder}/named $(circus.sockets.api)
        [watcher:all]
        cmd = {show} {circusd.folder}/all
        use_sockets = True
        [watcher:none]
        cmd = {show} {circusd.folder}/none
        """
    )
    files = {name: circusd.folder / name for name in ("named", "all", "none")}
    wait_until(lambda: all(file.exists() for file in files.values()), "each has written what it knows")
    seen = {name: json.loads(file.read_text()) for name, file in files.items()}
    assert circusd.process is not None
    held = f"/proc/{circusd.process.pid}/fd"
    inodes = {one["name"]: os.readlink(f"{held}/{one['fd']}") for one in circusd.ok("listsockets")["sockets"]}
    number = seen["named"]["argv"][0]
    assert seen["named"]["sockets"] == {number: inodes["api"]}
    assert seen["named"]["told"] == {}
    assert seen["all"]["sockets"] == {"3": inodes["api"], "4": inodes["web"]}
    assert seen["all"]["told"] == {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "api:web"}
    assert seen["none"] == {"argv": [], "sockets": {}, "told": {}}


needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")


@needs_wrk
@pytest.mark.parametrize("dialect", ["number", "LISTEN_FDS"])
def test_not_one_connection_is_refused_under_load(circusd: Circusd, dialect: str) -> None:
    port = run(circusd, f"{WATCHERS[f'Python, by {dialect}']}\nnumprocesses = 4\nready = notify")
    with visiting(port) as visits, under_load(port) as load:
        for sequential in (False, True) * 4:
            before = circusd.pids("server")
            circusd.ok("reload", name="server", sequential=sequential)
            assert not set(before) & set(circusd.pids("server"))
        circusd.ok("restart", name="server")
    # Those that were told to end have answered what they had accepted.
    assert (load.unasked, load.broken, visits.refused, visits.broken) == (0, 0, 0, [])
    assert load.answered > 0
    kills = 12
    with visiting(port) as visits, under_load(port) as load:
        for number in range(kills):
            time.sleep(0.1)  # the pace of what is promised
            pids = circusd.pids("server")
            if pids:
                circusd.kill(pids[number % len(pids)])
        circusd.wait_for_pids("server", 4)
        wait_for_answer(port, of=set(circusd.pids("server")))
    assert visits.refused == 0
    # What each of them had accepted when it was killed, at most.
    assert load.unasked + load.broken + len(visits.broken) <= kills
    assert load.answered > 0


@needs_wrk
def test_what_is_refused_would_be_seen() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = server.getsockname()[1]
        load = stack.enter_context(under_load(port))
        for _ in range(17):  # wrk opens one to try, and then 16
            server.accept()[0].close()
        server.close()
        visits = stack.enter_context(visiting(port))
        wait_until(lambda: visits.refused > 100, "there are refusals")
    assert (load.unasked > 0, visits.answered) == (True, 0)
