from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circus.config import check, get_config
from circus.config.diff import diff
from circus.config.faults import Fault
from circus.config.loader import load
from circus.exc import ConfigError


def faults_of(path: str, strict: bool = False) -> list[Fault]:
    with pytest.raises(ConfigError) as caught:
        load(path, strict=strict)
    return [fault for fault in caught.value.faults if isinstance(fault, Fault)]


WATCHER = "[watcher:web]\ncmd = web\n"
ON_DEMAND = "[watcher:w]\ncmd = serve $(circus.sockets.web)\non_demand = yes\n[socket:web]\n"
SOCKET = "[socket:web]\nport = 8080\n"
UDP = "[socket:a]\nport = 9\ntype = SOCK_DGRAM\n"
IPV6 = "[socket:a]\nhost = ::\nport = 9\nfamily = AF_INET6\n"


@pytest.mark.parametrize(
    ("text", "line", "option", "words"),
    [
        ("[watcher:web]\nnumprocesses = 2", 1, "", ["no command", "cmd ="]),
        ("[watcher:web]\ncmd =\nargs = x", 2, "cmd", ["no command"]),
        (WATCHER + "singleton = True\nnumprocesses = 2", 4, "numprocesses", ["singleton", "0 or 1"]),
        (WATCHER + "copy_path = True", 3, "copy_path", ["copy_env"]),
        (WATCHER + "virtualenv = /x", 3, "virtualenv", ["copy_env"]),
        (WATCHER + "shell = maybe", 3, "shell", ["'maybe'", "yes, no"]),
        (WATCHER + "numprocesses =", 3, "numprocesses", ["whole number"]),
        (WATCHER + "numprocesses = -1", 3, "numprocesses", ["-1", "from 0 to 32768"]),
        (WATCHER + "max_retry = -2", 3, "max_retry", ["-2", "at least -1"]),
        (WATCHER + "warmup_delay = nan", 3, "warmup_delay", ["nan", "at least 0"]),
        (WATCHER + "stop_signal = KILLL", 3, "stop_signal", ["'KILLL'", "TERM"]),
        (WATCHER + "uid = no-such-user", 3, "uid", ["no-such-user"]),
        (WATCHER + "gid = no-such-group", 3, "gid", ["no-such-group"]),
        (WATCHER + "rlimit_nofil = 3", 3, "rlimit_nofil", ["no rlimit 'nofil'", "did you mean 'nofile'"]),
        (WATCHER + "rlimit_nofile = many", 3, "rlimit_nofile", ["'many'", "infinity"]),
        (WATCHER + "hooks.before_strat = a.b", 3, "hooks.before_strat", ["no hook", "did you mean 'before_start'"]),
        (WATCHER + "hooks.before_start =", 3, "hooks.before_start", ["names no function"]),
        (WATCHER + "hooks.before_start = a.b, perhaps", 3, "hooks.before_start", ["'perhaps'"]),
        (WATCHER + "hooks.before_start = wait_for_prt(x:1)", 3, "hooks.before_start", ["did you mean 'wait_for_port'"]),
        (WATCHER + "on_failure = exti", 3, "on_failure", ["restart, exit, ignore", "did you mean 'exit'"]),
        (WATCHER + "ready = yes", 3, "ready", ["nothing, notify"]),
        (WATCHER + "stdin_socket = wbe\n" + SOCKET, 3, "stdin_socket", ["no socket 'wbe'", "did you mean 'web'"]),
        (WATCHER + "stdin_socket = web", 3, "stdin_socket", ["of which there are none"]),
        (WATCHER + "stdout_stream.class = FileStreem", 3, "stdout_stream.class", ["did you mean 'FileStream'"]),
        (WATCHER + "stdout_stream.class = FileStream", 3, "stdout_stream.class", ["stdout_stream.filename"]),
        (WATCHER + "stdout_stream.class = circus.stream.WatchedFileStream", 3, "stdout_stream.class", ["filename"]),
        (WATCHER + "stderr_stream.max_bytes = 3", 3, "stderr_stream.max_bytes", ["no class"]),
        (WATCHER + "stdout_stream.filename = x\nstdout_stream.max_bytes = 1M", 4, "stdout_stream.max_bytes", ["'1M'"]),
        (WATCHER + "[watcher:WEB]\ncmd = x", 3, "", ["letter case", "[watcher:web]", ":1"]),
        (SOCKET + "[socket:Web]\nport = 1", 3, "", ["letter case", "[socket:web]"]),
        (SOCKET + "family = AF_INTE", 3, "family", ["'AF_INTE'", "did you mean"]),
        (SOCKET + "family = AF_UNIX", 3, "family", ["path ="]),
        (SOCKET + "type = STREAM", 3, "type", ["SOCK_STREAM"]),
        ("[socket:web]\nport = 70000", 2, "port", ["65535"]),
        ("[socket:web]\numask = 8", 2, "umask", ["octal"]),
        (SOCKET + "[socket:b]\nhost = 0.0.0.0\nport = 8080", 5, "port", ["8080", "[socket:web]"]),
        (SOCKET + "[socket:b]\nport = 8080\nso_reuseport = yes", 4, "port", ["8080", "[socket:web]"]),
        (UDP + "[socket:b]\nport = 9\ntype = SOCK_DGRAM\nhost = 0.0.0.0", 5, "port", ["UDP port 9", "[socket:a]"]),
        (IPV6 + "[socket:b]\nport = 9", 6, "port", ["[socket:a]", "or ipv6_only = True in [socket:a]"]),
        ("[socket:b]\nport = 9\n" + IPV6, 5, "port", ["[socket:b]", "or ipv6_only = True in [socket:a]"]),
        (SOCKET + "[circus]\nhttpd = yes", 3, "httpd_port", ["8080", "port of [socket:web]"]),
        ("[socket:a]\npath = /x\n[socket:b]\npath = /x", 4, "path", ["/x", "[socket:a]"]),
        ("[socket:a]\npath = /x\n[socket:b]\npath = /./x", 4, "path", ["/x", "[socket:a]"]),
        ("[socket:a]\npath = /x\nso_reuseport = yes", 3, "so_reuseport", ["Unix"]),
        ("[socket:a]\npath = /nosuch/x", 2, "path", ["the folder /nosuch does not exist"]),
        ("[socket:a]\npath = /etc/passwd/x", 2, "path", ["the folder /etc/passwd is no folder"]),
        (f"[socket:a]\npath = /{'x' * 107}", 2, "path", ["108 bytes", "at most 107"]),
        ("[socket:a]\npath = /x\ninterface = lo", 3, "interface", ["Unix"]),
        ("[socket:a]\ninterface = loo", 2, "interface", ["no network interface 'loo'", "did you mean 'lo'"]),
        ("[socket:a]\nproto = tpc", 2, "proto", ["'tpc'", "tcp"]),
        ("[socket:a]\nproto = 2147483648", 2, "proto", ["a number", "tcp"]),
        ("[socket:a]\nproto = \u00b2", 2, "proto", ["a number", "tcp"]),
        ("[socket:a]\nbacklog = 2147483648", 2, "backlog", ["2147483647"]),
        ("[socket:a]\nsystemd = x\nso_reuseport = yes", 3, "so_reuseport", ["systemd"]),
        ("[socket:a]\nsystemd = x\n[socket:b]\nsystemd = x", 4, "systemd", ["[socket:a]"]),
        (WATCHER + "on_demand = yes\n" + SOCKET, 3, "on_demand", ["it has none;", "$(circus.sockets.NAME)"]),
        (ON_DEMAND + "port = 1\nso_reuseport = yes", 3, "on_demand", ["with so_reuseport"]),
        ("[circus]\nendpoint = tcp://*:1\nstats_endpoint = tcp://127.0.0.1:1", 3, "stats_endpoint", ["port 1"]),
        ("[circus]\nendpoint = ipc:///a\npubsub_endpoint = ipc:///a", 3, "pubsub_endpoint", ["/a", "endpoint"]),
        ("[circus]\nendpoint = 127.0.0.1:5555", 2, "endpoint", ["tcp://HOST:PORT"]),
        ("[circus]\nendpoint = tcp://127.0.0.1", 2, "endpoint", ["no port"]),
        ("[circus]\nmulticast_endpoint = tcp://1:2", 2, "multicast_endpoint", ["udp://"]),
        ("[circus]\nloglevel = chatty", 2, "loglevel", ["DEBUG"]),
        ("[circus]\numask = 0o8", 2, "umask", ["octal"]),
        ("[circus]\nauth = curv", 2, "auth", ["curve"]),
        ("[circus]\nevent_ring_size = 0", 2, "event_ring_size", ["at least 1"]),
        ("[circus]\nendpoint_owner = no-such-user", 2, "endpoint_owner", ["no-such-user"]),
        ("[plugin:flaping]\nwindow = 3", 1, "use", ["no plugin 'flaping'", "did you mean 'flapping'"]),
        ("[plugin:x]\nuse = statd", 2, "use", ["did you mean 'statsd'"]),
        ("[plugin:flapping]\nnumprocesses = 2", 2, "numprocesses", ["singleton"]),
    ],
)
def test_fault(write, text: str, line: int, option: str, words: list[str]) -> None:
    path = write(text)
    (fault,) = faults_of(path)
    assert (fault.file, fault.line, fault.option) == (path, line, option)
    assert "; accepted: " in fault.message
    assert all(word in fault.message for word in words), fault.message


@pytest.mark.parametrize(
    ("text", "line", "option", "words"),
    [
        ("[wathcer:web]\ncmd = x", 1, "", ["unknown section", "[watcher:web]"]),
        ("[Watcher:web]\ncmd = x", 1, "", ["did you mean [watcher:web]"]),
        ("[watcher]\ncmd = x", 1, "", ["no name"]),
        ("[cirucs]\nendpoint = x", 1, "", ["did you mean [circus]"]),
        ("[else]\na = b", 1, "", ["unknown section"]),
        (WATCHER + "gracefull_timeout = 3", 3, "gracefull_timeout", ["did you mean graceful_timeout"]),
        (WATCHER + "NumProcesses = 3", 3, "NumProcesses", ["did you mean numprocesses"]),
        (WATCHER + "hook.before_start = a.b", 3, "hook.before_start", ["did you mean hooks.before_start"]),
        (
            WATCHER + "stdout_stream.class = StdoutStream\nstdout_stream.colour = x",
            4,
            "stdout_stream.colour",
            ["no option"],
        ),
        ("[circus]\ncheck_dely = 3", 2, "check_dely", ["did you mean check_delay"]),
        ("[circus]\nsomething = 3", 2, "something", ["ignored", "accepted: endpoint, "]),
        (SOCKET + "frobs = 3", 3, "frobs", ["ignored; accepted: host, port, "]),
        ("[socket:a]\nsystemd = x\nport = 3", 3, "port", ["without effect"]),
        ("[socket:a b]\nport = 3", 1, "", ["$(circus.sockets.NAME)", "blanks"]),
        ("[socket:a(b]\nport = 3", 1, "", ["$(circus.sockets.NAME)", "parentheses"]),
        (WATCHER + "idle_timeout = 3", 3, "idle_timeout", ["without effect", "on_demand = True"]),
        ("[env]\nX = $(circus.sockets.wbe)\n" + WATCHER + SOCKET, 3, "env", ["no socket 'wbe'", "'web'"]),
        (SOCKET + "backlogs = 3", 3, "backlogs", ["did you mean backlog"]),
        ("[watcher:web]\ncmd = web $WID", 2, "cmd", ["$(circus.wid)"]),
        ("[watcher:web]\ncmd = web $(circus.sockets.wbe)\n" + SOCKET, 2, "cmd", ["no socket 'wbe'", "'web'"]),
        ("[circus]\ninclude = nothing*.ini", 2, "include", ["matches no file"]),
        ("[circus]\ninclude_dir = nothing", 2, "include_dir", ["matches no file"]),
    ],
)
def test_warning_that_strict_makes_a_fault(write, text: str, line: int, option: str, words: list[str]) -> None:
    path = write(text)
    (warning,) = load(path).warnings
    assert (warning.line, warning.option) == (line, option)
    assert all(word in warning.message for word in words), warning.message
    assert faults_of(path, strict=True) == [warning]


@pytest.mark.parametrize(
    "text",
    [
        WATCHER + "flapping.max_retry = 3\nsomething_quite_different = 4\nx.gracefull_timeout = 3",
        WATCHER + "uid = 12345\ngid = 54321\nexecutable =\nuid =\nstop_signal = 15",
        "[plugin:flapping]\nwindow = 3\npriority = 2",
        "[watcher:w]\n[socket:s]",
        "[socket:my.web-1:\u00e4]\nport = 3",
        "[socket:a]\nproto = ipv6-icmp\n[socket:b]\nport = 9\nproto = MPTCP",
        SOCKET + "so_reuseport = yes\n[socket:b]\nport = 8080\nso_reuseport = yes",
        SOCKET + "[socket:b]\nport = 8080\nhost = 10.0.0.1\n[socket:c]\nport = 8080\ntype = SOCK_DGRAM",
        IPV6 + "ipv6_only = yes\n[socket:b]\nhost = 0.0.0.0\nport = 9",
        "[circus]\nendpoint = tcp://127.0.0.1:0\npubsub_endpoint = tcp://127.0.0.1:0",
        "[circus]\nendpoint = tcp://*:5555\nmulticast_endpoint =\nloglevel = Debug\ncheck_delay = -1",
        "",
        "# nothing\n",
    ],
)
def test_nothing_to_complain_about(write, text: str) -> None:
    assert load(write(text), strict=True).warnings == []


def test_faults_are_in_the_order_of_files_and_lines(write) -> None:
    write("[watcher:b]\nuid = nosuch-1\ncmd = b\n", "b.ini")
    path = write("[circus]\ninclude = b.ini\numask = 9\n[watcher:a]\nuid = nosuch-2\n")
    assert [(fault.file[-5:], fault.line) for fault in faults_of(path)] == [
        ("s.ini", 3),
        ("s.ini", 4),
        ("s.ini", 5),
        ("b.ini", 2),
    ]


def test_a_missing_file_is_one_fault(tmp_path) -> None:
    path = str(tmp_path / "missing.ini")
    (fault,) = faults_of(path)
    assert (
        str(fault)
        == f"{path}: cannot be read: No such file or directory; accepted: a file that circusd's user may read"
    )


def test_check_gives_faults_and_warnings(write) -> None:
    path = write(WATCHER + "numprocesses = x\ngracefull_timeout = 3\nhooks.before_start = no_such_module.f")
    faults, warnings = check(path)
    assert [fault.line for fault in faults] == [3, 5]
    assert [warning.line for warning in warnings] == [4]
    faults, warnings = check(path, strict=True)
    assert [fault.line for fault in faults] == [3, 4, 5]
    assert warnings == []


def test_percent_signs_are_plain_text(write) -> None:
    config = load(write(WATCHER + "stdout_stream.filename = x\nstdout_stream.time_format = %d%%(a)s %\n"))
    assert config.watchers[0].stdout_stream["time_format"] == "%d%%(a)s %"


def test_variables_work_in_every_section(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUS_TEST_PORT", "8123")
    variable = "$(circus.env.CIRCUS_TEST_PORT)"
    config = load(
        write(
            f"[circus]\nhttpd_port = {variable}\n[socket:s]\nport = {variable}\n"
            f"[watcher:w]\ncmd = w\npriority = {variable}\nrlimit_nofile = {variable}\nmine = {variable}\n"
            f"[plugin:statsd]\nport = {variable}\n[env]\nPORT = {variable}\n"
        )
    )
    assert config.circus.httpd_port == config.sockets[0].port == config.watchers[0].priority == 8123
    assert config.watchers[0].rlimits == {"nofile": 8123}
    assert config.watchers[0].extra["mine"] == config.plugins[0].config["port"] == config.env["PORT"] == "8123"


def test_a_negative_limit_is_infinity(write) -> None:
    assert load(write(WATCHER + "rlimit_core = -1\nrlimit_NOFILE = 5")).watchers[0].rlimits == {
        "core": None,
        "nofile": 5,
    }


def test_patterns_of_environments(write) -> None:
    config = load(
        write(
            "[env]\nA = 0\n[env:x, web*]\nA = 1\n[env:WEB]\nA = 2\n[env:plugin:*]\nA = 3\n"
            + WATCHER
            + "[plugin:statsd]"
        )
    )
    assert config.watchers[0].env == {"A": "1"}
    assert config.plugins[0].watcher.env == {"A": "3"}


def test_blanks_around_the_name_of_a_section_do_not_count(write) -> None:
    config = load(write("[ watcher : a b ]\ncmd = x\n[watcher:a b]\nargs = y\n"), strict=True)
    assert [(watcher.name, watcher.cmd, watcher.args) for watcher in config.watchers] == [("a b", "x", "y")]


_words = st.sampled_from(
    ["[watcher:a]", "[watcher:A]", "[socket:s]", "[plugin:flapping]", "[env]", "[env:a,*]", "[circus]", "[watcher:]"]
    + [f"{option} = {value}" for option in ("cmd", "numprocesses", "uid", "port", "path", "hooks.before_start", "use")
       for value in ("", "1", "two", "$(circus.env.HOME)", "a.b.c, true", "'", '"""', "#", ";")]
    + ["rlimit_nofile = 3", "rlimit_x = 1", "stdout_stream.class = FileStream", 'stdout_stream.a"b = 1', "  continued"]
    + ["__many__ = 1", "stdout_stream.filename = x", "stdin_socket = S", "nonsense", "include_dir = nowhere", "A = $A"]
)  # fmt: skip


@given(st.lists(_words | st.text(max_size=10), max_size=25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_file_loads_or_has_faults(write, lines: list[str]) -> None:
    path = write("\n".join(lines).encode("utf-8", "replace").decode())
    try:
        config = load(path)
    except ConfigError as error:
        assert error.faults
        assert all(str(fault).startswith(path) for fault in error.faults)
    else:
        assert not diff(config, load(path))
        get_config(path)


def test_loading_needs_few_modules(write) -> None:
    import subprocess
    import sys

    path = write(WATCHER)
    code = f"import sys; from circus.config import load; load({path!r}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert not {"asyncio", "zmq", "tornado", "psutil", "importlib.metadata", "subprocess"} & set(loaded.stdout.split())


@pytest.mark.parametrize("option", ["use_sockets = yes", "stdin_socket = web", "args = $(circus.sockets.web)"])
def test_a_socket_of_its_own_is_enough_for_on_demand(write, option: str) -> None:
    text = WATCHER + f"on_demand = yes\n{option}\n" + SOCKET + "[socket:own]\nport = 0\nso_reuseport = yes\n"
    assert load(write(text)).watchers[0].on_demand


def test_the_folder_of_the_endpoints_need_not_be_there(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """circusd makes it before it binds sockets."""
    monkeypatch.setattr("circus.config.sockets.runtime_dir", lambda: str(tmp_path / "run"))
    assert load(write(f"[socket:a]\npath = {tmp_path}/run/a\n")).sockets
