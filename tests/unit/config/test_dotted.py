"""Hooks, streams and plugins named by a dotted path are imported in a child, never here."""

from __future__ import annotations

import sys

import pytest

from circus.config import check, dotted
from circus.config.loader import load
from circus.exc import ConfigError


def test_each_bad_path_is_a_fault_with_its_reason(write, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dotted, "TIME_LIMIT", 60.0)  # on a busy machine too
    write("def good(*args, **kw):\n    return True\nnumber = 3\nclass Stream:\n    pass\n", "lib/circus_test_hooks.py")
    write("raise RuntimeError('broken on purpose')\n", "lib/circus_test_broken.py")
    write("import os\nos._exit(7)\n", "lib/circus_test_exits.py")
    write("import circus_test_absent\n", "lib/circus_test_needs.py")
    path = write(
        f"[env]\nPYTHONPATH = {tmp_path}/lib\n"
        "[watcher:w]\ncmd = w\n"
        "hooks.before_start = circus_test_hooks.good\n"
        "hooks.after_start = circus_test_hooks:good, true\n"
        "hooks.before_stop = circus_test_hooks.nosuch\n"
        "hooks.after_stop = circus_test_hooks.number\n"
        "hooks.before_spawn = circus_test_broken.f\n"
        "hooks.after_spawn = circus_test_needs.f\n"
        "stdout_stream.class = circus_test_hooks.Stream\n"
        "stderr_stream.class = no_such_package.module.Stream\n"
        "[plugin:p]\nuse = circus_test_hooks:Nothing\n"
        "[plugin:q]\nuse = circus_test_exits.Plugin\n"
    )
    faults, warnings = check(path)
    assert warnings == []
    assert [(fault.line, fault.option) for fault in faults] == [
        (7, "hooks.before_stop"),
        (8, "hooks.after_stop"),
        (9, "hooks.before_spawn"),
        (10, "hooks.after_spawn"),
        (12, "stderr_stream.class"),
        (14, "use"),
        (16, "use"),
    ]
    reasons = [fault.message for fault in faults]
    assert "no attribute 'nosuch'" in reasons[0]
    assert "int, nothing that can be called" in reasons[1]
    assert "RuntimeError: broken on purpose" in reasons[2]
    assert "No module named 'circus_test_absent'" in reasons[3]
    assert "No module named 'no_such_package'" in reasons[4]
    assert "no attribute 'Nothing'" in reasons[5]
    assert "ended the process" in reasons[6]
    assert not any(name.startswith("circus_test_") for name in sys.modules), "never imported here"


def test_each_watcher_has_its_own_search_path(write, tmp_path) -> None:
    write("def one(*args): pass\n", "one/circus_test_same.py")
    write("def two(*args): pass\n", "venv/lib/python3.11/site-packages/circus_test_same.py")
    path = write(
        f"[env:a]\nPYTHONPATH = {tmp_path}/one\n"
        "[watcher:a]\ncmd = a\nhooks.before_start = circus_test_same.one\n"
        f"[watcher:b]\ncmd = b\ncopy_env = yes\nvirtualenv = {tmp_path}/venv\n"
        "hooks.before_start = circus_test_same.two\nhooks.after_start = circus_test_same.one\n"
    )
    faults, _ = check(path)
    assert [(fault.section, fault.option) for fault in faults] == [("watcher:b", "hooks.after_start")]


def test_folders_that_a_virtual_environment_links_to_count(write, tmp_path) -> None:
    write("def f(*args): pass\n", "elsewhere/circus_test_linked.py")
    write(f"{tmp_path}/elsewhere\n", "venv/lib/python3.11/site-packages/linked.pth")
    path = write(
        f"[watcher:w]\ncmd = w\ncopy_env = yes\nvirtualenv = {tmp_path}/venv\nvirtualenv_py_ver = 3.11\n"
        "hooks.before_start = circus_test_linked.f\n"
    )
    assert check(path) == ([], [])


def test_the_search_path_of_circusd_counts_too(write, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("def f(*args): pass\n", "lib/circus_test_ours.py")
    monkeypatch.setattr(sys, "path", [*sys.path, f"{tmp_path}/lib"])
    assert check(write("[watcher:w]\ncmd = w\nhooks.before_start = circus_test_ours.f\n")) == ([], [])


def test_an_import_without_end_is_given_up(write, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dotted, "TIME_LIMIT", 1.0)
    write("import threading\nthreading.Event().wait()\n", "circus_test_endless.py")
    path = write(
        f"[env]\nPYTHONPATH = {tmp_path}\n"
        "[watcher:w]\ncmd = w\nhooks.before_start = circus_test_endless.f\nhooks.after_start = os.getcwd\n"
    )
    faults, _ = check(path)
    assert [fault.option for fault in faults] == ["hooks.before_start", "hooks.after_start"]
    assert "longer than 1 s" in faults[0].message
    assert "because of the others" in faults[1].message


def test_noise_of_the_imported_is_not_mistaken_for_a_result(write, tmp_path, capfd: pytest.CaptureFixture[str]) -> None:
    write('print(\'[0, "x", "y"]\')\ndef f(): pass\n', "circus_test_noisy.py")
    path = write(f"[env]\nPYTHONPATH = {tmp_path}\n[watcher:w]\ncmd = w\nhooks.before_start = circus_test_noisy.f\n")
    assert check(path) == ([], [])
    assert capfd.readouterr() == ("", "")


def test_load_checks_paths_only_if_asked(write) -> None:
    path = write("[watcher:w]\ncmd = w\nhooks.before_start = no_such_module.f\n")
    assert load(path).watchers[0].hooks == {"before_start": ("no_such_module.f", False)}
    with pytest.raises(ConfigError, match=r":3: \[watcher:w\] hooks\.before_start: the hook 'no_such_module\.f'"):
        load(path, check_paths=True)


def test_no_child_for_what_comes_with_circus(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    path = write(
        "[watcher:w]\ncmd = w\nstdout_stream.class = circus.stream.FileStream\nstdout_stream.filename = x\n"
        "hooks.before_start = wait_for_file(/tmp)\n"
        "[plugin:statsd]\n[plugin:f]\nuse = circus.plugins.flapping.Flapping\n"
    )
    assert check(path) == ([], [])


@pytest.mark.parametrize(
    ("option", "path", "nearest"),
    [
        ("stdout_stream.class", "circus.stream.FileStrem", "'FileStream'"),
        ("stdout_stream.class", "circus.streams.FileStream", "'stream'"),
        ("hooks.before_start", "circus_test_near.befor_start", "'before_start'"),
        ("hooks.before_start", "circus_test_nera.before_start", "'circus_test_near'"),
        ("hooks.before_start", "circus_test_nera:before_start", "'circus_test_near'"),
        ("hooks.before_start", "circus.hooks.ready_mad:wait_for_port", "'ready_made'"),
        ("hooks.before_start", "./circus_test_nera.py:before_start", "'circus_test_near.py'"),
        ("hooks.before_start", "./circus_test_near.py:befor_start", "'before_start'"),
    ],
)
def test_the_nearest_name_is_told(write, tmp_path, option: str, path: str, nearest: str) -> None:
    write("def before_start(*args): pass\n", "circus_test_near.py")
    ((fault,), _) = check(write(f"[env]\nPYTHONPATH = {tmp_path}\n[watcher:w]\ncmd = w\n{option} = {path}\n"))
    assert fault.option == option
    assert f"did you mean {nearest}" in fault.message
