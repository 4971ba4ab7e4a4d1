"""What a hook's function gets as watcher and arbiter, against a real circusd."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from circus.exc import CallError
from circus.hooks.proxies import ArbiterProxy, WatcherProxy
from circus.plugins.link import Link
from circus.testing import DEADLINE, Circusd, wait_until

CONFIGURATION = """
[watcher:Web]
cmd = sleep 1000
numprocesses = 2
priority = 1
flapping.max_retry = 9

[watcher:first one]
cmd = sleep 1000
priority = 2

[watcher:off]
cmd = sleep 1000
autostart = False
"""


@pytest.fixture
def arbiter(circusd: Circusd) -> Iterator[ArbiterProxy]:
    circusd.start(CONFIGURATION)
    link = Link(circusd.endpoint)
    yield ArbiterProxy(link, circusd.pubsub_endpoint, 5.0)
    link.close()


@pytest.fixture
def web(arbiter: ArbiterProxy) -> WatcherProxy:
    return arbiter.watcher("Web")


def test_what_can_be_read_of_a_watcher(circusd: Circusd, arbiter: ArbiterProxy, web: WatcherProxy) -> None:
    pids = circusd.pids("web")
    assert (web.name, web.numprocesses, web.cmd, web.priority) == ("Web", 2, "sleep 1000", 1)
    assert web.options()["graceful_timeout"] == web.graceful_timeout == 30
    assert arbiter.watcher("first one").res_name == "first_one"
    assert web.pids == web.get_active_pids() == pids
    assert (web.status(), web.is_active(), web.is_stopped(), web.is_stopping()) == ("active", True, False, False)
    processes = web.processes()
    assert sorted(processes) == sorted(pids)
    assert {process["wid"] for process in processes.values()} == {1, 2}
    info = web.info()
    assert sorted(info) == sorted(pids)
    assert info[pids[0]]["pid"] == pids[0]
    assert web.process_info(pids[1])["cmdline"] == "sleep"
    assert repr(web) == "<circus watcher 'Web'>"


def test_an_option_that_there_is_not_is_told_with_the_nearest(web: WatcherProxy) -> None:
    with pytest.raises(AttributeError, match="watcher 'Web' has no option 'numproceses'; did you mean 'numprocesses'"):
        _ = web.numproceses
    assert not hasattr(web, "__wrapped__")


def test_what_can_be_read_of_the_daemon(circusd: Circusd, arbiter: ArbiterProxy) -> None:
    assert (arbiter.endpoint, arbiter.pubsub_endpoint) == (circusd.endpoint, circusd.pubsub_endpoint)
    assert arbiter.check_delay == 5.0
    assert [watcher.name for watcher in arbiter.iter_watchers()] == ["first one", "Web", "off"]
    assert [watcher.name for watcher in arbiter.iter_watchers(reverse=False)] == ["off", "Web", "first one"]
    assert [watcher.name for watcher in arbiter.watchers] == ["first one", "Web", "off"]
    assert arbiter.statuses() == {"Web": "active", "first one": "active", "off": "stopped"}
    assert (arbiter.numwatchers(), arbiter.numprocesses()) == (3, 3)
    assert arbiter.get_watcher("WEB").name == "Web"
    with pytest.raises(KeyError, match=r"there is no watcher .Webb.; did you mean 'Web'"):
        arbiter.get_watcher("Webb")


def test_what_can_be_done_with_a_watcher(circusd: Circusd, web: WatcherProxy) -> None:
    web.stop()
    wait_until(web.is_stopped)
    web.start(waiting=True)
    assert web.is_active()
    before = web.pids
    assert sorted(web.restart(waiting=True)["info"]["stopped"]) == sorted(before)
    before = web.pids
    assert sorted(web.reload(waiting=True)["info"]["stopped"]) == sorted(before)
    web.incr(2, waiting=True)
    assert len(web.pids) == 4
    web.decr(waiting=True)
    assert len(web.pids) == 3
    web.set_opt("graceful_timeout", 7)
    assert web.graceful_timeout == 7
    (pid, *_) = web.pids
    web.send_signal(pid, signal.SIGKILL)
    wait_until(lambda: pid not in web.pids and len(web.pids) == 3)
    (pid, *_) = web.pids
    web.call("kill", pid=pid, signum="INT")
    wait_until(lambda: pid not in web.pids)


def test_events_can_be_published_but_not_those_of_circus(circusd: Circusd, web: WatcherProxy) -> None:
    web.notify_event("warmed_up", {"urls": 3})
    assert circusd.wait_for("warmed_up", watcher="web").data["urls"] == 3
    with pytest.raises(CallError, match=r"notify: .*spawn"):
        web.notify_event("spawn")


def test_what_can_be_done_with_the_daemon(circusd: Circusd, arbiter: ArbiterProxy) -> None:
    added = arbiter.add_watcher("new", "sleep 1000", start=True, numprocesses=3)
    wait_until(lambda: len(added.pids) == 3)
    arbiter.rm_watcher("new", waiting=True)
    assert "new" not in arbiter.statuses()
    arbiter.stop_watchers(waiting=True)
    assert set(arbiter.statuses().values()) == {"stopped"}
    arbiter.start_watchers(waiting=True)
    assert arbiter.statuses() == {"Web": "active", "first one": "active", "off": "stopped"}
    before = arbiter.watcher("Web").pids
    arbiter.reload(waiting=True)
    assert not set(before) & set(arbiter.watcher("Web").pids)
    assert arbiter.call("globaloptions", option="endpoint")["options"] == {"endpoint": arbiter.endpoint}


def test_a_refusal_is_an_exception_with_the_reason(arbiter: ArbiterProxy, web: WatcherProxy) -> None:
    with pytest.raises(CallError, match="status: program nosuch not found"):
        arbiter.watcher("nosuch").status()
    with pytest.raises(CallError, match="set: unknown key 'nosuch'"):
        web.set_opt("nosuch", 1)
    with pytest.raises(CallError, match="unknown command"):
        arbiter.call("nosuch")
    with pytest.raises(ValueError, match="is not a signal"):
        web.send_signal(1, "SIGNOSUCH")


def test_coroutines_can_ask_as_well(arbiter: ArbiterProxy, web: WatcherProxy) -> None:
    async def ask() -> list[Any]:
        replies = await asyncio.gather(*(web.acall("status") for _ in range(20)), arbiter.acall("numwatchers"))
        with pytest.raises(CallError, match="unknown command"):
            await web.acall("nosuch")
        return replies

    *statuses, watchers = asyncio.run(ask())
    assert {reply["status"] for reply in statuses} == {"active"}
    assert watchers["numwatchers"] == 3


def test_many_threads_can_ask_at_once(web: WatcherProxy) -> None:
    seen: list[object] = []

    def ask() -> None:
        seen.extend(web.numprocesses for _ in range(20))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert seen == [2] * 160
