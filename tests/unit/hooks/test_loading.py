"""Functions of hooks: where they are found, side by side under the same names, and read anew when they are set."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.hooks import ready_made
from circus.hooks.importing import LoadError, search_folders
from circus.hooks.loading import Loader
from circus.hooks.spaces import HOME, Spaces
from tests.support import DEADLINE

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the test's folder, and return its path."""

    def writer(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return writer


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spaces]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path, modules = list(sys.path), set(sys.modules)
    made = Spaces()
    made.install()
    yield made
    made.uninstall()
    assert sys.path == path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def loader(spaces: Spaces) -> Loader:
    return Loader(spaces)


def at(*folders: Path, **options: Any) -> dict[str, Any]:
    """Options of a watcher with that PYTHONPATH."""
    env = {"PYTHONPATH": ":".join(map(str, folders))} if folders else {}
    return {"env": env, "virtualenv": None, "virtualenv_py_ver": None, **options}


# The forms.


@pytest.mark.parametrize(
    "path",
    [
        "forms_a.hook",
        "forms_a:hook",
        "forms_a.Class.method",
        "forms_a:Class.method",
        "forms_package.inner.hook",
        "forms_package.inner:hook",
        "forms_package.hook",
    ],
)
def test_a_path_leads_to_its_function(loader: Loader, write: Write, tmp_path: Path, path: str) -> None:
    write("forms_a.py", "def hook(): return 'here'\nclass Class:\n    method = staticmethod(hook)\n")
    write("forms_package/__init__.py", "from forms_package.inner import hook\n")
    write("forms_package/inner.py", "from forms_a import hook\n")
    assert loader.load("w", "before_start", path, at(tmp_path)).function() == "here"


def test_a_file_leads_to_its_function_and_its_folder_to_what_it_imports(
    loader: Loader, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The name of a module that is loaded already does no harm.
    file = write("beside/json.py", "import file_helper\ndef hook(): return file_helper.VALUE\n")
    write("beside/file_helper.py", "VALUE = 'helped'\n")
    assert loader.load("w", "before_start", f"{file}:hook", at()).function() == "helped"
    monkeypatch.chdir(tmp_path)
    assert loader.load("v", "before_start", "./beside/json.py:hook", at()).function() == "helped"


def test_a_registered_name_leads_to_its_function_and_arguments_stand_after_any(
    loader: Loader, write: Write, tmp_path: Path
) -> None:
    loaded = loader.load("w", "before_start", "wait_for_port(localhost:1, timeout=2)", at())
    assert loaded[:3] == (ready_made.wait_for_port, ("localhost:1",), {"timeout": "2"})
    write("arguments_a.py", "def hook(): pass\n")
    loaded = loader.load("w", "before_start", "arguments_a.hook('a, b')", at(tmp_path))
    assert loaded.args == ("a, b",)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("wait_for_prot(localhost:1)", "there is no hook function 'wait_for_prot'; .*did you mean 'wait_for_port'"),
        ("wait_for_port(localhost:1", "the bracket is not closed"),
        ("nowhere_at_all.hook", r"there is no module 'nowhere_at_all', neither in the watcher's PYTHONPATH \(/"),
        ("errors_a.nowhere.hook", "errors_a has no 'nowhere'"),
        ("errors_a.hok", "errors_a has no 'hok'; did you mean 'hook'"),
        ("errors_a:hok", "errors_a has no 'hok'; did you mean 'hook'"),
        ("errors_a.VALUE", "errors_a.VALUE is a int, nothing that can be called"),
        ("./nowhere.py:hook", r"there is no file .*/nowhere\.py"),
    ],
)
def test_what_leads_nowhere_is_told(loader: Loader, write: Write, tmp_path: Path, path: str, why: str) -> None:
    write("errors_a.py", "VALUE = 3\ndef hook(): pass\n")
    with pytest.raises(LoadError, match=why):
        loader.load("w", "before_start", path, at(tmp_path))


def test_what_a_module_raises_comes_through_and_is_tried_again(loader: Loader, write: Write, tmp_path: Path) -> None:
    file = write("raises_a.py", "import raises_missing\ndef hook(): pass\n")
    for path in ("raises_a.hook", f"{file}:hook"):
        with pytest.raises(ModuleNotFoundError, match="raises_missing"):
            loader.load("w", "before_start", path, at(tmp_path))
    write("raises_missing.py", "")
    for path in ("raises_a.hook", f"{file}:hook"):
        assert loader.load("w", "before_start", path, at(tmp_path)).function() is None


# Side by side.


def test_watchers_have_their_own_modules_of_the_same_name(loader: Loader, write: Write, tmp_path: Path) -> None:
    for side in ("left", "right"):
        write(f"{side}/sides_hooks.py", "import sides_helper\ndef hook(): return sides_helper.SIDE\n")
        write(f"{side}/sides_helper.py", f"SIDE = {side!r}\n")
    left = loader.load("left", "before_start", "sides_hooks.hook", at(tmp_path / "left")).function
    right = loader.load("right", "before_start", "sides_hooks.hook", at(tmp_path / "right")).function
    again = loader.load("other", "before_start", "sides_hooks.hook", at(tmp_path / "left")).function
    assert (left(), right()) == ("left", "right")
    assert left is again, "the same folders have the same modules"


def test_what_a_function_imports_while_it_runs_is_its_own_too(loader: Loader, write: Write, tmp_path: Path) -> None:
    for side in ("left", "right"):
        code = "def hook():\n    import lazy_helper\n    from lazy_package import inner\n    import json\n"
        write(f"{side}/lazy_hooks.py", f"{code}    return lazy_helper.SIDE, inner.SIDE, json.__name__\n")
        write(f"{side}/lazy_helper.py", f"SIDE = {side!r}\n")
        write(f"{side}/lazy_package/__init__.py", "")
        write(f"{side}/lazy_package/inner.py", f"SIDE = {side!r}\n")
    hooks = {
        side: loader.load(side, "before_start", "lazy_hooks.hook", at(tmp_path / side)).function
        for side in ("left", "right")
    }
    for side in ("left", "right", "left"):
        assert hooks[side]() == (side, side, "json")


@pytest.mark.parametrize("code", ["importlib.import_module('named_helper')", "__import__('named_helper')"])
def test_what_a_function_imports_by_name_is_its_own_too(
    loader: Loader, write: Write, tmp_path: Path, code: str
) -> None:
    for side in ("left", "right"):
        write(f"{side}/named_hooks.py", f"import importlib\ndef hook(): return {code}.SIDE\n")
        write(f"{side}/named_helper.py", f"SIDE = {side!r}\n")
    for side in ("left", "right", "left"):
        loaded = loader.load(side, "before_start", "named_hooks.hook", at(tmp_path / side))
        loader.load("w", "before_start", "wait_for_port(localhost:1)", at())
        context = contextvars.copy_context()
        context.run(HOME.set, loaded.space)
        assert context.run(loaded.function) == side


CROWD = """
def hook(number):
    exec(f"import crowd_part{number} as part", globals())
    return part.SIDE
"""


def test_many_threads_import_from_many_places(loader: Loader, write: Write, tmp_path: Path) -> None:
    sides = [f"side{number}" for number in range(6)]
    for side in sides:
        write(f"{side}/crowd_hooks.py", CROWD)
        for number in range(20):
            write(f"{side}/crowd_part{number}.py", f"SIDE = {side!r}\n")
    wrong: list[object] = []
    start = threading.Barrier(len(sides) * 2)

    def work(side: str) -> None:
        start.wait()
        for number in range(20):
            try:
                hook = loader.load(f"{side}{number}", "before_start", "crowd_hooks.hook", at(tmp_path / side)).function
                if hook(number) != side:
                    wrong.append((side, number, hook(number)))
            except Exception as error:
                wrong.append((side, number, repr(error)))

    threads = [threading.Thread(target=work, args=(side,), daemon=True) for side in sides * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert not wrong


def test_a_slow_import_does_not_keep_others_from_the_same_place(loader: Loader, write: Write, tmp_path: Path) -> None:
    write("slow_gate.py", "import threading\nbegun, go = threading.Event(), threading.Event()\n")
    write(
        "slow_a.py",
        f"import slow_gate\nslow_gate.begun.set()\nassert slow_gate.go.wait({DEADLINE})\ndef hook(): pass\n",
    )
    write("slow_b.py", "import slow_gate\ndef hook(): slow_gate.go.set()\n")
    gate = loader.load("w", "before_start", "slow_gate.begun.wait", at(tmp_path)).function
    thread = threading.Thread(target=loader.load, args=("w", "before_stop", "slow_a.hook", at(tmp_path)))
    thread.start()
    assert gate(DEADLINE)
    loader.load("v", "before_start", "slow_b.hook", at(tmp_path)).function()
    thread.join()


def test_who_comes_while_a_file_is_imported_waits_for_all_of_it(loader: Loader, write: Write, tmp_path: Path) -> None:
    write("half_gate.py", "import threading\nbegun, go = threading.Event(), threading.Event()\n")
    head = f"import half_gate\nhalf_gate.begun.set()\nassert half_gate.go.wait({DEADLINE})\n"
    path = f"{write('half.py', f'{head}def hook(): pass')}:hook"
    wrong: list[Exception] = []

    def load(watcher: str) -> None:
        try:
            loader.load(watcher, "before_start", path, at(tmp_path))
        except Exception as error:
            wrong.append(error)

    gate = loader.load("w", "before_stop", "half_gate.begun.wait", at(tmp_path)).function
    go = loader.load("w", "before_stop", "half_gate.go.set", at(tmp_path)).function
    threads = [threading.Thread(target=load, args=(watcher,)) for watcher in "vw"]
    threads[0].start()
    assert gate(DEADLINE)
    threads[1].start()
    threads[1].join(0.1)
    go()
    for thread in threads:
        thread.join()
    assert not wrong


# Anew.


def test_a_function_that_is_set_again_is_read_anew_with_its_companions(
    loader: Loader, write: Write, tmp_path: Path
) -> None:
    write("anew_hooks.py", "import anew_helper\ndef hook(): return 'old', anew_helper.VALUE\n")
    write("anew_helper.py", "VALUE = 'old'\n")
    hook = loader.load("w", "before_start", "anew_hooks.hook", at(tmp_path)).function
    write("anew_hooks.py", "import anew_helper\ndef hook(): return 'new', anew_helper.VALUE\n")
    write("anew_helper.py", "VALUE = 'new'\n")
    assert loader.load("w", "before_start", "anew_hooks.hook", at(tmp_path)).function is hook, "nobody has set it"
    loader.outdate("w", "before_start")
    assert loader.load("w", "before_start", "anew_hooks.hook", at(tmp_path)).function() == ("new", "new")
    assert hook() == ("old", "old"), "one that runs goes on with what it has"


@pytest.mark.parametrize("path", ["anew_package.inner.hook", "anew_package.inner:hook", "anew_package.hook"])
def test_the_whole_package_of_a_function_is_read_anew(loader: Loader, write: Write, tmp_path: Path, path: str) -> None:
    write("anew_package/__init__.py", "from anew_package.inner import hook\n")
    write("anew_package/inner.py", "from anew_package.deep import VALUE\ndef hook(): return VALUE\n")
    write("anew_package/deep.py", "VALUE = 'old'\n")
    assert loader.load("w", "before_start", path, at(tmp_path)).function() == "old"
    write("anew_package/deep.py", "VALUE = 'new'\n")
    loader.outdate("v", "before_start")
    assert loader.load("v", "before_start", path, at(tmp_path)).function() == "new", "though another watcher loaded it"


def test_what_is_read_anew_is_not_taken_from_who_imports_it(loader: Loader, write: Write, tmp_path: Path) -> None:
    write("anew_shared.py", "import time\ntime.sleep(0.001)\ndef hook(): pass\n")
    wrong: list[BaseException] = []

    def load(watcher: str) -> None:
        try:
            for _ in range(50):
                loader.outdate(watcher, "before_start")
                loader.load(watcher, "before_start", "anew_shared.hook", at(tmp_path))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=load, args=(watcher,)) for watcher in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert not wrong


def test_a_file_is_read_anew(loader: Loader, write: Write) -> None:
    file = write("hooks/file_anew.py", "def hook(): return 'old'\n")
    loader.load("w", "before_start", f"{file}:hook", at())
    write("hooks/file_anew.py", "def hook(): return 'new'\n")
    loader.outdate("w", "before_start")
    assert loader.load("w", "before_start", f"{file}:hook", at()).function() == "new"


def test_installed_packages_are_not_read_anew(loader: Loader, write: Write, tmp_path: Path) -> None:
    packages = tmp_path / "site-packages"
    write("site-packages/installed_hooks.py", "import installed_once\ndef hook(): return installed_once\n")
    write("site-packages/installed_once.py", "")
    once = loader.load("w", "before_start", "installed_hooks.hook", at(packages)).function()
    loader.outdate("w", "before_start")
    assert loader.load("w", "before_start", "installed_hooks.hook", at(packages)).function() is once


def test_another_path_or_another_pythonpath_is_followed(loader: Loader, write: Write, tmp_path: Path) -> None:
    for side in ("left", "right"):
        write(f"{side}/moved_hooks.py", f"def hook(): return {side!r}\ndef other(): return 'other'\n")
    for side, path, expected in (("left", "hook", "left"), ("right", "hook", "right"), ("right", "other", "other")):
        loaded = loader.load("w", "before_start", f"moved_hooks.{path}", at(tmp_path / side))
        assert loaded.function() == expected


def test_what_cannot_be_loaded_anew_is_an_error_until_it_can(loader: Loader, write: Write, tmp_path: Path) -> None:
    write("broken_hooks.py", "def hook(): return 'old'\n")
    loader.load("w", "before_start", "broken_hooks.hook", at(tmp_path))
    write("broken_hooks.py", "def hook(:\n")
    loader.outdate("w", "before_start")
    for _ in range(2):
        with pytest.raises(SyntaxError):
            loader.load("w", "before_start", "broken_hooks.hook", at(tmp_path))
    write("broken_hooks.py", "def hook(): return 'new'\n")
    assert loader.load("w", "before_start", "broken_hooks.hook", at(tmp_path)).function() == "new"


# Folders.


def test_a_virtualenv_is_searched_with_the_folders_that_it_names(loader: Loader, write: Write, tmp_path: Path) -> None:
    packages = f"venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    write(f"{packages}/in_the_venv.py", "from beside_the_venv import hook\n")
    write(f"{packages}/paths.pth", f"{tmp_path}/beside\nnowhere\nimport os; os._exit(1)\n# a comment\n")
    write("beside/beside_the_venv.py", "def hook(): return 'found'\n")
    options = at(virtualenv=str(tmp_path / "venv"))
    assert search_folders(options) == (str(tmp_path / packages), str(tmp_path / "beside"))
    assert loader.load("w", "before_start", "in_the_venv.hook", options).function() == "found"
    options = at(virtualenv=str(tmp_path / "venv"), virtualenv_py_ver="2.7")
    with pytest.raises(LoadError, match="there is no module"):
        loader.load("w", "before_start", "in_the_venv.hook", options)
