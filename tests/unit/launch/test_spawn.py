"""Real children: what they are given, what they are not, and what is said when they cannot be started."""

from __future__ import annotations

import gc
import json
import os
import pwd
import resource
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from circus.config.schema import WatcherSettings
from circus.exc import SpawnError
from circus.kernel import tree
from circus.launch.outfit import Outfit
from circus.launch.spawn import spawn
from circus.launch.syscalls import has_capability
from tests.seen import output_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user or raise a hard limit")

WORDS = 'for word; do printf "%s\\n" "$word"; done'
"""A shell program that prints each of its arguments on a line."""


@pytest.fixture(autouse=True)
def _no_child_left() -> Iterator[None]:
    before = set(tree.own_children())
    yield
    assert set(tree.own_children()) <= before


def settings_of(cmd: str, **options: object) -> WatcherSettings:
    return WatcherSettings(name="w", cmd=cmd, **options)  # type: ignore[arg-type]


def run(cmd: str, wid: int = 1, pass_fds: tuple[int, ...] = (), **options: object) -> str:
    """Run a command to its end and return what it wrote."""

    def start(writing: int) -> int:
        outfit = Outfit(None, writing, writing, pass_fds)
        return spawn(settings_of(cmd, **options), wid=wid, mark="b.1.1.1", outfit=outfit)

    return output_of(start)


def refusal(cmd: str, **options: object) -> SpawnError:
    with pytest.raises(SpawnError) as caught:
        spawn(settings_of(cmd, **options), wid=1, mark="b.1.1.1")
    assert str(caught.value).startswith(f"{caught.value.stage}: ")
    return caught.value


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def status_field(text: str, name: str) -> str:
    return next(line.split(":")[1] for line in text.splitlines() if line.startswith(name + ":")).strip()


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("one two", ["one", "two"]),
        ("'one two' \"\" back\\\\slash", ["one two", "", "back\\slash"]),
        ("$(circus.env.X) '$(circus.env.X)'", ["two", "words", "two words"]),
        ("$(circus.wid) ((CIRCUS.WID)) $(circus.sockets.web)", ["3", "3", "$(circus.sockets.web)"]),
        ("$(circus.env.nothing) $HOME ~ *", ["$(circus.env.nothing)", "$HOME", "~", "*"]),
        ("a\tb\n c # d", ["a", "b", "c", "#", "d"]),
        (("two words", "$(circus.wid)", "it's", ""), ["two words", "3", "it's", ""]),
    ],
)
def test_words(args: str | tuple[str, ...], words: list[str]) -> None:
    found = run(f"sh -c '{WORDS}' name", wid=3, args=args, env={"X": "two words"})
    assert found.splitlines() == words


def test_cmd_has_variables_and_quotes_too() -> None:
    assert run("$(circus.env.TOOL) 'a  b' $(circus.wid)", env={"TOOL": "/bin/echo -n"}, wid=2) == "a  b 2"


def test_executable_is_run_and_argv_stays() -> None:
    code = "import sys; print(open('/proc/self/cmdline').read().split(chr(0))[:2])"
    assert run(f'myname -c "{code}"', executable=sys.executable) == "['myname', '-c']\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "/bin/sh||\n"),
        ({"shell_args": "zero 'one one' $(circus.wid)"}, "zero|one one|4\n"),
    ],
)
def test_shell_gets_the_text_as_written(options: dict[str, object], text: str) -> None:
    assert run('echo "$0|$1|$2"', wid=4, shell=True, **options) == text


def test_shell_syntax_survives() -> None:
    assert run("echo a  b | tr a-z A-Z;", args='echo "x  $((1+$(circus.wid)))"', shell=True) == "A B\nx  2\n"
    assert run("printf '%s|'", args=("two words", "$HOME"), shell=True) == "two words|$HOME|"


def test_a_shell_of_choice() -> None:
    assert run("echo ${BASH_VERSION:+bash}", shell=True, executable="/bin/bash") == "bash\n"


@pytest.mark.parametrize(("options", "said"), [({}, "cmd is empty"), ({"shell": True}, "cmd is empty")])
def test_an_empty_command(options: dict[str, object], said: str) -> None:
    assert said in str(refusal(" ", **options))


def test_a_quote_that_is_not_closed() -> None:
    error = refusal("echo", args="it's")
    assert error.stage == "exec"
    assert "args cannot be split into words: No closing quotation" in str(error)


# -- where the program is found --------------------------------------------------------------------------------------


def test_path_of_the_process_comes_before_that_of_circusd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("own", "circusd"):
        (tmp_path / name).mkdir()
        script(tmp_path / name / "tool", f"#!/bin/sh\necho {name}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/circusd:/usr/bin:/bin")
    assert run("tool", env={"PATH": f"{tmp_path}/own"}) == "own\n"
    assert run("tool") == "circusd\n"
    assert run("tool", working_dir=str(tmp_path), env={"PATH": "nowhere:own"}) == "own\n"


def test_a_relative_program_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "tool", "#!/bin/sh\necho $0; pwd\n")
    assert run("./tool", working_dir=str(tmp_path)) == f"./tool\n{tmp_path}\n"
    monkeypatch.chdir(tmp_path.parent)
    assert run("./tool", working_dir=tmp_path.name) == f"./tool\n{tmp_path}\n"
    assert run(f"{tmp_path.name}/tool") == f"{tmp_path.name}/tool\n{tmp_path.parent}\n"
    assert run("./tool", working_dir=tmp_path.name, rlimits={"core": 0}) == f"./tool\n{tmp_path}\n"


def test_a_missing_program_says_where_it_was_sought(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/nowhere:/usr/bin")
    error = refusal("no-such-program")
    assert error.stage == "exec"
    assert "program 'no-such-program' not found in PATH (circusd's: /nowhere:/usr/bin)" in str(error)
    assert f"(the process's own: {tmp_path})" in str(refusal("no-such-program", env={"PATH": str(tmp_path)}))


def test_a_failed_lookup_is_not_remembered(tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path)}
    refusal("late", env=env)
    script(tmp_path / "late", "#!/bin/sh\necho here\n")
    assert run("late", env=env) == "here\n"
    (tmp_path / "late").unlink()
    refusal("late", env=env)


@pytest.mark.parametrize("limited", [False, True])
def test_what_cannot_be_run(tmp_path: Path, limited: bool) -> None:
    options: dict[str, object] = {"rlimits": {"core": 0}} if limited else {}
    plain = script(tmp_path / "plain", "#!/bin/sh\n", 0o644)
    cases = {
        f"{tmp_path}/nothing": "does not exist",
        f"{tmp_path}": "is not a file",
        f"{plain}": "is not executable",
        f"{plain}/x": "Not a directory",
    }
    for cmd, said in cases.items():
        error = refusal(f"'{cmd}'", **options)
        assert (error.stage, cmd in str(error), said in str(error)) == ("exec", True, True), error
    error = refusal("plain", env={"PATH": str(tmp_path)}, **options)
    assert f"{plain} is not executable" in str(error)


def test_programs_that_the_system_rejects(tmp_path: Path) -> None:
    lost = script(tmp_path / "lost", "#!/no/such/interpreter\n")
    assert "the interpreter named in its first line, or its loader, is missing" in str(refusal(str(lost)))
    odd = script(tmp_path / "odd", "echo no first line\n")
    error = refusal(str(odd))
    assert (error.stage, "neither a program" in str(error)) == ("exec", True)
    assert refusal("true", args=("x" * 3_000_000,)).stage == "exec"
    assert "null byte" in str(refusal("true", args=("a\0b",)))


@pytest.mark.parametrize("limited", [False, True])
def test_working_directories(tmp_path: Path, limited: bool) -> None:
    options: dict[str, object] = {"rlimits": {"core": 0}} if limited else {}
    assert run("pwd", working_dir=str(tmp_path), **options) == f"{tmp_path}\n"
    (tmp_path / "file").touch()
    for folder, said in (("nothing", "No such file or directory"), ("file", "Not a directory")):
        for cmd in ("true", "./true", "/bin/true"):
            error = refusal(cmd, working_dir=str(tmp_path / folder), **options)
            assert (error.stage, str(tmp_path / folder) in str(error), said in str(error)) == ("chdir", True, True)


# -- what a child gets -----------------------------------------------------------------------------------------------


def test_environment_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIRCUS_MARK", raising=False)
    assert run("env", env={"A": "1 2", "N": "$(circus.wid)"}).splitlines() == ["A=1 2", "N=1", "CIRCUS_MARK=b.1.1.1"]


def test_session_umask_and_signals() -> None:
    before = os.umask(0o027)
    try:
        output = run("cat /proc/self/status /proc/self/stat")
    finally:
        os.umask(before)
    pid, _, rest = output.splitlines()[-1].partition(" (cat) ")
    assert rest.split()[2:4] == [pid, pid]
    assert status_field(output, "Umask") == "0027"
    for name in ("SigBlk", "SigCgt"):
        assert int(status_field(output, name), 16) == 0


def in_subprocess(code: str, *, user: str | None = None, **options: object) -> str:
    """Run code in a Python of its own, where it may change what belongs to the whole process."""
    before = "from circus.config.schema import WatcherSettings\nfrom circus.launch.spawn import spawn\n"
    before += (
        "from circus.launch import syscalls\nfrom circus.exc import SpawnError\nimport os, resource, signal, sys\n"
    )
    if user:  # imported before: that user may not be able to read the modules
        before += f"os.setgroups([]); os.setgid(65534); os.setuid({user})\n"
    before += "def start(cmd, **options):\n"
    before += "    return spawn(WatcherSettings(name='w', cmd=cmd, **options), wid=1, mark='b.1.1.1')\n"
    found = subprocess.run(
        [sys.executable, "-c", before + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=50,
        **options,  # type: ignore[call-overload]
    )
    assert found.returncode == 0, found.stderr
    assert not found.stderr
    return str(found.stdout)


def test_signals_that_circusd_inherited_ignored_or_blocked() -> None:
    output = in_subprocess(
        """
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGRTMIN + 3):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])
        syscalls.default_signals()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGXFSZ) == signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
        os.waitpid(start("cat /proc/self/status"), 0)
        """
    )
    # glibc keeps 32 and 33 for itself: nobody can set them, and whoever started this test may have ignored them.
    reserved = 1 << 31 | 1 << 32
    assert [int(status_field(output, name), 16) & ~reserved for name in ("SigIgn", "SigBlk")] == [0, 0]


def test_handlers_of_circusd_stay_where_they_are() -> None:
    output = in_subprocess(
        """
        signal.signal(signal.SIGHUP, lambda *_: None)
        syscalls.default_signals()
        os.waitpid(start("cat /proc/self/status"), 0)
        assert callable(signal.getsignal(signal.SIGHUP))
        """
    )
    assert int(status_field(output, "SigCgt"), 16) == 0


def test_only_the_descriptors_that_it_was_given() -> None:
    # Inheritable, as what circusd itself was started with.
    leak, _ = os.pipe()
    os.set_inheritable(leak, True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        listing = run("ls /proc/self/fd", pass_fds=(number,)).split()
        # One more: the folder that it reads.
        assert {"0", "1", "2", str(number)} < set(listing)
        assert len(listing) == 5
        assert str(leak) not in listing
    os.close(leak)
    os.close(_)


def test_inherited_descriptors_are_closed_at_the_next_exec() -> None:
    reading, writing = os.pipe()
    code = f"""
        syscalls.cloexec_inherited(keep=[{writing}])
        print(os.get_inheritable({reading}), os.get_inheritable({writing}), os.get_inheritable(2))
        """
    assert in_subprocess(code, pass_fds=(reading, writing)) == "False True True\n"
    os.close(reading)
    os.close(writing)


def test_standard_streams() -> None:
    reading, writing = os.pipe()
    given, other = os.pipe()
    code = f"import os; os.write({writing}, '\\n'.join(os.readlink(f'/proc/self/fd/{{n}}') for n in range(3)).encode())"
    settings = settings_of(sys.executable, args=("-c", code), close_child_stdout=True)
    pid = spawn(settings, wid=1, mark="m", outfit=Outfit(stdin=given, inherited=(writing,)))
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        first, second, third = file.read().splitlines()
    os.waitpid(pid, 0)
    assert first == os.readlink(f"/proc/self/fd/{given}")
    assert second == "/dev/null"
    assert third == os.readlink("/proc/self/fd/2")
    os.close(given)
    os.close(other)


def test_stdin_is_null_unless_it_stays_open() -> None:
    assert run("readlink /proc/self/fd/0") == "/dev/null\n"
    assert run("readlink /proc/self/fd/0", close_child_stdin=False).strip() == os.readlink("/proc/self/fd/0")


# -- users and limits ------------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("limits", [{}, {"nofile": 64}])
def test_user_with_group_and_supplementary_groups(limits: dict[str, int]) -> None:
    import grp
    import pwd

    user = pwd.getpwnam("nobody")
    expected = sorted(map(str, os.getgrouplist("nobody", user.pw_gid)))
    for uid in ("nobody", user.pw_uid, str(user.pw_uid)):
        status = run("cat /proc/self/status", uid=uid, rlimits=limits)
        assert status_field(status, "Uid").split() == [str(user.pw_uid)] * 4
        assert status_field(status, "Gid").split() == [str(user.pw_gid)] * 4
        assert sorted(status_field(status, "Groups").split()) == expected
        assert int(status_field(status, "CapEff"), 16) == 0
    group = grp.getgrnam("daemon")
    status = run("cat /proc/self/status", uid="nobody", gid="daemon", rlimits=limits)
    assert status_field(status, "Gid").split() == [str(group.gr_gid)] * 4
    assert str(group.gr_gid) in status_field(status, "Groups").split()


@as_root
@pytest.mark.parametrize("limits", [{}, {"nofile": 64}])
def test_group_alone_and_number_without_a_name(limits: dict[str, int]) -> None:
    status = run("cat /proc/self/status", gid=54321, rlimits=limits)
    assert (status_field(status, "Uid").split()[0], status_field(status, "Gid").split()[0]) == ("0", "54321")
    assert set(map(int, status_field(status, "Groups").split())) == set(os.getgroups())
    status = run("cat /proc/self/status", uid=54321, gid=54321, rlimits=limits)
    assert (status_field(status, "Uid").split()[0], status_field(status, "Groups")) == ("54321", "54321")


def test_users_that_do_not_exist() -> None:
    for options, said in (
        ({"uid": "nobody-at-all"}, "there is no user 'nobody-at-all'"),
        ({"gid": "nothing-at-all"}, "there is no group 'nothing-at-all'"),
        ({"uid": 54321}, "set gid too"),
        ({"uid": -1, "gid": 5}, "there is no user -1"),
        ({"uid": 2**32 - 1, "gid": 5}, "there is no user"),
        ({"uid": 0, "gid": -1}, "there is no group -1"),
    ):
        error = refusal("true", **options)
        assert (error.stage, said in str(error)) == ("credentials", True), error


@as_root
def test_a_program_that_the_user_may_not_run(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    private = script(tmp_path / "private", "#!/bin/sh\n", 0o700)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    error = refusal(str(private), uid="nobody")
    assert (error.stage, "uid 65534, gid 65534 may not run" in str(error)) == ("exec", True), error


@as_root
def test_without_root_only_the_own_user() -> None:
    code = """
        os.chdir("/")
        os.waitpid(start("id -u", uid=65534), 0)
        os.waitpid(start("id -u", uid="nobody", gid=65534, rlimits={"nofile": 20}), 0)
        for options in ({"uid": 0}, {"gid": 0}, {"uid": "root", "rlimits": {"nofile": 20}}):
            try:
                start("id -u", **options)
            except SpawnError as error:
                assert error.stage == "credentials" and "start circusd as root" in str(error), error
            else:
                raise AssertionError(options)
        """
    assert in_subprocess(code, user="65534") == "65534\n65534\n"


def limit_of(output: str, name: str) -> list[str]:
    return next(line for line in output.splitlines() if line.startswith(name))[len(name) :].split()[:2]


def test_limits() -> None:
    rlimits = {"nofile": 321, "core": 0, "cpu": 77, "stack": 4194304, "nproc": 9999, "sigpending": 12}
    output = run("cat /proc/self/limits", rlimits=rlimits)
    assert limit_of(output, "Max open files") == ["321", "321"]
    assert limit_of(output, "Max core file size") == ["0", "0"]
    assert limit_of(output, "Max cpu time") == ["77", "77"]
    assert limit_of(output, "Max stack size") == ["4194304", "4194304"]
    assert limit_of(output, "Max pending signals") == ["12", "12"]


def test_infinite_limits() -> None:
    output = run("cat /proc/self/limits", rlimits={"nofile": None, "cpu": None})
    hard = str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert limit_of(output, "Max open files") == [hard, hard]
    assert limit_of(output, "Max cpu time") == ["unlimited", "unlimited"]


def test_every_limit_of_the_system_can_be_set() -> None:
    names = [name[7:].lower() for name in dir(resource) if name.startswith("RLIMIT_")]
    rlimits = {}
    for name in names:
        hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
        rlimits[name] = None if hard == resource.RLIM_INFINITY else hard
    assert run("echo it runs", rlimits=rlimits) == "it runs\n"


@as_root
@pytest.mark.skipif(not has_capability(24), reason="root has no CAP_SYS_RESOURCE here")
def test_root_may_raise_a_hard_limit() -> None:
    output = in_subprocess(
        """
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
        os.waitpid(start("cat /proc/self/limits", rlimits={"nofile": 60}, uid="nobody"), 0)
        """
    )
    assert limit_of(output, "Max open files") == ["60", "60"]


def test_limits_above_what_is_allowed() -> None:
    with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
        most = int(file.read())
    error = refusal("true", rlimits={"nofile": most + 1})
    assert (error.stage, f"above fs.nr_open = {most}" in str(error)) == ("limits", True)
    assert "no limit rlimit_zork" in str(refusal("true", rlimits={"zork": 1}))


def test_limits_above_the_hard_one_without_root() -> None:
    code = """
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir("/")
        for limits in ({"nofile": 51}, {"core": None}):
            try:
                start("true", rlimits=limits)
            except SpawnError as error:
                assert error.stage == "limits" and "is above the hard limit" in str(error), error
            else:
                raise AssertionError(limits)
        """
    in_subprocess(code, user="65534" if os.geteuid() == 0 else None)


def test_without_util_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("circus.launch.syscalls._ADMIN_FOLDERS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refusal("/bin/true", rlimits={"core": 0})
    assert (error.stage, "install util-linux" in str(error)) == ("limits", True)


# -- when the system has no more -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ["", "uid='nobody'", "rlimits={'nofile': None}", "uid=54321, gid=1"])
def test_no_descriptors_left(options: str) -> None:
    code = f"""
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        start("true") and os.wait()
        held = []
        try:
            while True:
                held.append(os.dup(0))
        except OSError:
            pass
        try:
            start("true", {options})
        except SpawnError as error:
            print(error)
        while held:
            os.close(held.pop())
        start("true") and os.wait()
        """
    assert in_subprocess(code).startswith("resources: circusd has no more file descriptors")


@as_root
def test_no_processes_left() -> None:
    """As a user of its own: the limit counts all processes of a user."""
    code = """
        os.chdir("/")
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            start("true")
        except SpawnError as error:
            print(error)
        """
    assert in_subprocess(code, user="54321").startswith("resources: no more processes are allowed")


# -- afterwards ------------------------------------------------------------------------------------------------------


def test_the_status_is_left_to_the_reaper() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pids = [spawn(settings_of("sh -c 'exit 7'"), wid=1, mark="m") for _ in range(5)]
        gc.collect()
        subprocess.run(["true"], check=True)
        assert not subprocess._active  # type: ignore[attr-defined]
        for pid in pids:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_failed_start_leaves_neither_zombie_nor_descriptor(tmp_path: Path) -> None:
    odd = script(tmp_path / "odd", "no program")
    before = os.listdir("/proc/self/fd")
    for cmd in (str(odd), "no-such-program"):
        refusal(cmd)
    assert os.listdir("/proc/self/fd") == before


def test_a_grandchild_that_leaves_the_session_keeps_the_mark() -> None:
    reading, writing = os.pipe()
    code = (
        "import subprocess; print(subprocess.Popen(['sleep', '50'], start_new_session=True).pid, flush=True); input()"
    )
    given, held = os.pipe()
    settings = settings_of(sys.executable, args=("-c", code), env={"PATH": os.environ["PATH"]})
    pid = spawn(settings, wid=1, mark="b.1.1.9", outfit=Outfit(given, writing, writing))
    os.close(writing)
    os.close(given)
    with open(reading, encoding="utf-8") as file:
        grandchild = int(file.readline())
        assert tree.descendants(pid) == [grandchild]
        assert tree.session_of(grandchild) == grandchild
        assert tree.session_of(pid) == pid
        while "sleep" not in Path(f"/proc/{grandchild}/cmdline").read_text():
            os.sched_yield()
        assert tree.marks_of(grandchild).split(",")[-1] == "b.1.1.9"
        os.kill(grandchild, 9)
        os.close(held)
        os.waitpid(pid, 0)


def test_name_and_subreaper() -> None:
    output = in_subprocess(
        """
        import json, subprocess
        syscalls.set_process_name("circusd-of-the-night")
        syscalls.become_subreaper()
        code = "import subprocess as s; print(s.Popen(['sleep', '50'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
        orphan = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        os.kill(orphan, 9)
        assert os.waitpid(orphan, 0)[1] == 9
        with open("/proc/self/comm") as file:
            print(json.dumps(file.read()))
        """
    )
    assert json.loads(output) == "circusd-of-the-\n"


@as_root
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler to make a library")
def test_a_watchers_environment_runs_no_code_in_what_sets_its_limits(tmp_path: Path) -> None:
    """prlimit and setpriv run as root: LD_PRELOAD of a watcher reaches its program, as its user, and not them."""
    source = tmp_path / "who.c"
    log = tmp_path / "log"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        "__attribute__((constructor)) static void who(void) {\n"
        f'  FILE *f = fopen("{log}", "a"); if (f) {{ fprintf(f, "%d\\n", (int)getuid()); fclose(f); }}\n}}\n'
    )
    library = tmp_path / "who.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    log.touch()
    log.chmod(0o666)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    out = tmp_path / "out"
    settings = WatcherSettings(
        name="w",
        cmd=f"/bin/sh -c 'echo $LD_PRELOAD > {out}.tmp; cat {out}.tmp'",
        uid="nobody",
        rlimits={"nofile": 100},
        env={"LD_PRELOAD": str(library)},
    )
    pid = spawn(settings, wid=1, mark="m")
    os.waitpid(pid, 0)
    users = set(log.read_text().split())
    assert users == {str(pwd.getpwnam("nobody").pw_uid)}
