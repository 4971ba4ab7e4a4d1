"""Real children with sockets, in both dialects, and that all else is as without sockets."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from circus.config.schema import WatcherSettings
from circus.exc import SpawnError
from circus.kernel import tree
from circus.launch.outfit import Outfit
from circus.launch.spawn import spawn
from tests.seen import output_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

PROBE = """
import json, os, resource, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
descriptors = {}
for name in os.listdir("/proc/self/fd"):
    try:
        descriptors[name] = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        pass  # what listed the folder
print(json.dumps({
    "argv": sys.argv[1:],
    "env": dict(os.environ),
    "cwd": os.getcwd(),
    "descriptors": descriptors,
    "status": {name: status[name].split() for name in "Uid Gid Groups CapEff Umask SigBlk SigCgt".split()},
    # glibc keeps 32 and 33 for itself: nobody can set them, and whoever started this test may have ignored them.
    "ignored": int(status["SigIgn"], 16) & ~(1 << 31 | 1 << 32),
    "leads": os.getsid(0) == os.getpid(),
    "pid": os.getpid(),
    "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
}))
"""


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    children, descriptors = set(tree.own_children()), os.listdir("/proc/self/fd")
    yield
    assert set(tree.own_children()) <= children
    assert os.listdir("/proc/self/fd") == descriptors


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """Three sockets of one's own: as circusd's, and in no order of their descriptors."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        yield [made[2], made[0], made[1]]


@pytest.fixture(params=["sh", "bash"])
def shell(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The shell of the system, and one that does more with its environment, as /bin/sh is elsewhere."""
    if request.param != "sh":
        found = shutil.which(request.param)
        if found is None:
            pytest.skip(f"there is no {request.param} here")
        (tmp_path / "sh").symlink_to(found)
        monkeypatch.setattr("circus.launch.sockets.SHELL", str(tmp_path / "sh"))
    return str(request.param)


@pytest.fixture
def probe(tmp_path: Path) -> str:
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    return f"{sys.executable} -I {script}"


def start(cmd: str, outfit: Outfit, **options: object) -> int:
    return spawn(WatcherSettings(name="w", cmd=cmd, **options), wid=2, mark="b.1.1.1", outfit=outfit)  # type: ignore[arg-type]


def run(cmd: str, outfit: Outfit, **options: object) -> str:
    """Run a command to its end and return what it wrote."""
    return output_of(lambda writing: start(cmd, replace(outfit, stdout=writing, stderr=writing), **options))


def look(cmd: str, outfit: Outfit, **options: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(cmd, outfit, **options))
    return found


def outfit_of(listeners: list[socket.socket], told: int = 3) -> Outfit:
    return Outfit(
        sockets=dict(zip(("web", "api", "admin:2"), (one.fileno() for one in listeners), strict=False)), told=told
    )


def inode(listener: socket.socket) -> str:
    return os.readlink(f"/proc/self/fd/{listener.fileno()}")


# -- both dialects ---------------------------------------------------------------------------------------------------


def test_sockets_that_are_named_keep_their_numbers(listeners: list[socket.socket], probe: str) -> None:
    outfit = outfit_of(listeners, told=0)
    words = "$(circus.sockets.web) ((circus.sockets.API)) $(circus.sockets.admin:2)"
    environment = {"BIND": "fd://$(circus.sockets.web)"}
    found = look(f"{probe} {words}", outfit, env=environment)
    assert found["argv"] == [str(one.fileno()) for one in listeners]
    assert [found["descriptors"][number] for number in found["argv"]] == [inode(one) for one in listeners]
    assert found["env"]["BIND"] == f"fd://{listeners[0].fileno()}"
    assert not [name for name in found["env"] if name.startswith("LISTEN")]
    text = run('exec echo "$0 $1"', outfit, shell=True, shell_args="zero $(circus.sockets.api)")
    assert text == f"zero {listeners[1].fileno()}\n"


def test_sockets_that_are_told_stand_in_their_order_from_three_on(listeners: list[socket.socket], probe: str) -> None:
    found = look(f"{probe} $(circus.sockets.api)", outfit_of(listeners), working_dir="/usr")
    assert [found["descriptors"][number] for number in ("3", "4", "5")] == [inode(one) for one in listeners]
    env = found["env"]
    assert (env["LISTEN_FDS"], env["LISTEN_PID"], env["LISTEN_FDNAMES"]) == ("3", str(found["pid"]), "web:api:admin_2")
    assert found["argv"] == ["4"]


def test_only_what_is_told_is_told(listeners: list[socket.socket], probe: str) -> None:
    found = look(probe, outfit_of(listeners, told=1))
    assert (found["env"]["LISTEN_FDS"], found["env"]["LISTEN_FDNAMES"]) == ("1", "web")
    assert found["descriptors"]["5"] == inode(listeners[2])


def test_without_sockets_nothing_is_told(probe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor of those that circusd itself was given."""
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    assert not [name for name in look(probe, Outfit(), copy_env=True)["env"] if name.startswith("LISTEN")]


@pytest.mark.parametrize("count", [1, 3, 12])
def test_sockets_whose_places_are_taken_by_one_another(probe: str, count: int) -> None:
    """Their descriptors in circusd are the numbers that they get in the child, in another order."""
    code = f"""
        import json, os, socket
        os.closerange(3, 256)
        made = [socket.socket() for _ in range({count})]
        assert sorted(one.fileno() for one in made) == list(range(3, 3 + {count})), made
        made = made[1:] + made[:1]
        outfit = Outfit(made[0].fileno(), sockets={{str(n): one.fileno() for n, one in enumerate(made)}}, told=2)
        os.waitpid(spawn(WatcherSettings(name="w", cmd={probe!r}), wid=1, mark="m", outfit=outfit), 0)
        print(json.dumps([os.readlink(f"/proc/self/fd/{{one.fileno()}}") for one in made]))
        """
    found, names = map(json.loads, in_subprocess(code).stdout.splitlines())
    assert found["descriptors"]["0"] == names[0]
    assert [found["descriptors"][str(3 + place)] for place in range(count)] == names
    assert len(found["descriptors"]) == 3 + count


def in_subprocess(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own, where descriptors and signals may be changed."""
    before = (
        "from circus.config.schema import WatcherSettings\nfrom circus.launch.spawn import spawn\n"
        "from circus.launch.outfit import Outfit\nfrom circus.launch import syscalls\n"
    )
    arguments = [sys.executable, "-c", before + textwrap.dedent(code)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=50, check=True, **options)


# -- descriptors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [0, 3])
def test_no_other_descriptor(listeners: list[socket.socket], probe: str, told: int) -> None:
    held = [os.pipe() for _ in range(20)]
    reading, writing = os.pipe()
    outfit = Outfit(inherited=(writing,), sockets=outfit_of(listeners).sockets, told=told)
    found = look(probe, outfit)
    assert sorted(map(int, found["descriptors"])) == sorted([0, 1, 2, *outfit.numbers.values(), writing])
    assert found["descriptors"][str(writing)] == os.readlink(f"/proc/self/fd/{writing}")
    assert not os.get_inheritable(writing)
    for pair in [*held, (reading, writing)]:
        for descriptor in pair:
            os.close(descriptor)


@pytest.mark.parametrize("sealed", [True, False], ids=["circusd", "a program that embeds it"])
def test_what_was_inherited_is_not_handed_on(probe: str, sealed: bool) -> None:
    reading, writing = os.pipe()
    code = f"""
        import fcntl, os, socket
        {"syscalls.cloexec_inherited()" if sealed else ""}
        one = socket.socket()
        for used in ((), ({writing},)):
            outfit = Outfit(inherited=used, sockets={{"web": one.fileno()}}, told=1)
            os.waitpid(spawn(WatcherSettings(name="w", cmd={probe!r}), wid=1, mark="m", outfit=outfit), 0)
        os.close({reading})
        os.waitpid(spawn(WatcherSettings(name="w", cmd={probe!r}), wid=1, mark="m", outfit=outfit), 0)
        """
    first, second, third = in_subprocess(code, pass_fds=(reading, writing)).stdout.splitlines()
    assert sorted(json.loads(first)["descriptors"]) == ["0", "1", "2", "3"]
    assert sorted(json.loads(second)["descriptors"]) == sorted(["0", "1", "2", "3", str(writing)])
    assert sorted(json.loads(third)["descriptors"]) == sorted(json.loads(second)["descriptors"])
    os.close(reading)
    os.close(writing)


def test_a_socket_as_standard_input_needs_no_place(listeners: list[socket.socket], probe: str) -> None:
    found = look(probe, Outfit(stdin=listeners[0].fileno()))
    assert found["descriptors"]["0"] == inode(listeners[0])
    assert "LISTEN_FDS" not in found["env"]
    found = look(probe, Outfit(listeners[0].fileno(), None, None, (), outfit_of(listeners).sockets, 3))
    assert found["descriptors"]["0"] == found["descriptors"]["3"] == inode(listeners[0])


def test_a_descriptor_that_keeps_a_number_which_a_socket_needs(listeners: list[socket.socket]) -> None:
    many = {f"s{number}": listeners[0].fileno() for number in range(200)}
    with pytest.raises(SpawnError) as caught:
        start("true", Outfit(inherited=(listeners[0].fileno(),), sockets=many, told=200))
    assert (caught.value.stage, "fewer sockets" in str(caught.value)) == ("sockets", True)


@pytest.mark.parametrize("told", [0, 2])
def test_a_socket_that_is_closed_in_circusd(listeners: list[socket.socket], told: int) -> None:
    with pytest.raises(SpawnError) as caught:
        start("true", Outfit(sockets={"web": 900, "api": listeners[0].fileno()}, told=told))
    assert (caught.value.stage, "is closed in circusd" in str(caught.value)) == ("sockets", True)


# -- all else is as without sockets ----------------------------------------------------------------------------------

SAME: dict[str, dict[str, object]] = {
    "plain": {},
    "folder": {"working_dir": "/usr/share"},
    "names": {"env": {"A.B": "1 2", "a-b": "$x;`y`", "é": "é", "%%": "", "_a1": "'\""}},
    "shells": {"env": {"IFS": "x", "OPTIND": "zz", "PPID": "1", "PS4": "$(false)", "ENV": "/x", "PWD": "/y"}},
    "all of it": {"copy_env": True, "working_dir": "/"},
    "streams": {"close_child_stdin": False, "close_child_stderr": True},
    "limits": {"rlimits": {"nofile": 77}, "working_dir": "/usr"},
    "args": {"args": ("a  b", "", "$HOME", "*", "-x", "\n")},
    "shell": {"shell": True, "args": ("'a  b'", "$0")},
}


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in SAME.items()])
@pytest.mark.usefixtures("shell")
def test_all_else_is_as_without_sockets(
    listeners: list[socket.socket], probe: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PWD", "/somewhere/else")
    monkeypatch.setenv("SHLVL", "7")
    without = look(probe, Outfit(), **options)
    found = look(probe, outfit_of(listeners), **options)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        del found["env"][name]
    if "SHLVL" not in without["env"]:
        found["env"].pop("SHLVL", None)  # bash adds it whatever one does
    for number in ("3", "4", "5"):
        del found["descriptors"][number]
    for one in (found, without):
        del one["pid"]
        del one["descriptors"]["1"], one["descriptors"]["2"]  # a pipe of its own each
    assert found == without
    assert found["leads"] or options.get("shell")


@as_root
@pytest.mark.parametrize(
    "options",
    [
        {"uid": "nobody", "working_dir": "/"},
        {"gid": 54321},
        {"uid": "nobody", "rlimits": {"nofile": 77}, "env": {"LD_BIND_NOW": "1", "TMPDIR": "/x", "A.B": "1"}},
    ],
)
@pytest.mark.usefixtures("shell")
def test_users_are_as_without_sockets(listeners: list[socket.socket], options: dict[str, Any]) -> None:
    """With a program that every user may run."""
    texts = [
        run("cat /proc/self/environ /proc/self/status", outfit, **options)
        for outfit in (Outfit(), outfit_of(listeners))
    ]
    told, listened = [], []
    for text in texts:
        *environment, status = text.split("\0")
        environment = [line for line in environment if line != "SHLVL=0"]  # bash adds it whatever one does
        told.append({line for line in environment if not line.startswith("LISTEN_")})
        listened.append(len(environment) - len(told[-1]))
        fields = dict(line.split(":", 1) for line in status.splitlines())
        told[-1] |= {f"{name}:{fields[name]}" for name in ("Uid", "Gid", "Groups", "CapEff", "Umask")}
    assert told[0] == told[1]
    assert listened == [0, 3]


def test_signals_that_circusd_blocks_or_that_python_ignores(probe: str) -> None:
    code = """
        import os, signal, socket
        for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):  # by nohup, or a shell in the background
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])
        one = socket.socket()
        outfit = Outfit(sockets={"web": one.fileno()}, told=1)
        os.waitpid(spawn(WatcherSettings(name="w", cmd="cat /proc/self/status"), wid=1, mark="m", outfit=outfit), 0)
        """
    status = dict(line.split(":\t") for line in in_subprocess(code).stdout.splitlines())
    assert (int(status["SigBlk"], 16), int(status["SigIgn"], 16) & ~(1 << 31 | 1 << 32)) == (0, 0)


@as_root
@pytest.mark.usefixtures("shell")
def test_a_watchers_environment_runs_no_code_in_the_shell_that_is_root(
    tmp_path: Path, listeners: list[socket.socket]
) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"touch {tmp_path}/sprung\n")
    environment = {
        "ENV": str(trap),
        "BASH_ENV": str(trap),
        "SHELLOPTS": "xtrace",
        "PS4": f"$(touch {tmp_path}/sprung)",
        "BASH_FUNC_cd%%": f"() {{ touch {tmp_path}/sprung; }}",
    }
    found = run("cat /proc/self/environ", outfit_of(listeners), uid="nobody", env=environment, working_dir="/")
    assert {f"{name}={value}" for name, value in environment.items()} <= set(found.split("\0"))
    assert not (tmp_path / "sprung").exists()


# -- what cannot be started ------------------------------------------------------------------------------------------


def refusal(listeners: list[socket.socket], cmd: str, **options: object) -> SpawnError:
    with pytest.raises(SpawnError) as caught:
        start(cmd, outfit_of(listeners), **options)
    return caught.value


def script(path: Path, text: bytes, mode: int = 0o755) -> Path:
    path.write_bytes(text)
    path.chmod(mode)
    return path


def test_stages(listeners: list[socket.socket], tmp_path: Path) -> None:
    assert refusal(listeners, "no-such-program").stage == "exec"
    assert refusal(listeners, "true", working_dir=f"{tmp_path}/nothing").stage == "chdir"
    assert refusal(listeners, "true", uid="nobody-at-all").stage == "credentials"
    assert refusal(listeners, "true", rlimits={"zork": 1}).stage == "limits"
    assert "null byte" in str(refusal(listeners, "true", args=("a\0b",)))
    assert refusal(listeners, "true", args=("x" * 3_000_000,)).stage == "exec"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"#!/no/such/interpreter -x\n", "interpreter"),
        (b"#!/bin/sh\r\n", "interpreter"),
        (b"#!\n", "interpreter"),
        (b"echo no first line\n", "neither a program"),
        (b"", "neither a program"),
    ],
)
def test_programs_that_the_system_rejects(
    listeners: list[socket.socket], tmp_path: Path, text: bytes, said: str
) -> None:
    program = script(tmp_path / "program", text)
    for options in ({}, {"rlimits": {"core": 0}}):
        error = refusal(listeners, str(program), **options)
        assert (error.stage, said in str(error), str(program) in str(error)) == ("exec", True, True), error


def test_scripts_that_the_system_takes(listeners: list[socket.socket], tmp_path: Path) -> None:
    for name, text in {
        "plain": b"#!/bin/sh\necho $0",
        "-x": b"#! /bin/sh -e\necho $0",
        "arg": b"#!\t/bin/sh\t\necho $0",
    }.items():
        (tmp_path / name).mkdir()
        script(tmp_path / name / "tool", text)
        assert run(f"{name}/tool", outfit_of(listeners), working_dir=str(tmp_path)).endswith(f"{name}/tool\n")


def test_a_path_that_env_would_misread(listeners: list[socket.socket], tmp_path: Path) -> None:
    program = script(tmp_path / "a=b", b"#!/bin/sh\necho here\n")
    assert run(str(program), outfit_of(listeners)) == "here\n"
    assert "rename it" in str(refusal(listeners, str(program), env={"A.B": "1"}))


def test_no_descriptors_left() -> None:
    code = """
        import os, resource, socket
        one = socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        held = []
        try:
            while True:
                held.append(os.dup(0))
        except OSError:
            pass
        for stdout in (None, 1):
            try:
                outfit = Outfit(stdout=stdout, sockets={"web": one.fileno()}, told=1)
                spawn(WatcherSettings(name="w", cmd="/bin/true"), wid=1, mark="m", outfit=outfit)
            except Exception as error:
                print(error)
        """
    for line in in_subprocess(code).stdout.splitlines():
        assert line.startswith("resources: circusd has no more file descriptors")
