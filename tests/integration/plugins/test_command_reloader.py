"""The plugin command_reloader, with real files that change in all the ways in which programs are deployed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support import Circusd, wait_until

PLUGIN = "[plugin:command_reloader]\nloop_rate = 0.1\n"
PROGRAM = "#!/bin/sh\n# {}\nexec sleep 300\n"


def install(path: Path, version: str = "1") -> Path:
    """Put a program there, as a whole: another file in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(PROGRAM.format(version))
    new.chmod(0o755)
    return new.replace(path)


def restarts(circusd: Circusd, name: str) -> int:
    return len(circusd.events.of("stop", watcher=name))


def wait_for_restart(circusd: Circusd, name: str, count: int = 1) -> None:
    circusd.wait_for("start", watcher=name, count=count + 1)


def look_thrice(circusd: Circusd) -> None:
    """Return when everything was looked at three times from now on: a witness is changed, and restarted for it."""
    witness = circusd.folder / "witness"
    for _ in range(2):
        before = restarts(circusd, "witness")
        install(witness, os.urandom(4).hex())
        circusd.wait_for("start", watcher="witness", count=before + 2)


def start(circusd: Circusd, text: str) -> None:
    """Start circusd with a witness, see :func:`look_thrice`."""
    witness = install(circusd.folder / "witness")
    circusd.start(f"{PLUGIN}[watcher:witness]\ncmd = {witness}\n{text}")


@contextlib.contextmanager
def frozen(circusd: Circusd) -> Iterator[None]:
    """Let the plugin look at nothing meanwhile."""
    (pid,) = circusd.pids("plugin:command_reloader")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_program_that_is_replaced_or_written_is_run_anew(circusd: Circusd) -> None:
    app, other = install(circusd.folder / "bin" / "app"), install(circusd.folder / "other")
    start(circusd, f"[watcher:My App]\ncmd = {app}\n[watcher:other]\ncmd = {other}\n")
    install(app, "2")
    wait_for_restart(circusd, "my_app")
    with app.open("a") as file:
        file.write("# 3\n")
    wait_for_restart(circusd, "my_app", 2)
    os.utime(app, (1e9, 1e9))
    wait_for_restart(circusd, "my_app", 3)
    look_thrice(circusd)
    assert restarts(circusd, "my_app") == 3, "one restart for each change"
    assert restarts(circusd, "other") == 0
    assert "My App is restarted: its command has changed" in circusd.output()
    circusd.assert_no_defect()


def test_a_release_that_is_switched_by_a_link(circusd: Circusd) -> None:
    for release in ("1", "2"):
        install(circusd.folder / release / "app", "the same")
    current = circusd.folder / "current"
    current.symlink_to("1")
    start(circusd, f"[watcher:app]\ncmd = {current}/app\n")
    (circusd.folder / "next").symlink_to("2")
    (circusd.folder / "next").replace(current)
    wait_for_restart(circusd, "app")
    look_thrice(circusd)
    assert restarts(circusd, "app") == 1


def test_a_program_that_is_missing_for_a_while_is_waited_for(circusd: Circusd) -> None:
    app = install(circusd.folder / "app")
    start(circusd, f"[watcher:app]\ncmd = {app}\n")
    app.unlink()
    look_thrice(circusd)
    app.write_text(PROGRAM.format("2"))
    look_thrice(circusd)
    assert restarts(circusd, "app") == 0, "it cannot be run yet"
    app.chmod(0o755)
    wait_for_restart(circusd, "app")
    look_thrice(circusd)
    assert restarts(circusd, "app") == 1


def test_a_script_is_what_is_run(circusd: Circusd) -> None:
    script = circusd.folder / "app.py"
    command = circusd.program("app.py", "import time\nwhile True: time.sleep(60)\n")
    start(circusd, f"[watcher:app]\ncmd = {command} data.txt\nworking_dir = {circusd.folder}\n")
    (circusd.folder / "data.txt").write_text("changes, as data does")
    look_thrice(circusd)
    assert restarts(circusd, "app") == 0
    script.write_text(script.read_text() + "# 2\n")
    wait_for_restart(circusd, "app")


def test_a_program_is_found_in_the_path_and_from_the_folder_of_the_watcher(circusd: Circusd) -> None:
    by_path, by_folder = install(circusd.folder / "bin" / "found"), install(circusd.folder / "site" / "run")
    start(
        circusd,
        f"[watcher:a]\ncmd = found\n[env:a]\nPATH = {by_path.parent}:/usr/bin:/bin\n"
        f"[watcher:b]\ncmd = ./run\nworking_dir = {by_folder.parent}\n",
    )
    install(by_path, "2")
    wait_for_restart(circusd, "a")
    install(by_folder, "2")
    wait_for_restart(circusd, "b")
    assert restarts(circusd, "a") == 1


def test_a_stopped_one_is_not_started(circusd: Circusd) -> None:
    app = install(circusd.folder / "app")
    start(circusd, f"[watcher:app]\ncmd = {app}\n")
    circusd.ok("stop", name="app")
    install(app, "2")
    look_thrice(circusd)
    assert circusd.ok("status", name="app")["status"] == "stopped"
    circusd.ok("start", name="app")
    look_thrice(circusd)
    assert restarts(circusd, "app") == 1, "it runs the new one already"
    install(app, "3")
    wait_for_restart(circusd, "app", 2)


def test_one_that_somebody_has_restarted_for_the_change_is_not_restarted_again(circusd: Circusd) -> None:
    app = install(circusd.folder / "app")
    start(circusd, f"[watcher:app]\ncmd = {app}\n")
    with frozen(circusd):
        install(app, "2")
        # What is restarted too soon after the change could run the old file, as times are not that exact.
        wait_until(lambda: time.time() > app.stat().st_ctime + 0.1, "time has passed")
        circusd.ok("restart", name="app")
    look_thrice(circusd)
    assert restarts(circusd, "app") == 1


def test_a_watcher_that_is_new_or_gets_another_command(circusd: Circusd) -> None:
    first, second = install(circusd.folder / "first"), install(circusd.folder / "second")
    start(circusd, "")
    circusd.add("app", str(first))
    circusd.ok("set", name="app", options={"cmd": str(second)})
    look_thrice(circusd)
    install(first, "2")
    look_thrice(circusd)
    assert restarts(circusd, "app") == 0
    install(second, "2")
    wait_for_restart(circusd, "app")
    circusd.ok("rm", name="app")
    second.unlink()
    look_thrice(circusd)
    circusd.assert_no_defect()


def test_it_goes_on_after_it_was_killed(circusd: Circusd) -> None:
    app = install(circusd.folder / "app")
    start(circusd, f"[watcher:app]\ncmd = {app}\n")
    with frozen(circusd):
        install(app, "2")
        os.kill(circusd.pids("plugin:command_reloader")[0], signal.SIGKILL)
    wait_for_restart(circusd, "app")
    look_thrice(circusd)
    assert restarts(circusd, "app") == 1
    install(app, "3")
    wait_for_restart(circusd, "app", 2)
