"""Each option of a file has its effect. The processes are plain ones, looked at from outside, in /proc."""

from __future__ import annotations

import ctypes
import grp
import itertools
import json
import os
import pwd
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.config.schema import WATCHER
from tests.seen import Seen, look
from tests.support import DEADLINE, Circusd, daemon, wait_until

SLEEP = "cmd = sleep 300"
OUTSIDE = {"OUTER": "from outside", "SHARED": "from outside"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


def virtualenv(folder: Path, *versions: str) -> Path:
    """Make what looks like a virtual environment for some versions of Python."""
    (folder / "bin").mkdir(parents=True)
    for version in versions:
        (folder / "lib" / f"python{version}" / "site-packages").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def many() -> Iterator[Circusd]:
    """One daemon with a watcher for each of many options."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    with daemon() as circusd:
        virtualenv(circusd.folder / "venv", own, "3.1")
        circusd.start(
            f"""
            [watcher:plain]
            {SLEEP}
            [watcher:args]
            cmd = sleep
            args = 30$(circus.wid) "299"
            [watcher:executable]
            cmd = another-name 300
            executable = sleep
            [watcher:shell]
            cmd = cd / && exec sleep
            args = $((100 + 200)) | cat
            shell = True
            [watcher:shell_args]
            cmd = exec sleep "$1"
            shell = True
            shell_args = zero "298"
            [watcher:working_dir]
            {SLEEP}
            working_dir = /usr/share
            [watcher:limits]
            {SLEEP}
            rlimit_NOFILE = 100
            rlimit_core =
            rlimit_nproc = 5000
            [watcher:nofile_infinity]
            {SLEEP}
            rlimit_nofile =
            [watcher:copy_env]
            {SLEEP}
            copy_env = True
            [watcher:copy_path]
            {SLEEP}
            copy_env = True
            copy_path = True
            [watcher:venv]
            {SLEEP}
            copy_env = True
            virtualenv = {circusd.folder}/venv
            [watcher:venv_version]
            {SLEEP}
            copy_env = True
            virtualenv = {circusd.folder}/venv
            virtualenv_py_ver = 3.1
            [watcher:stdin]
            {SLEEP}
            close_child_stdin = False
            [watcher:stdout]
            {SLEEP}
            close_child_stdout = True
            [watcher:stderr]
            {SLEEP}
            close_child_stderr = True
            [watcher:variables]
            cmd = sh -c "sleep 300; :" $(circus.wid) $(circus.env.SHARED) ((circus.env.layer)) "((circus.env.outer))"
                $(circus.numprocesses) ((CIRCUS.Graceful_Timeout)) $(circus.nosuch) $WID
            args = $(circus.working_dir) $(circus.cmd_of_another) ((circus.priority))
            graceful_timeout = 7.5
            [watcher:own_folder]
            cmd = sh -c "sleep 300; :" $(circus.working_dir)
            working_dir = /usr/share
            [watcher:free]
            {SLEEP}
            flapping.attempts = 4
            anything.at = all, of it
            singleton = True
            [env]
            SHARED = everywhere
            LAYER = lowest
            JOINED = $SHARED/${{OUTER}}/$(circus.env.outer)
            [env:ar*, copy_env]
            LAYER = middle
            JOINED = $JOINED+
            [env:args]
            LAYER = highest
            """,
            "umask = 027",
            env=OUTSIDE,
            stdin=subprocess.PIPE,
        )
        yield circusd
        assert circusd.process is not None and circusd.process.stdin is not None
        circusd.process.stdin.close()


def test_defaults(many: Circusd) -> None:
    seen = look(many, "plain")
    assert seen.argv == ["sleep", "300"]
    assert seen.cwd == str(many.folder)
    assert seen.descriptor(0) == "/dev/null"
    assert seen.descriptor(1) == seen.descriptor(2) == str(many.log)
    assert {name for name in seen.env if not name.startswith("CIRCUS_")} == {"SHARED", "LAYER", "JOINED"}


def test_args(many: Circusd) -> None:
    assert look(many, "args").argv == ["sleep", "301", "299"]


def test_executable(many: Circusd) -> None:
    (pid,) = many.pids("executable")
    assert Seen(pid).argv == ["another-name", "300"]
    assert Path(Seen(pid).program).name in ("sleep", "coreutils")


def test_shell(many: Circusd) -> None:
    seen = look(many, "shell", "sh")
    assert seen.argv == ["/bin/sh", "-c", "cd / && exec sleep $((100 + 200)) | cat"]

    def children() -> list[list[str]]:
        found = (seen.folder / "task" / seen.folder.name / "children").read_text().split()
        return sorted(Seen(int(pid)).argv for pid in found)

    wait_until(lambda: children() == [["cat"], ["sleep", "300"]], "the shell runs its pipe")


def test_shell_args(many: Circusd) -> None:
    assert look(many, "shell_args").argv == ["sleep", "298"]


def test_working_dir(many: Circusd) -> None:
    assert look(many, "working_dir").cwd == "/usr/share"


def test_limits(many: Circusd) -> None:
    seen, plain = look(many, "limits"), look(many, "plain")
    assert seen.limit("open files") == ("100", "100")
    assert seen.limit("processes") == ("5000", "5000")
    assert seen.limit("core file size") == ("unlimited", "unlimited")
    hard = plain.limit("open files")[1]
    assert look(many, "nofile_infinity").limit("open files") == (hard, hard)
    assert plain.limit("open files") != ("100", "100")


def test_environment_sections(many: Circusd) -> None:
    joined = "everywhere/from outside/from outside"
    plain = look(many, "plain").env
    assert (plain["LAYER"], plain["JOINED"]) == ("lowest", joined)
    args = look(many, "args").env
    assert (args["LAYER"], args["JOINED"]) == ("highest", f"{joined}+")
    copied = look(many, "copy_env").env
    assert (copied["LAYER"], copied["JOINED"]) == ("middle", f"{joined}+")


def test_copy_env(many: Circusd) -> None:
    copied = look(many, "copy_env").env
    assert (copied["OUTER"], copied["SHARED"]) == ("from outside", "everywhere")
    assert copied["PATH"] == os.environ["PATH"]
    assert "NOTIFY_SOCKET" not in copied, "what systemd told circusd is circusd's"
    assert "OUTER" not in look(many, "plain").env


def test_copy_path(many: Circusd) -> None:
    entries = look(many, "copy_path").env["PYTHONPATH"].split(":")
    assert os.path.dirname(os.__file__) in entries
    assert os.path.dirname(os.__file__) not in look(many, "copy_env").env.get("PYTHONPATH", "").split(":")


def test_virtualenv(many: Circusd) -> None:
    env, home = look(many, "venv").env, many.folder / "venv"
    assert env["VIRTUAL_ENV"] == str(home)
    assert env["PATH"].split(":")[:2] == [f"{home}/bin", os.environ["PATH"].split(":")[0]]
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert env["PYTHONPATH"].split(":")[0] == f"{home}/lib/{own}/site-packages"


def test_virtualenv_py_ver(many: Circusd) -> None:
    expected = f"{many.folder}/venv/lib/python3.1/site-packages"
    assert look(many, "venv_version").env["PYTHONPATH"].split(":")[0] == expected


def test_standard_descriptors(many: Circusd) -> None:
    log, null = str(many.log), "/dev/null"

    def descriptors(name: str) -> tuple[str, ...]:
        seen = look(many, name)
        return tuple(seen.descriptor(number) for number in range(3))

    assert many.process is not None
    own = Seen(many.process.pid).descriptor(0)
    assert own.startswith("pipe:")
    assert descriptors("stdin") == (own, log, log)
    assert descriptors("stdout") == (null, null, log)
    assert descriptors("stderr") == (null, log, null)


def test_umask(many: Circusd) -> None:
    assert look(many, "plain").status("Umask") == ["0027"]


def test_variables(many: Circusd) -> None:
    words = look(many, "variables", "sh").argv[3:]
    assert words == [
        *("1", "everywhere", "lowest", "from outside", "1", "7.5", "$(circus.nosuch)", "1"),
        *(str(many.folder), "$(circus.cmd_of_another)", "0"),
    ]
    assert look(many, "own_folder", "sh").argv[3:] == ["/usr/share"]
    options = many.ok("get", name="variables", keys=["cmd"])["options"]
    assert "$(circus.wid)" in options["cmd"], "expanded at each spawn, not before"
    assert "from outside" in options["cmd"], "but the environment at once"
    assert sum("$WID is deprecated" in line for line in many.output().splitlines()) == 1


def test_options_that_plugins_read(many: Circusd) -> None:
    keys = {"flapping.attempts": "4", "anything.at": "all, of it"}
    assert many.ok("get", name="free", keys=list(keys))["options"] == keys
    assert many.ok("options", name="free")["options"].items() >= keys.items()


def test_options_shows_what_the_file_says(many: Circusd) -> None:
    shown = many.ok("options", name="limits")["options"]
    assert (shown["rlimit_nofile"], shown["rlimit_core"]) == (100, None)
    assert many.ok("options", name="args")["options"]["env"]["LAYER"] == "highest"
    assert many.ok("options", name="plain")["options"]["working_dir"] == str(many.folder)


def groups_of(name: str) -> set[int]:
    return set(os.getgrouplist(name, pwd.getpwnam(name).pw_gid))


@as_root
def test_users_and_groups(circusd: Circusd) -> None:
    user = max(pwd.getpwall(), key=lambda entry: len(groups_of(entry.pw_name)) if entry.pw_uid else 0)
    other = next(entry for entry in grp.getgrall() if entry.gr_gid not in {0, *groups_of(user.pw_name)})
    circusd.start(
        f"""
        [watcher:by_name]
        {SLEEP}
        uid = {user.pw_name}
        [watcher:by_number]
        {SLEEP}
        uid = {user.pw_uid}
        rlimit_nofile = 100
        [watcher:both]
        {SLEEP}
        uid = {user.pw_name}
        gid = {other.gr_name}
        [watcher:group]
        {SLEEP}
        gid = {other.gr_gid}
        """,
        extra_groups=[0, 54321],
    )

    def identity(name: str) -> tuple[set[str], set[str], set[int]]:
        seen = look(circusd, name)
        return set(seen.status("Uid")), set(seen.status("Gid")), set(map(int, seen.status("Groups")))

    uid, gid, groups = {str(user.pw_uid)}, {str(user.pw_gid)}, groups_of(user.pw_name)
    assert identity("by_name") == (uid, gid, groups)
    assert identity("by_number") == (uid, gid, groups)
    with_other = set(os.getgrouplist(user.pw_name, other.gr_gid))
    assert identity("both") == (uid, {str(other.gr_gid)}, with_other)
    assert identity("group") == ({"0"}, {str(other.gr_gid)}, {0, 54321})


def test_what_a_watcher_names_and_the_system_does_not_have(circusd: Circusd) -> None:
    over = int(Path("/proc/sys/fs/nr_open").read_text()) + 1
    circusd.start(
        f"""
        [watcher:limit]
        {SLEEP}
        rlimit_nofile = {over}
        autostart = False
        [watcher:folder]
        {SLEEP}
        working_dir = /nowhere/at/all
        autostart = False
        [watcher:venv]
        {SLEEP}
        copy_env = True
        virtualenv = /nowhere/at/all
        autostart = False
        [watcher:fine]
        {SLEEP}
        """,
    )
    for name, words in {
        "limit": ("limits: ", f"rlimit_nofile = {over} is above"),
        "folder": ("chdir: ", "working_dir /nowhere/at/all: No such file"),
        "venv": ("virtualenv '/nowhere/at/all' is not a folder",),
    }.items():
        reply = circusd.call("start", name=name, waiting=True)
        assert (reply["status"], reply["errno"]) == ("error", 6)
        assert all(word in reply["reason"] for word in (f"{name}: ", *words)), reply["reason"]
        assert f"error in '{name}'" in circusd.output()
        assert circusd.ok("status", name=name)["status"] == "stopped"
    assert circusd.ok("status", name="fine")["status"] == "active"


def without_the_right_to_raise_limits() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
    if os.geteuid() == 0:
        drop_capability, sys_resource = 24, 24
        ctypes.CDLL(None).prctl(drop_capability, sys_resource, 0, 0, 0)


# The child is made by fork, and warns where there are threads.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_limit_above_the_hard_limit(circusd: Circusd) -> None:
    circusd.start(
        f"[watcher:w]\n{SLEEP}\nrlimit_nofile = 501\nautostart = False\n[watcher:fits]\n{SLEEP}\nrlimit_nofile =",
        preexec_fn=without_the_right_to_raise_limits,
    )
    reason = circusd.call("start", name="w", waiting=True)["reason"]
    assert "rlimit_nofile = 501 is above the hard limit 500" in reason
    assert "start circusd with a higher hard limit" in reason
    assert look(circusd, "fits").limit("open files") == ("500", "500")


def test_warmup_delay_within_a_watcher(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 3\nwarmup_delay = 0.3\nautostart = False")
    events = circusd.subscribe()
    circusd.ok("start", name="w")
    times = [event.data["time"] for event in events.of("spawn", watcher="w")]
    assert len(times) == 3
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.29


def test_graceful_timeout(circusd: Circusd) -> None:
    deaf = "cmd = sh -c \"trap '' TERM; touch deaf; while :; do sleep 0.05; done\""
    circusd.start(f"[watcher:w]\n{deaf}\ngraceful_timeout = 0.4")
    wait_until((circusd.folder / "deaf").exists, "the trap is set")
    events = circusd.subscribe()
    circusd.ok("stop", name="w")
    first, second = events.of("kill", watcher="w")
    assert (first.data["signum"], second.data["signum"]) == (15, 9)
    assert 0.39 <= second.data["mono"] - first.data["mono"] < 10
    assert events.of("reap", watcher="w")[0].data["exit_code"] == -9


def test_max_age_variance(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 10\nmax_age = 0.2\nmax_age_variance = 3\nautostart = False\n")
    events = circusd.subscribe()
    circusd.ok("start", name="w")
    events.wait_for("reap", watcher="w", count=10)
    born = {event.data["process_pid"]: event.data["mono"] for event in events.of("spawn", watcher="w")}
    ages = [event.data["mono"] - born[event.data["process_pid"]] for event in events.of("reap", watcher="w")]
    assert {event.data["reason"] for event in events.of("reap", watcher="w")} == {"max_age"}
    assert min(ages) >= 0.19
    assert max(ages) - min(ages) > 0.5


@pytest.mark.parametrize("policy", ["restart", "ignore"])
def test_on_failure(circusd: Circusd, policy: str) -> None:
    circusd.start(
        f"[watcher:w]\ncmd = /nowhere/program\nmax_retry = 2\nautostart = False\non_failure = {policy}\n"
        f"[watcher:other]\n{SLEEP}"
    )
    events = circusd.subscribe()
    reply = circusd.call("start", name="w", waiting=True)
    assert len(events.of("spawn_failed", watcher="w")) == 2
    assert circusd.ok("status", name="w")["status"] == "stopped"
    assert (reply["status"], len(events.of("gave_up", watcher="w"))) == (
        ("error", 1) if policy == "restart" else ("ok", 0)
    )
    assert ("gave up" in circusd.ok("explain", name="w")["reason"]) == (policy == "restart")
    assert circusd.ok("status", name="other")["status"] == "active"


LATER = """
[watcher:w]
{sleep}
use_sockets = True
stdin_socket = web
on_demand = True
idle_timeout = 5
stdout_stream.class = FileStream
stdout_stream.filename = {folder}/out
stderr_stream.class = StdoutStream
[watcher:other]
{sleep}
[socket:Web]
port = 0
[plugin:flapping]
[plugin:watchdog]
active = False
"""


def test_what_is_not_served_yet_is_told_and_the_rest_runs(circusd: Circusd) -> None:
    circusd.start(
        LATER.format(sleep=SLEEP, folder=circusd.folder),
        f"statsd = True\nhttpd = True\nstats_endpoint = ipc://{circusd.folder}/stats",
    )
    told = re.findall(r"\[WARNING\] (\[.*?)not served yet: .+", circusd.output())
    assert told == ["[circus] httpd: "]
    statuses = circusd.ok("status")["statuses"]
    assert statuses.pop("w") == "stopped"
    assert set(statuses.values()) == {"active"}
    shown = circusd.ok("options", name="w")["options"]
    assert (shown["on_demand"], shown["use_sockets"], shown["stdin_socket"]) == (True, True, "web")
    assert shown["idle_timeout"] == 5
    assert shown["stdout_stream_conf"] == {"filename": f"{circusd.folder}/out"}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("use_sockets = perhaps", "neither yes nor no"),
        ("on_demand = perhaps", "neither yes nor no"),
        ("stdin_socket = nosuch", "there is no socket"),
        ("idle_timeout = -1", "out of range"),
        ("hook_timeout = x", "not a number"),
        ("hooks.before_start = nosuch", "there is no hook function"),
        ("hooks.before_lunch = a.b", "there is no hook"),
        ("stdout_stream.class = NoStream", "there is no stream"),
        ("stderr_stream.class = FileStream", "needs filename"),
    ],
)
def test_what_is_not_served_yet_is_checked(circusd: Circusd, option: str, words: str) -> None:
    circusd.write(f"[watcher:w]\n{SLEEP}\n{option}\n")
    assert circusd.launch().wait(DEADLINE) == 1
    assert f"[watcher:w] {option.split()[0]}: " in circusd.output()
    assert words in circusd.output()


def test_keys_are_not_taken_for_checked(circusd: Circusd) -> None:
    circusd.write(f"[watcher:w]\n{SLEEP}", "auth = curve")
    assert circusd.launch().wait(DEADLINE) == 1
    assert "[circus] auth" in circusd.output()


def test_options_of_the_daemon(circusd: Circusd) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = f"udp://237.219.251.97:{port}"
    circusd.start(
        f"[watcher:w]\n{SLEEP}",
        f"check_delay = 2.5\nproc_name = my-circus\npidfile = {circusd.folder}/pid\nevent_ring_size = 20\n"
        f"stats_endpoint = ipc://{circusd.folder}/stats\nmulticast_endpoint = {group}",
    )
    assert circusd.ok("globaloptions")["options"] == {
        "endpoint": circusd.endpoint,
        "pubsub_endpoint": circusd.pubsub_endpoint,
        "stats_endpoint": f"ipc://{circusd.folder}/stats",
        "check_delay": 2.5,
        "multicast_endpoint": group,
    }
    assert circusd.process is not None
    assert Path(f"/proc/{circusd.process.pid}/comm").read_text() == "my-circus\n"
    assert (circusd.folder / "pid").read_text() == f"{circusd.process.pid}\n"
    assert ask_where(port) == {"endpoint": circusd.endpoint}
    for _ in range(6):
        circusd.ok("restart", name="w")
    kept = circusd.ok("events", since=0)
    assert (len(kept["events"]), kept["truncated"]) == (20, True)
    assert kept["events"][-1]["data"]["seq"] == kept["last_seq"] > 20
    assert circusd.stop() == 0
    assert not (circusd.folder / "pid").exists()


def ask_where(port: int) -> Any:
    """Ask the multicast group on this machine where circusd's endpoint is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(DEADLINE)
        asking.sendto(b"where?", ("127.0.0.1", port))
        return json.loads(asking.recv(1024))


@as_root
def test_endpoint_owner(circusd: Circusd) -> None:
    circusd.start(f"[watcher:w]\n{SLEEP}", "endpoint_owner = nobody")
    assert (circusd.folder / "endpoint").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    reply = circusd.call("add", name="mine", cmd="sleep 300")
    assert (reply["errno"], reply["reason"]) == (3, "uid does not match endpoint_owner")
    circusd.ok("add", name="mine", cmd="sleep 300", options={"uid": "nobody"}, start=True)
    assert look(circusd, "mine").status("Uid") == [str(pwd.getpwnam("nobody").pw_uid)] * 4


def test_includes(circusd: Circusd) -> None:
    parts = circusd.folder / "parts"
    parts.mkdir()
    (parts / "b.ini").write_text(f"[watcher:b]\n{SLEEP}\nnumprocesses = 2\n[watcher:w]\nnumprocesses = 9\n")
    (parts / "a.ini").write_text(f"[watcher:a]\n{SLEEP}\n[watcher:b]\nnumprocesses = 3\n")
    (circusd.folder / "one.conf").write_text(f"[watcher:c]\n{SLEEP}\nnumprocesses = 0\n")
    circusd.start(f"[watcher:w]\n{SLEEP}\nnumprocesses = 1", "include = one.conf nosuch*.conf\ninclude_dir = parts")
    assert {name: len(circusd.pids(name)) for name in circusd.ok("list")["watchers"]} == {
        "a": 1,
        "b": 3,
        "c": 0,
        "w": 1,
    }
    assert re.search(r"WARNING.*nosuch\*\.conf", circusd.output())


def test_every_option_of_a_watcher_is_tested() -> None:
    """By its name, here, or where supervision or the command set is tested."""
    folder = Path(__file__).parent
    text = "".join((folder / name).read_text() for name in ("test_options.py", "test_set.py", "test_supervision.py"))
    missing = [row.name for row in WATCHER.values() if (row.prefix or row.name) not in text]
    assert not missing
