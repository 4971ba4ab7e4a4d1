from __future__ import annotations

import json

import pytest

from circus.config.diff import Plan, Sockets, diff, with_others
from circus.config.loader import load
from circus.config.schema import WatcherSettings

BASE = """
[circus]
check_delay = 5
[watcher:a]
cmd = a --fd $(circus.sockets.web)
numprocesses = 2
[watcher:b]
cmd = b
use_sockets = True
[watcher:c]
cmd = c
stdin_socket = api
[watcher:d]
cmd = d
max_age = 100
[socket:web]
port = 8080
[socket:api]
port = 8081
[plugin:statsd]
host = here
[env:d]
LEVEL = 1
"""


@pytest.fixture
def plan(write):
    def plan(*changes: tuple[str, str], before: str = BASE) -> Plan:
        after = before
        for old, new in changes:
            assert old in after
            after = after.replace(old, new)
        return diff(load(write(before, "old.ini")), load(write(after, "new.ini")))

    return plan


def test_nothing(plan) -> None:
    assert not plan()
    assert plan().describe() == ["nothing has changed"]


def test_an_option_written_out_at_its_default_is_no_change(plan) -> None:
    assert not plan(("cmd = d", "cmd = d\ngraceful_timeout = 30.0\nstop_signal = TERM\nautostart = yes"))
    assert not plan(("check_delay = 5", "debug = False"))


def test_resize(plan) -> None:
    found = plan(("numprocesses = 2", "numprocesses = 5"))
    assert found == Plan(resize={"a": 5})
    assert found.describe() == ["resize watcher a to 5 processes"]
    assert plan(("numprocesses = 2\n", "")) == Plan(resize={"a": 1})


def test_resize_and_more_is_a_replacement(plan) -> None:
    found = plan(("numprocesses = 2", "numprocesses = 5\npriority = 3"))
    assert found.replace == ("a",)
    assert found.resize == {}
    assert found.describe() == ["replace watcher a: numprocesses, priority changed"]


@pytest.mark.parametrize(
    ("change", "option"),
    [
        (("max_age = 100", "max_age = 200"), "max_age"),
        (("max_age = 100\n", ""), "max_age"),
        (("max_age = 100", "max_age = 100\nhooks.before_start = os.getcwd"), "hooks"),
        (("max_age = 100", "max_age = 100\nmine = 1"), "extra"),
        (("LEVEL = 1", "LEVEL = 2"), "env"),
    ],
)
def test_anything_else_in_a_watcher_replaces_it(plan, change: tuple[str, str], option: str) -> None:
    found = plan(change)
    assert found == Plan(replace=("d",), reasons={"d": f"{option} changed"})


def test_a_changed_socket_takes_its_users_along(plan) -> None:
    found = plan(("port = 8080", "port = 8090"))
    assert (found.sockets_change, found.replace) == (("web",), ("a", "b"))
    assert "rebind socket web: port changed" in found.describe()
    assert "replace watcher a: it uses the changed socket web" in found.describe()
    found = plan(("port = 8081", "port = 8091"))
    assert (found.sockets_change, found.replace) == (("api",), ("b", "c"))


def test_a_resize_of_a_watcher_whose_socket_changed_is_a_replacement(plan) -> None:
    found = plan(("port = 8080", "port = 8090"), ("numprocesses = 2", "numprocesses = 3"))
    assert found.resize == {}
    assert "a" in found.replace


@pytest.mark.parametrize("option", ["backlog = 5", "umask = 077", "replace = yes"])
def test_a_socket_that_stays_the_same_one_concerns_nobody(plan, option: str) -> None:
    found = plan(("port = 8080", f"port = 8080\n{option}"))
    name = option.split()[0]
    assert found == Plan(sockets_adjust=("web",), reasons={"socket:web": f"{name} changed"})
    assert found.describe() == [f"adjust socket web: {name} changed"]


def test_processes_must_know_whether_a_socket_blocks(plan) -> None:
    found = plan(("port = 8080", "port = 8080\nblocking = yes"))
    assert (found.sockets_adjust, found.sockets_change, found.replace) == (("web",), (), ("a", "b"))


def test_sockets_of_the_processes_own_are_out_of_reach(plan) -> None:
    before = BASE.replace("port = 8080", "port = 8080\nso_reuseport = yes")
    found = plan(("port = 8080", "port = 8080\nbacklog = 5"), before=before)
    assert (found.sockets_adjust, found.sockets_change, found.replace) == ((), ("web",), ("a", "b"))


def test_every_way_to_name_a_socket_counts(plan) -> None:
    before = BASE.replace("LEVEL = 1", "LEVEL = $(circus.sockets.api)")
    assert "d" in plan(("port = 8081", "port = 8091"), before=before).replace
    stream = "max_age = 100\nstdout_stream.class = FileStream\nstdout_stream.filename = $(circus.sockets.api)"
    before = BASE.replace("max_age = 100", stream)
    assert "d" in plan(("port = 8081", "port = 8091"), before=before).replace


def test_what_runs_counts_too_whatever_the_file_says(write) -> None:
    old = load(write(BASE, "old.ini"))
    new = load(
        write(BASE.replace("port = 8080", "port = 8090").replace("numprocesses = 2", "numprocesses = 3"), "new.ini")
    )
    settings = WatcherSettings(name="added", cmd="x", args=("--fd", "$(circus.sockets.web)"))
    other = WatcherSettings(name="other", cmd="x $(circus.sockets.api)")
    found = with_others(diff(old, new), Sockets(old, new), [*old.watchers, settings, other])
    assert found.replace == ("a", "b", "added")
    assert found.reasons["added"] == "it uses the changed socket web"


def test_added_and_removed(plan) -> None:
    more = "[watcher:e]\ncmd = e\n[socket:more]\nport = 1\n[plugin:flapping]\n[env:d]"
    found = plan(("[env:d]", more))
    assert (found.add, found.sockets_add) == (("e", "plugin:flapping"), ("more",))
    assert found.replace == ("b",), "use_sockets: it gets the new one too"
    back = plan((more, "[env:d]"), before=BASE.replace("[env:d]", more))
    assert (back.remove, back.sockets_remove, back.replace) == (("e", "plugin:flapping"), ("more",), ("b",))
    assert {"remove watcher e", "remove socket more"} <= set(back.describe())


def test_plugins(plan) -> None:
    found = plan(("host = here", "host = there"))
    assert found == Plan(replace=("plugin:statsd",), reasons={"plugin:statsd": "config changed"})
    assert plan(("host = here", "host = here\nactive = no")).remove == ("plugin:statsd",)


def test_circus_changed(plan) -> None:
    found = plan(("check_delay = 5", "check_delay = 6"), ("cmd = d", "cmd = dd"))
    assert found.restart_all
    assert found.replace == ("d",)
    assert found.describe()[0] == "restart everything: check_delay of [circus] changed"


def test_where_sections_come_from_does_not_matter(plan, write) -> None:
    write("[watcher:d]\ncmd = d\nmax_age = 100\n", "more.ini")
    assert not plan(("check_delay = 5", "include = more.ini"), ("[watcher:d]\ncmd = d\nmax_age = 100\n", ""))


def test_as_dict_is_json(plan) -> None:
    found = plan(("port = 8080", "port = 8090"), ("numprocesses = 2", "numprocesses = 3"), ("cmd = d", "cmd = x"))
    shown = json.loads(json.dumps(found.as_dict()))
    assert shown == found.as_dict()
    assert shown["replace"] == ["a", "b", "d"]
