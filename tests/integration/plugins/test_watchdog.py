"""The plugin watchdog, with a real circusd and real heartbeats."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.support import Circusd, is_alive, wait_until

SLEEPERS = """
[watcher:Good Ones]
cmd = sleep 600
numprocesses = 2

[watcher:bad]
cmd = sleep 600
numprocesses = 3

[watcher:other]
cmd = sleep 600
"""


class Heart:
    """Sends heartbeats for processes, several times in each look of the plugin."""

    def __init__(self, port: int, form: str = "{};1700000000.5", host: str = "127.0.0.1") -> None:
        self.address = (host, port)
        self.form = form
        self.pids: list[int] = []
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()

    def send(self, datagram: bytes) -> None:
        """Send one datagram."""
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.sendto(datagram, self.address)

    def _beat(self) -> None:
        while not self._ends.wait(0.05):
            for pid in list(self.pids):
                self.send(self.form.format(pid).encode())


def start(circusd: Circusd, watchers: str = SLEEPERS, **options: object) -> int:
    """Start a daemon with the plugin and these options; return the port that the plugin listens at."""
    values = {"port": 0, "loop_rate": 0.5, "max_count": 3, **options}
    circusd.start(f"{watchers}\n[plugin:watchdog]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()))
    return port_of(circusd)


def port_of(circusd: Circusd) -> int:
    """The port that the plugin has taken last."""
    found: Sequence[str] = wait_until(
        lambda: re.findall(r"heartbeats are taken at UDP port (\d+)", circusd.output()), "the plugin listens"
    )
    return int(found[-1])


def kills(circusd: Circusd, watcher: str) -> Counter[int]:
    """How often each process of a watcher was told to end."""
    return Counter(event.data["process_pid"] for event in circusd.events.of("kill", watcher=watcher))


def test_who_is_silent_is_killed_once_and_nobody_else(circusd: Circusd) -> None:
    port = start(circusd, watchers_regex="good|bad|plugin")
    good, bad, other = (circusd.pids(name) for name in ("good ones", "bad", "other"))
    with Heart(port) as heart:
        heart.pids = good
        for pid in bad:
            circusd.wait_for("reap", watcher="bad", process_pid=pid)
        # Those that come after them are silent, too.
        circusd.wait_for("reap", watcher="bad", count=6)
        assert set(kills(circusd, "bad").values()) == {1}
        assert not kills(circusd, "good ones")
        assert not kills(circusd, "plugin:watchdog")
        assert not kills(circusd, "other")
        assert (circusd.pids("good ones"), circusd.pids("other")) == (good, other)
        assert len(circusd.wait_for_pids("bad", 3)) == 3
        silent = re.findall(r"bad: process (\d+) has been silent for more than 1.5 s", circusd.output())
        assert set(bad) <= set(map(int, silent))
        assert len(silent) == len(set(silent))
        # Who falls silent later is killed as well.
        heart.pids = good[:1]
        circusd.wait_for("reap", watcher="good ones", process_pid=good[1])
        assert kills(circusd, "good ones") == {good[1]: 1}
    circusd.assert_no_defect()


def test_a_program_of_ones_own_sends_heartbeats(circusd: Circusd) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    worker = circusd.program(
        "worker.py",
        f"""
import os, socket, time
heart = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while not os.path.exists("silence"):
    heart.sendto(f"{{os.getpid()}};{{time.time()}}".encode(), ("127.0.0.1", {port}))
    time.sleep(0.1)
time.sleep(600)
""",
    )
    start(circusd, f"[watcher:worker]\ncmd = {worker}\n[watcher:mute]\ncmd = sleep 600\n", port=port, max_count=6)
    (pid,) = circusd.pids("worker")
    circusd.wait_for("reap", watcher="mute")
    assert circusd.pids("worker") == [pid]
    (circusd.folder / "silence").touch()
    circusd.wait_for("reap", watcher="worker", process_pid=pid)
    assert kills(circusd, "worker")[pid] == 1


def test_a_signal_and_a_timeout_can_be_given(circusd: Circusd) -> None:
    stubborn = circusd.program(
        "stubborn.py",
        "import signal, time\nsignal.signal(signal.SIGUSR1, lambda *_: open('asked', 'w').close())\n"
        "open('ready', 'w').close()\nwhile 1: time.sleep(1)\n",
    )
    port = start(
        circusd,
        f"[watcher:stubborn]\ncmd = {stubborn}\n",
        watchers_stop_signal="USR1",
        watchers_graceful_timeout=0.3,
    )
    (pid,) = circusd.pids("stubborn")
    with Heart(port) as heart:
        heart.pids = [pid]
        wait_until((circusd.folder / "ready").exists, "the signal is handled")
    reap = circusd.wait_for("reap", watcher="stubborn", process_pid=pid)
    assert reap.data["exit_code"] == -signal.SIGKILL
    assert (circusd.folder / "asked").exists()
    told = [event.data["signum"] for event in circusd.events.of("kill", watcher="stubborn", process_pid=pid)]
    assert told == [signal.SIGUSR1, signal.SIGKILL]


def test_a_port_that_is_taken_is_said_and_kills_nobody(circusd: Circusd) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        circusd.start(f"{SLEEPERS}\n[plugin:watchdog]\nport = {port}\nloop_rate = 0.1\nmax_count = 1\n")
        fault = f"UDP port {port} of 127.0.0.1 cannot be had: Address already in use"
        wait_until(lambda: fault in circusd.output(), "the log says why")
        circusd.ok("add", name="later", cmd="sleep 0.5", start=True)
        circusd.wait_for("reap", watcher="later", count=2)
        assert circusd.output().count(fault) == 1
        assert not kills(circusd, "bad")
    circusd.wait_for("kill", watcher="bad")
    assert port_of(circusd) == port
    circusd.assert_no_defect()


@pytest.mark.parametrize("sink", ["an address that is none", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_said(circusd: Circusd, sink: str) -> None:
    circusd.start(f"{SLEEPERS}\n[plugin:watchdog]\nip = {sink}\nloop_rate = 0.1\nmax_count = 1\n")
    wait_until(lambda: f"UDP port 1664 of {sink} cannot be had" in circusd.output(), "the log says so")
    assert not kills(circusd, "bad")
    circusd.assert_no_defect()


def test_heartbeats_come_by_ipv6(circusd: Circusd) -> None:
    port = start(circusd, ip="::1")
    good = circusd.pids("good ones")
    with Heart(port, host="::1") as heart:
        heart.pids = good
        circusd.wait_for("reap", watcher="bad", count=3)
        assert circusd.pids("good ones") == good


def test_datagrams_of_any_kind_end_nothing(circusd: Circusd) -> None:
    port = start(circusd, max_count=4)
    good = circusd.pids("good ones")
    (plugin,) = circusd.pids("plugin:watchdog")
    stranger = os.getpid()
    with Heart(port) as heart:
        heart.pids = good
        for datagram in (
            *(b"", b"\xff\xfe;1", b";", b"1", b"nonsense;1", b"-1;1", b"1e3;1", b"1_0;1", "٣;1".encode()),
            *(b"9" * 5000 + b";1", b"\0" * 60_000, b"9" * 60_000, b"{};1", b"\n\n", b"%s;%s"),
            *(f"{stranger};{time}".encode() for time in range(300)),
        ):
            heart.send(datagram)
        circusd.wait_for("reap", watcher="bad", count=3)
        assert circusd.pids("good ones") == good
    assert circusd.pids("plugin:watchdog") == [plugin]
    assert sum(map(int, re.findall(r"(\d+) datagrams were no heartbeats", circusd.output()))) >= 10
    assert circusd.output().count(f"heartbeats of process {stranger} are ignored") == 1
    circusd.assert_no_defect()


def test_other_forms_of_heartbeats_can_be_told(circusd: Circusd) -> None:
    port = start(circusd, msg_regex=r"^alive (?P<pid>\d+)$", watchers_regex="^(Good Ones|b.d)$")
    good, other = circusd.pids("good ones"), circusd.pids("other")
    with Heart(port, form="alive {}") as heart:
        heart.pids = good
        circusd.wait_for("reap", watcher="bad", count=3)
        assert (circusd.pids("good ones"), circusd.pids("other")) == (good, other)
        heart.form = "{};1"
        circusd.wait_for("reap", watcher="good ones", process_pid=good[0])


def test_watchers_that_come_later_are_watched_and_can_be_killed(circusd: Circusd) -> None:
    start(circusd, watchers_regex="new ones$")
    circusd.ok("add", name="New Ones", cmd="sleep 600", start=True, options={"numprocesses": 2})
    circusd.ok("add", name="newer", cmd="sleep 600", start=True)
    circusd.wait_for("reap", watcher="new ones", count=2)
    assert not kills(circusd, "newer")
    assert not kills(circusd, "bad")


def test_who_is_being_stopped_may_be_silent(circusd: Circusd) -> None:
    stubborn = circusd.program(
        "stubborn.py",
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('ready', 'w').close()\nwhile 1: time.sleep(1)\n",
    )
    port = start(circusd, f"[watcher:stubborn]\ncmd = {stubborn}\ngraceful_timeout = 3\n", loop_rate=0.2)
    (pid,) = circusd.pids("stubborn")
    with Heart(port) as heart:
        heart.pids = [pid]
        wait_until((circusd.folder / "ready").exists, "it ignores SIGTERM")
        circusd.ok("stop", name="stubborn", waiting=False)
        circusd.wait_for("kill", watcher="stubborn")
        heart.pids = []
        circusd.wait_for("stop", watcher="stubborn")
    told = [event.data["signum"] for event in circusd.events.of("kill", watcher="stubborn")]
    assert told == [signal.SIGTERM, signal.SIGKILL]
    assert "has been silent" not in circusd.output()


def test_who_was_left_behind_is_left_alone(circusd: Circusd) -> None:
    start(circusd, watchers_regex="other|bad", loop_rate=0.3)
    (pid,) = circusd.pids("other")
    circusd.ok("rm", name="other", nostop=True)
    circusd.wait_for("reap", watcher="bad", count=3)
    assert is_alive(pid)
    assert f"process {pid} has been silent" not in circusd.output()


def test_a_plugin_that_was_killed_knows_whom_to_watch(circusd: Circusd) -> None:
    port = start(circusd, watchers_regex="good|bad", max_count=8)
    with Heart(port) as heart:
        heart.pids = circusd.pids("good ones") + circusd.pids("bad")
        (pid,) = circusd.pids("plugin:watchdog")
        circusd.kill(pid)
        circusd.wait_for("spawn", watcher="plugin:watchdog", count=2)
        wait_until(lambda: circusd.output().count("heartbeats are taken") == 2, "the next one listens")
        heart.address = ("127.0.0.1", port_of(circusd))
        heart.pids = good = circusd.pids("good ones")
        circusd.wait_for("reap", watcher="bad", count=3)
        assert circusd.pids("good ones") == good
    circusd.assert_no_defect()


def test_a_plugin_that_was_suspended_blames_nobody(circusd: Circusd) -> None:
    port = start(circusd, watchers_regex="good|bad")
    good = circusd.pids("good ones")
    with Heart(port) as heart:
        heart.pids = good + circusd.pids("bad")
        (pid,) = circusd.pids("plugin:watchdog")
        # As when the whole machine is suspended: the others are silent meanwhile, too.
        os.kill(pid, signal.SIGSTOP)
        everybody, heart.pids = heart.pids, []
        circusd.ok("add", name="clock", cmd="sleep 2", start=True)
        circusd.wait_for("reap", watcher="clock")
        os.kill(pid, signal.SIGCONT)
        heart.pids = everybody
        circusd.ok("add", name="second clock", cmd="sleep 1", start=True)
        circusd.wait_for("reap", watcher="second clock")
        assert not kills(circusd, "bad")
        heart.pids = good
        circusd.wait_for("reap", watcher="bad", count=3)
        assert circusd.pids("good ones") == good
    circusd.assert_no_defect()


def test_a_form_without_a_process_is_said(circusd: Circusd) -> None:
    circusd.start(f"{SLEEPERS}\n[plugin:watchdog]\nmsg_regex = ^alive$\n")
    wait_until(lambda: "msg_regex has no group for the process" in circusd.output(), "the log says what is wrong")
    assert not kills(circusd, "bad")


@pytest.fixture(autouse=True)
def _leave_nobody(circusd: Circusd) -> Iterator[None]:
    yield
    for pid in circusd.descendants():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
