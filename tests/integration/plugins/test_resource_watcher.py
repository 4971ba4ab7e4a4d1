"""The plugin resource_watcher, with programs that really use memory and CPU, and a statsd server that listens."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.statsd_server import StatsdServer
from tests.support import Circusd, is_alive, wait_until

BIG = "held = bytearray(60 << 20)\nimport time\nwhile True: time.sleep(60)\n"
BUSY = "while True: pass\n"
IDLE = "import time\nwhile True: time.sleep(60)\n"
UNLIMITED = "max_cpu = 100000\nmax_mem = 100T\nhealth_threshold = 100000\n"


@pytest.fixture
def statsd() -> Iterator[StatsdServer]:
    with StatsdServer() as server:
        yield server


class Site:
    """A circusd with watchers, each of which a plugin of its own looks after."""

    def __init__(self, circusd: Circusd, statsd: StatsdServer) -> None:
        self.circusd = circusd
        self.statsd = statsd
        self.sections: list[str] = []

    def watcher(self, name: str, program: str, options: str = "") -> None:
        command = self.circusd.program(f"{name}.py", program)
        self.sections.append(f"[watcher:{name}]\ncmd = {command}\n{options}\n")

    def look_after(self, name: str, options: str, watcher: str = "watcher") -> None:
        self.sections.append(
            f"[plugin:{name}]\nuse = resource_watcher\n{watcher} = {name}\nloop_rate = 0.1\nport = {self.statsd.port}\n"
            + textwrap.dedent(options)
        )

    def start(self) -> None:
        self.circusd.start("\n".join(self.sections))

    def counted(self, name: str, what: str) -> float:
        return self.statsd.counted(f"circus.app.watcher._resource_watcher.{name}.{what}")

    def wait_for(self, name: str, what: str, count: int = 1) -> None:
        self.statsd.wait_for(f"circus.app.watcher._resource_watcher.{name}.{what}", count)

    def is_restarted(self, name: str) -> bool:
        return bool(self.circusd.events.of("stop", watcher=name))


@pytest.fixture
def site(circusd: Circusd, statsd: StatsdServer) -> Site:
    return Site(circusd, statsd)


def test_who_holds_too_much_memory_is_restarted(site: Site) -> None:
    site.watcher("big", BIG)
    site.watcher("small", IDLE)
    for name in ("big", "small"):
        site.look_after(name, UNLIMITED.replace("100T", "40M") + "max_count = 2\n")
    site.start()
    site.wait_for("big", "restarting")
    assert site.counted("big", "over_memory") == 3, "the third look in a row is one too many"
    site.circusd.wait_for("spawn", watcher="big", count=2)
    assert "big is restarted: 6" in site.circusd.output()
    assert "M of memory, the limit is 40.00M of memory" in site.circusd.output()
    site.wait_for("big", "restarting", 2)
    assert site.counted("small", "over_memory") == 0
    assert not site.is_restarted("small")
    site.circusd.assert_no_defect()


def test_memory_is_a_share_of_the_machines_without_a_unit(site: Site) -> None:
    site.watcher("over", IDLE)
    site.watcher("within", IDLE)
    site.look_after("over", UNLIMITED.replace("100T", "0.001"))
    site.look_after("within", UNLIMITED.replace("100T", "99"))
    site.start()
    site.wait_for("over", "restarting")
    assert not site.is_restarted("within")


def test_who_holds_less_than_the_minimum_is_restarted(site: Site) -> None:
    site.watcher("small", IDLE)
    site.watcher("big", BIG)
    for name in ("small", "big"):
        site.look_after(name, UNLIMITED + "min_mem = 40M\nmax_count = 5\n")
    site.start()
    site.wait_for("small", "restarting")
    # One that has not got its memory yet is outside too; that is what max_count is for.
    site.wait_for("small", "under_memory", 10)
    assert not site.is_restarted("big")


def test_who_is_busy_is_restarted(site: Site) -> None:
    # However busy the machine is, a loop gets more of it than one who sleeps.
    site.watcher("busy", BUSY)
    site.watcher("idle", IDLE)
    for name in ("busy", "idle"):
        site.look_after(name, UNLIMITED.replace("max_cpu = 100000", "max_cpu = 5") + "max_count = 10\n")
    site.start()
    site.wait_for("busy", "restarting")
    assert site.counted("busy", "over_cpu") == 11
    assert not site.is_restarted("idle")


def test_who_does_nothing_is_restarted_where_that_is_too_little(site: Site) -> None:
    site.watcher("idle", IDLE)
    site.watcher("busy", BUSY)
    for name in ("idle", "busy"):
        site.look_after(name, UNLIMITED + "min_cpu = 0\nmax_count = 10\n")
    site.start()
    site.wait_for("idle", "restarting")
    assert site.counted("idle", "under_cpu") == 11
    assert not site.is_restarted("busy")


def test_the_mean_of_both_has_a_limit_too(site: Site) -> None:
    site.watcher("busy", BUSY)
    site.watcher("idle", IDLE)
    for name in ("busy", "idle"):
        site.look_after(
            name, UNLIMITED.replace("health_threshold = 100000", "health_threshold = 3") + "max_count = 10\n"
        )
    site.start()
    site.wait_for("busy", "restarting")
    assert site.counted("busy", "over_health") == 11
    assert site.counted("busy", "over_cpu") == 0
    assert not site.is_restarted("idle")


PARENT = f"import subprocess, time\nsubprocess.run([{sys.executable!r}, '-c', {BIG!r}])\nwhile True: time.sleep(60)\n"


def test_a_child_that_holds_too_much_gets_a_signal(site: Site) -> None:
    site.watcher("parent", PARENT)
    site.watcher("other", PARENT)
    limits = UNLIMITED.replace("100T", "40M") + "max_count = 2\n"
    site.look_after("parent", limits + "process_children = True\nchild_signal = KILL\n")
    site.look_after("other", limits)
    site.start()
    (parent,), (other,) = site.circusd.pids("parent"), site.circusd.pids("other")
    (spared,) = wait_until(lambda: children(site.circusd, "other", other), "the other parent has its child")
    site.wait_for("parent", "over_memory", 3)
    wait_until(lambda: f"of process {parent} gets a signal" in site.circusd.output(), "the plugin acts")
    wait_until(lambda: not children(site.circusd, "parent", parent), "the child is gone")
    assert site.counted("parent", "restarting") == 0
    assert site.circusd.pids("parent") == [parent]
    assert is_alive(spared), "without process_children nobody looks"
    assert site.counted("other", "over_memory") == 0


def children(circusd: Circusd, name: str, pid: int) -> list[int]:
    info = circusd.ok("stats", name=name, process=pid)["info"]
    return [child["pid"] for child in info["children"] if isinstance(child, dict)]


def test_one_that_is_stopped_stays_so_and_the_old_name_of_the_option_counts(site: Site) -> None:
    site.watcher("w", f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{IDLE}")
    site.look_after("w", UNLIMITED.replace("100T", "0.001") + "max_count = 5\n", watcher="service")
    site.start()
    site.wait_for("w", "over_memory", 2)
    (pid,) = site.circusd.pids("w")
    site.circusd.ok("stop", name="w", waiting=False)
    wait_until(lambda: "w is not restarted: it is stopping" in site.circusd.output(), "it is found while it is stopped")
    site.circusd.kill(pid)
    stop = site.circusd.wait_for("stop", watcher="w")
    # A look at a watcher that has no process finds nothing; one that is gone is an error.
    site.circusd.ok("rm", name="w")
    site.wait_for("w", "error", 2)
    assert [event.action for event in site.circusd.events if event.watcher == "w" and event.seq > stop.seq] == [
        "remove"
    ]
    assert "w cannot be looked after: program w not found" in site.circusd.output()


def test_it_needs_a_watcher(circusd: Circusd) -> None:
    circusd.start("[plugin:resource_watcher]\nmax_cpu = 5\n")
    wait_until(lambda: "watcher is missing" in circusd.output(), "the log tells what is wrong")
