"""The plugins statsd and full_stats, with a real circusd and a server that reads what they send strictly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.statsd_server import StatsdServer
from tests.support import Circusd, wait_until

SLEEPERS = """
[watcher:Shop Front]
cmd = sleep 600
numprocesses = 2

[watcher:idle]
cmd = sleep 600
autostart = False
"""


@pytest.fixture
def server() -> Iterator[StatsdServer]:
    with StatsdServer() as server:
        yield server


def test_each_event_is_counted(circusd: Circusd, server: StatsdServer) -> None:
    circusd.start(f"{SLEEPERS}\n[plugin:statsd]\nport = {server.port}\napplication_name = my: shop\n")
    circusd.kill(circusd.pids("shop front")[0])
    circusd.wait_for("spawn", watcher="shop front", count=3)
    circusd.ok("restart", name="shop front")
    circusd.ok("start", name="idle")
    circusd.ok("set", name="idle", options={"warmup_delay": 1})
    circusd.ok("rm", name="idle")
    begin = "circus.my__shop.watcher"
    server.wait_for(f"{begin}.idle.stop")
    assert server.counted(f"{begin}.shop_front.spawn") == 5
    assert server.counted(f"{begin}.shop_front.start") == 2
    assert server.counted(f"{begin}.idle.remove") == 1
    assert not server.counted(f"{begin}.idle.add")
    happened = Counter(f"{begin}.{event.watcher}.{event.action}" for event in circusd.events)
    for name, times in happened.items():
        if ".plugin:" not in name:
            assert server.counted(name) == times, name
    assert {metric.kind for metric in server.metrics} == {"c"}
    circusd.assert_no_defect()


def test_a_share_of_the_events_is_sent_and_marked(circusd: Circusd, server: StatsdServer) -> None:
    circusd.start(
        f"""
        [watcher:many]
        cmd = sleep 600
        numprocesses = 0
        [watcher:last]
        cmd = sleep 600
        [plugin:half]
        use = circus.plugins.statsd.StatsdEmitter
        port = {server.port}
        sample_rate = 0.5
        """
    )
    for step in range(100):
        circusd.ok("set", name="many", options={"warmup_delay": step})
    wait_until(lambda: len(server.of("circus.app.watcher.many.updated")) > 20, "a share of them was sent")
    assert len(server.of("circus.app.watcher.many.updated")) < 80
    assert {metric.rate for metric in server.metrics} == {0.5}


def test_a_server_that_is_not_there_harms_nobody(circusd: Circusd, server: StatsdServer) -> None:
    circusd.start(
        f"{SLEEPERS}\n[plugin:nowhere]\nuse = statsd\nhost = no-such-host.invalid\n"
        f"[plugin:statsd]\nport = {server.port}\n"
    )
    (pid,) = circusd.pids("plugin:nowhere")
    circusd.ok("restart", name="shop front")
    server.wait_for("circus.app.watcher.shop_front.stop")
    wait_until(lambda: "'no-such-host.invalid' cannot be resolved" in circusd.output(), "the log says why")
    circusd.ok("restart", name="shop front")
    server.wait_for("circus.app.watcher.shop_front.stop", 2)
    assert circusd.pids("plugin:nowhere") == [pid]
    assert circusd.output().count("cannot be resolved") == 1
    circusd.assert_no_defect()


def test_what_watchers_use_is_gauged(circusd: Circusd, server: StatsdServer) -> None:
    circusd.start(f"{SLEEPERS}\n[plugin:full_stats]\nport = {server.port}\nloop_rate = 0.2\n")
    begin = "circus.app.watcher._stats"
    server.wait_for(f"{begin}.Shop_Front.spawn_count", 2)
    latest = {metric.name.removeprefix(f"{begin}."): metric.value for metric in server.metrics}
    names = ["watchers_num", "cpu_max", "cpu_sum", "mem_pct_max", "mem_pct_sum", "mem_max", "mem_sum", "spawn_count"]
    assert latest.keys() == {f"{watcher}.{name}" for watcher in ("Shop_Front", "idle") for name in names}
    assert {metric.kind for metric in server.metrics} == {"g"}
    front = {name: latest[f"Shop_Front.{name}"] for name in names}
    assert (front["watchers_num"], front["spawn_count"]) == (2, 2)
    assert 100_000 < front["mem_max"] < front["mem_sum"] <= 2 * front["mem_max"] < 100_000_000
    assert 0 < front["mem_pct_max"] < front["mem_pct_sum"] < 100
    assert {latest[f"idle.{name}"] for name in names} == {0}


def test_gauges_follow_what_happens(circusd: Circusd, server: StatsdServer) -> None:
    circusd.start(f"{SLEEPERS}\n[plugin:full_stats]\nport = {server.port}\nloop_rate = 0.2\n")

    def latest(name: str) -> float:
        found = server.of(f"circus.app.watcher._stats.Shop_Front.{name}")
        return found[-1].value if found else -1

    wait_until(lambda: latest("spawn_count") == 2)
    circusd.kill(circusd.pids("shop front")[0])
    wait_until(lambda: (latest("watchers_num"), latest("spawn_count")) == (2, 3), "a new process counts")
    circusd.ok("incr", name="shop front", nb=3)
    wait_until(lambda: (latest("watchers_num"), latest("spawn_count")) == (5, 6), "more processes count")
    circusd.ok("stop", name="shop front")
    wait_until(lambda: (latest("watchers_num"), latest("mem_sum")) == (0, 0), "nothing is used any more")
    assert latest("spawn_count") == 6
    circusd.ok("start", name="shop front")
    wait_until(lambda: latest("spawn_count") == 11)
    circusd.ok("rm", name="idle")
    # The next one takes what is there for what has been started, and knows nothing of what was before.
    (pid,) = circusd.pids("plugin:full_stats")
    circusd.kill(pid)
    wait_until(lambda: latest("spawn_count") == 5, "the next one looks at what is there")
    circusd.ok("add", name="new", cmd="sleep 600", start=True)
    server.wait_for("circus.app.watcher._stats.new.spawn_count")
    gone = "circus.app.watcher._stats.idle.watchers_num"
    number, others = len(server.of(gone)), len(server.metrics)
    server.wait_for("circus.app.watcher._stats.new.spawn_count", 3)
    assert len(server.of(gone)) == number
    assert len(server.metrics) > others
    circusd.assert_no_defect()


def test_a_subclass_of_somebody_else_looks_after_what_it_wants(circusd: Circusd, server: StatsdServer) -> None:
    (circusd.folder / "theirs.py").write_text(
        """
from circus.plugins.statsd import BaseObserver

class Theirs(BaseObserver):
    name = "theirs"
    default_app_name = "their_app"

    def __init__(self, *args, **config):
        super().__init__(*args, **config)
        self.bucket = config.get("bucket")
        self.looks = 0

    def look_after(self):
        self.looks += 1
        numwatchers = self.call("numwatchers")["numwatchers"]
        self.statsd.gauge(f"{self.bucket}.{self.prefix}", numwatchers)
        self.statsd.gauge("loop_rate", self.loop_rate)
        if self.looks == 2:
            raise ValueError("the second look fails")
"""
    )
    circusd.start(
        f"{SLEEPERS}\n[plugin:theirs]\nuse = ./theirs.py:Theirs\n"
        f"bucket = numwatchers\nport = {server.port}\nloop_rate = 0.2\n"
    )
    begin = "circus.their_app.watcher"
    assert server.wait_for(f"{begin}.numwatchers.{begin}", 4).value == 3
    assert server.wait_for(f"{begin}.loop_rate").value == 0.2
    assert "the second look fails" in circusd.output()
