"""circusd as it is launched: its options, what stands in its way, and those that launch it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import circus
from tests.support import DEADLINE, Circusd, daemon, is_alive, wait_until

SLEEP = "[watcher:sleeper]\ncmd = sleep 300\n"


def run(circusd: Circusd, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run circusd to its end; for ``--daemon`` that is the end of the process which launches it."""
    command = [sys.executable, "-m", "circus.cli.circusd", *arguments]
    environ = {**os.environ, "CIRCUS_MARK": circusd.mark}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE, check=False, cwd=circusd.folder, env=environ
    )


def refusal(circusd: Circusd, *arguments: str) -> str:
    """The error with which circusd refuses to start: one line, and no traceback."""
    ended = run(circusd, str(circusd.ini), *arguments)
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    errors = [line for line in ended.stderr.splitlines() if not re.search(r" circus\[\d+\] \[(INFO|WARNING)\] ", line)]
    assert len(errors) == 1, ended.stderr
    return errors[0]


@pytest.fixture
def other() -> Iterator[Circusd]:
    """A second daemon."""
    with daemon() as instance:
        yield instance


# What it says about itself.


def test_version(circusd: Circusd) -> None:
    ended = run(circusd, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"circusd {circus.__version__}\n")


def test_without_a_file_it_says_how_to_use_it(circusd: Circusd) -> None:
    ended = run(circusd)
    assert ended.returncode == 0
    assert "usage: circusd" in ended.stdout + ended.stderr


@pytest.mark.parametrize("arguments", [["--nosuch"], ["--log-level", "loud", "x.ini"], ["a.ini", "b.ini"]])
def test_wrong_usage(arguments: list[str], circusd: Circusd) -> None:
    ended = run(circusd, *arguments)
    assert ended.returncode == 2
    assert "usage: circusd" in ended.stderr


# Configurations.


def test_check_of_a_good_file_starts_nothing(circusd: Circusd) -> None:
    circusd.write(f"[watcher:w]\ncmd = touch {circusd.folder}/started\n")
    ended = run(circusd, "--check", str(circusd.ini))
    assert ended.returncode == 0, ended
    assert sorted(path.name for path in circusd.folder.iterdir()) == ["circus.ini"]


def test_a_broken_file_lists_every_fault_and_starts_nothing(circusd: Circusd) -> None:
    circusd.write(
        f"""
        [watcher:good]
        cmd = touch {circusd.folder}/started
        [watcher:bad]
        cmd = sleep 1
        numprocesses = many
        stop_signal = SIGNOSUCH
        uid = no-such-user
        rlimit_nosuch = 1
        respawn = perhaps
        """
    )
    for arguments in (["--check"], [], ["--daemon"]):
        ended = run(circusd, *arguments, str(circusd.ini))
        assert ended.returncode == 1, ended
        for option in ("numprocesses", "stop_signal", "uid", "rlimit_nosuch", "respawn"):
            assert re.search(rf"{re.escape(str(circusd.ini))}:\d+: \[watcher:bad\] {option}: ", ended.stderr), option
        assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in circusd.folder.iterdir()) == ["circus.ini"]


def test_strict_makes_faults_of_warnings(circusd: Circusd) -> None:
    circusd.write("[watcher:w]\ncmd = sleep 1\ngracefull_timeout = 3\n")
    relaxed, strict = run(circusd, "--check", str(circusd.ini)), run(circusd, "--check", "--strict", str(circusd.ini))
    assert relaxed.returncode == 0
    assert strict.returncode == 1
    assert "graceful_timeout" in relaxed.stderr
    assert "graceful_timeout" in strict.stderr


def test_check_tells_of_options_without_effect(circusd: Circusd) -> None:
    circusd.write("[circus]\nhttpd = yes\n[watcher:w]\ncmd = sleep 1\n")
    for arguments in (["--check"], ["--check", "--strict"]):
        ended = run(circusd, *arguments, str(circusd.ini))
        assert ended.returncode == 0, ended
        assert "note: [circus] httpd: not served yet" in ended.stderr


def test_a_file_that_is_missing(circusd: Circusd) -> None:
    ended = run(circusd, str(circusd.folder / "none.ini"))
    assert ended.returncode == 1
    assert "none.ini" in ended.stderr
    assert "Traceback" not in ended.stderr


# The log.


def test_the_log(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    assert circusd.process
    assert circusd.stop() == 0
    pid = circusd.process.pid
    for text in (
        f"Starting master on pid {pid}",
        "Arbiter now waiting for commands",
        "sleeper started",
        "Got signal SIG_TERM",
        "sleeper stopped",
        "Arbiter exiting",
    ):
        pattern = rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d circus\[{pid}\] \[INFO\] {re.escape(text)}$"
        assert re.search(pattern, circusd.output(), re.MULTILINE), text


@pytest.mark.parametrize("level", ["error", "ERROR"])
def test_log_level_of_the_command_line_comes_first(level: str, circusd: Circusd) -> None:
    circusd.start(SLEEP, "loglevel = debug", "--log-level", level)
    assert circusd.stop() == 0
    assert circusd.output() == ""


def test_log_level_of_the_file(circusd: Circusd) -> None:
    circusd.start(SLEEP, "loglevel = Error")
    assert circusd.stop() == 0
    assert circusd.output() == ""


def test_a_log_file_that_was_moved_is_opened_again(circusd: Circusd) -> None:
    log = circusd.folder / "own.log"
    circusd.start(SLEEP, "", "--log-output", "own.log")
    log.rename(circusd.folder / "own.log.1")
    assert circusd.stop() == 0
    assert "Starting master" in (circusd.folder / "own.log.1").read_text()
    assert "Arbiter exiting" not in (circusd.folder / "own.log.1").read_text()
    assert "Arbiter exiting" in log.read_text()
    assert circusd.output() == ""


def test_log_to_syslog(circusd: Circusd) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(circusd.folder / "syslog"))
        server.settimeout(DEADLINE)
        circusd.start(SLEEP, f"logoutput = syslog://{circusd.folder}/syslog?daemon")
        assert re.match(rb"<30>.*\[INFO\] Starting master on pid \d+\0$", server.recv(4096))
        assert circusd.stop() == 0


def test_logger_configuration(circusd: Circusd) -> None:
    config = circusd.folder / "logging.json"
    handler = {"class": "logging.FileHandler", "filename": str(circusd.folder / "own.log")}
    config.write_text(json.dumps({"handlers": {"f": handler}, "root": {"level": "INFO", "handlers": ["f"]}}))
    circusd.start(SLEEP, "", "--logger-config", "logging.json")
    assert circusd.stop() == 0
    assert "Arbiter exiting\n" in (circusd.folder / "own.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--log-output", "/nonexistent/log"], "the folder /nonexistent does not exist"),
        (["--log-output", "syslog://localhost:x"], "syslog://HOST:PORT"),
        (["--logger-config", "/nonexistent.ini"], "No such file"),
        (["--pidfile", "/nonexistent/pid"], "the folder /nonexistent does not exist"),
        (["--pidfile", "circus.ini"], "does not hold a process id"),
    ],
)
@pytest.mark.parametrize("way", ["foreground", "daemon"])
def test_files_that_cannot_be(way: str, arguments: list[str], word: str, circusd: Circusd) -> None:
    before = circusd.write(SLEEP).read_text()
    assert word in refusal(circusd, *arguments, *(["--daemon"] if way == "daemon" else []))
    assert [path.name for path in circusd.folder.iterdir()] == ["circus.ini"]
    assert circusd.ini.read_text() == before


# Daemon and pid file.


def test_daemon(circusd: Circusd) -> None:
    circusd.write(SLEEP, "logoutput = circusd.log")
    ended = run(circusd, "circus.ini", "--daemon", "--pidfile", "own.pid")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    pidfile = circusd.folder / "own.pid"
    assert pidfile.stat().st_mode & 0o777 == 0o644
    pid = int(pidfile.read_text())
    assert pidfile.read_text() == f"{pid}\n"
    assert f"circus[{pid}]" in circusd.output()
    assert os.getsid(pid) not in (pid, os.getsid(0))
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)} == {os.devnull}
    assert os.readlink(f"/proc/{pid}/cwd") == str(circusd.folder)
    # It is ready when its launcher has ended: it answers the first message.
    assert circusd.call("numwatchers")["numwatchers"] == 1
    [child] = circusd.wait_for_pids("sleeper", 1)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid), "the daemon has ended")
    assert not is_alive(child)
    assert sorted(path.name for path in circusd.folder.iterdir()) == ["circus.ini", "circusd.log"]


def test_a_daemon_that_cannot_start_says_why(circusd: Circusd, other: Circusd) -> None:
    circusd.start(SLEEP)
    other.write(SLEEP)
    other.ini.write_text(other.ini.read_text().replace(other.endpoint, circusd.endpoint))
    assert circusd.process
    assert f"another circusd (pid {circusd.process.pid})" in refusal(other, "--daemon", "--pidfile", "own.pid")
    assert not (other.folder / "own.pid").exists()
    assert circusd.stop() == 0


def test_the_pid_file_of_a_live_daemon(circusd: Circusd, other: Circusd) -> None:
    pidfile = circusd.folder / "own.pid"
    circusd.start(SLEEP, f"pidfile = {pidfile}")
    assert circusd.process
    other.write(SLEEP)
    for arguments in ([], ["--daemon"]):
        text = refusal(other, "--pidfile", str(pidfile), *arguments)
        assert f"pid file '{pidfile}' is stale, current pid {circusd.process.pid}" in text
    assert pidfile.read_text() == f"{circusd.process.pid}\n"
    assert circusd.call("numwatchers")["numwatchers"] == 1
    assert circusd.stop() == 0
    assert not pidfile.exists()


def test_a_pid_file_of_another_live_process(circusd: Circusd) -> None:
    circusd.write(SLEEP)
    with subprocess.Popen(["sleep", "300"]) as living:
        (circusd.folder / "own.pid").write_text(f"{living.pid}\n")
        assert f"is stale, current pid {living.pid}" in refusal(circusd, "--pidfile", "own.pid")
        living.kill()
    assert (circusd.folder / "own.pid").read_text() == f"{living.pid}\n"


def test_after_kill_9_the_next_one_starts(circusd: Circusd) -> None:
    pidfile = circusd.folder / "own.pid"
    circusd.start(SLEEP, f"pidfile = {pidfile}")
    assert circusd.process
    first = circusd.process.pid
    [orphan] = circusd.wait_for_pids("sleeper", 1)
    assert circusd.stop(signal.SIGKILL) == -9
    left = {path.name for path in circusd.folder.iterdir()}
    assert {"own.pid", "endpoint", "endpoint.lock", "pubsub", "pubsub.lock"} <= left
    assert pidfile.read_text() == f"{first}\n"
    circusd.launch()
    circusd.wait_until_ready()
    assert pidfile.read_text() == f"{circusd.process.pid}\n"
    assert circusd.process.pid != first
    [child] = circusd.wait_for_pids("sleeper", 1)
    assert child != orphan
    assert circusd.stop() == 0
    # The socket on which the test hears that circusd is ready is the test's own.
    assert {path.name for path in circusd.folder.iterdir()} - {"notify"} == {"circus.ini", "circusd.log"}
    if is_alive(orphan):
        os.kill(orphan, signal.SIGKILL)
        wait_until(lambda: not is_alive(orphan), "the orphan has ended")


# Endpoints.


def test_a_second_circusd_on_the_same_endpoint(circusd: Circusd, other: Circusd) -> None:
    circusd.start(SLEEP)
    assert circusd.process
    pid = circusd.process.pid
    for mine, theirs in ((other.endpoint, circusd.endpoint), (other.pubsub_endpoint, circusd.pubsub_endpoint)):
        other.write(SLEEP)
        other.ini.write_text(other.ini.read_text().replace(mine, theirs))
        assert f"another circusd (pid {pid}) serves {theirs}; stop it or name another endpoint" in refusal(other)
    assert circusd.call("numwatchers")["numwatchers"] == 1
    assert circusd.stop() == 0


@pytest.mark.parametrize("option", ["endpoint", "pubsub_endpoint"])
def test_a_tcp_address_in_use(option: str, circusd: Circusd) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        circusd.ini.write_text(
            f"[circus]\npubsub_endpoint = {circusd.pubsub_endpoint}\nendpoint = {circusd.endpoint}\n"
        )
        circusd.ini.write_text(
            re.sub(rf"^{option} = .*$", f"{option} = {address}", circusd.ini.read_text(), flags=re.M)
        )
        assert f"{address}: the address is in use" in refusal(circusd)
    assert [path.name for path in circusd.folder.iterdir()] == ["circus.ini"]


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("tcp://*:0", "insecure = True"),
        ("tcp://0.0.0.0:0", "use an ipc:// endpoint"),
        ("tcp://no-such-host.invalid:0", "insecure = True"),
        ("ipc:///nonexistent/endpoint", "the folder /nonexistent does not exist"),
        ("ipc:///dev/null", "is no socket"),
        ("ipc:///" + "x" * 120, "at most 107"),
    ],
)
def test_endpoints_that_cannot_be(address: str, word: str, circusd: Circusd) -> None:
    circusd.write(SLEEP)
    circusd.ini.write_text(circusd.ini.read_text().replace(circusd.endpoint, address))
    ended = run(circusd, str(circusd.ini))
    assert ended.returncode == 1
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr


def test_endpoints_of_the_environment(circusd: Circusd) -> None:
    circusd.ini.write_text(SLEEP)
    environ = {"CIRCUSCTL_ENDPOINT": circusd.endpoint, "CIRCUS_PUBSUB_ENDPOINT": circusd.pubsub_endpoint}
    circusd.launch(env=environ)
    circusd.wait_until_ready()
    assert (circusd.folder / "pubsub").is_socket()
    assert circusd.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="the warning is root's")
def test_root_on_tcp_is_warned(circusd: Circusd) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    circusd.endpoint = endpoint
    circusd.start(SLEEP)
    assert circusd.stop() == 0
    assert re.search(rf"\[WARNING\] .*as root through {endpoint}.*use an ipc:// endpoint", circusd.output())


# Signals.


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_that_stop(signum: signal.Signals, circusd: Circusd) -> None:
    circusd.start(SLEEP)
    [child] = circusd.wait_for_pids("sleeper", 1)
    assert circusd.stop(signum) == 0
    assert f"Got signal SIG_{signum.name[3:]}" in circusd.output()
    assert not is_alive(child)


def test_signals_that_change_nothing(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    assert circusd.process
    before = circusd.wait_for_pids("sleeper", 1)
    for signum in (signal.SIGWINCH, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE):
        circusd.process.send_signal(signum)
        assert circusd.pids("sleeper") == before
    assert circusd.stop() == 0


def test_hangup_reloads_every_watcher(circusd: Circusd) -> None:
    circusd.start(SLEEP)
    assert circusd.process
    before = circusd.wait_for_pids("sleeper", 1)
    circusd.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "sleeper reloaded" in circusd.output(), "the watcher was reloaded")
    wait_until(lambda: circusd.pids("sleeper") != before and len(circusd.pids("sleeper")) == 1, "a new process")
    assert circusd.stop() == 0


# Those that launch it: systemd, and a container.


def test_readiness_is_told_to_systemd(circusd: Circusd) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(circusd.folder / "systemd"))
        systemd.settimeout(DEADLINE)
        circusd.write(
            f"""
            [watcher:w]
            cmd = sh -c "env > {circusd.folder}/env.part; mv {circusd.folder}/env.part {circusd.folder}/env; sleep 300"
            copy_env = True
            """
        )
        circusd.launch(env={"NOTIFY_SOCKET": str(circusd.folder / "systemd"), "WATCHDOG_USEC": "100000"})
        assert b"READY=1" in systemd.recv(4096).split(b"\n")
        # It has told the truth: the watcher is active.
        assert circusd.call("status", name="w")["status"] == "active"
        assert [systemd.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        wait_until((circusd.folder / "env").exists, "the process has run")
        assert not re.search("NOTIFY_SOCKET|WATCHDOG_", (circusd.folder / "env").read_text())
        assert circusd.process
        circusd.process.terminate()
        message = systemd.recv(4096)
        while message == b"WATCHDOG=1":
            message = systemd.recv(4096)
        assert b"STOPPING=1" in message.split(b"\n")
        assert circusd.process.wait(DEADLINE) == 0


def children_of(pid: int) -> list[int]:
    """The processes that a process has, zombies too."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def container(circusd: Circusd) -> Circusd:
    """A daemon that ``launch_as_init`` can start as PID 1."""
    probe = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this user may not make PID namespaces")
    return circusd


def launch_as_init(circusd: Circusd) -> int:
    """Start circusd as PID 1 of a PID namespace; return its PID out here."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    command += [sys.executable, "-m", "circus.cli.circusd", str(circusd.ini)]
    with circusd.log.open("ab") as log:
        circusd.process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=circusd.folder, env={**os.environ, "CIRCUS_MARK": circusd.mark}
        )

    def all_started() -> bool:
        reply = circusd.try_call("status", timeout=0.25)
        return reply is not None and "starting" not in reply["statuses"].values()

    wait_until(all_started, "circusd answers and has started everything")
    return children_of(circusd.process.pid)[0]


def test_as_pid_1_it_reaps_orphans_and_stops(container: Circusd) -> None:
    # The grandchild's parent ends at once, in a session of its own; whoever is PID 1 inherits the grandchild.
    (container.folder / "orphans.sh").write_text(
        f"setsid sh -c \"sh -c 'exit 3' & echo \\$! >> {container.folder}/orphans\" &\nwait\nexec sleep 300\n"
    )
    container.write(f"[watcher:w]\ncmd = sh {container.folder}/orphans.sh\nnumprocesses = 3\n")
    init = launch_as_init(container)
    assert container.process
    assert "Starting master on pid 1\n" in container.output()
    orphans = container.folder / "orphans"
    wait_until(lambda: orphans.exists() and orphans.read_text().count("\n") == 3, "the orphans were made")
    wait_until(lambda: len(children_of(init)) == 3 and all(map(is_alive, children_of(init))), "the orphans were reaped")
    children = children_of(init)
    os.kill(init, signal.SIGTERM)
    assert container.process.wait(DEADLINE) == 0
    assert not any(map(is_alive, children))
    assert "Arbiter exiting" in container.output()


def test_as_pid_1_it_forwards_the_exit_code(container: Circusd) -> None:
    container.write(
        f"""
        [watcher:service]
        cmd = sh -c "until test -e {container.folder}/go; do sleep 0.02; done; exit 7"
        respawn = False
        on_failure = exit
        [watcher:other]
        cmd = sleep 300
        """
    )
    launch_as_init(container)
    (container.folder / "go").touch()
    assert container.process
    assert container.process.wait(DEADLINE) == 7
    assert "service" in container.output()


def test_as_pid_1_it_can_start_again_in_the_same_folder(container: Circusd) -> None:
    # Its PID is that of the one before, whose files are still there.
    pidfile = container.folder / "own.pid"
    container.write(SLEEP, f"pidfile = {pidfile}")
    for _ in range(2):
        init = launch_as_init(container)
        assert pidfile.read_text() == "1\n"
        os.kill(init, signal.SIGKILL)
        assert container.process
        container.process.wait(DEADLINE)
        assert pidfile.exists()


def test_closed_standard_descriptors_are_not_taken_by_anything_else(circusd: Circusd) -> None:
    circusd.write(SLEEP)
    launch = 'exec "$@" <&- >&- 2>&-'
    command = ["sh", "-c", launch, "sh", sys.executable, "-m", "circus.cli.circusd", str(circusd.ini)]
    circusd.process = subprocess.Popen(command, env={**os.environ, "CIRCUS_MARK": circusd.mark})
    (worker,) = wait_until(lambda: (circusd.try_call("list", name="sleeper") or {}).get("pids"), "it serves")
    for pid in (circusd.process.pid, worker):
        assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3
    assert circusd.stop() == 0
