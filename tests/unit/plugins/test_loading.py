"""From the path of a plugin to the plugin: each thing that can go wrong says where."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from circus.plugins.briefing import Briefing
from circus.plugins.loading import PluginError, load_factory, make_plugin

GOOD = "from circus.plugins import CircusPlugin\nclass Mine(CircusPlugin):\n    pass\nclass Box:\n    Inner = Mine\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / f"circus_test_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(GOOD)
    return path


def fault(path: str) -> PluginError:
    with pytest.raises(PluginError) as caught:
        load_factory(path)
    return caught.value


@pytest.mark.parametrize(
    "form", ["{module}:Mine", "{module}.Mine", "{module}:Box.Inner", "{file}:Mine", "{file}:Box.Inner"]
)
def test_every_form_of_a_path(module: Path, form: str) -> None:
    assert load_factory(form.format(module=module.stem, file=module)).__name__ == "Mine"


def test_a_file_finds_what_lies_beside_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "circus_test_beside.py").write_text("answer = 42\n")
    (tmp_path / "circus_test_own.py").write_text(f"import circus_test_beside\n{GOOD}")
    assert load_factory(f"{tmp_path}/circus_test_own.py:Mine").__name__ == "Mine"


def test_what_cannot_be_imported(module: Path, tmp_path: Path) -> None:
    assert str(fault("circus_test_nothing:Mine")) == (
        "circus_test_nothing:Mine cannot be imported: ModuleNotFoundError: No module named 'circus_test_nothing'"
    )
    assert not fault("circus_test_nothing.inner:Mine").theirs
    assert "has no 'Nope'" in str(fault(f"{module.stem}:Nope"))
    assert "No such file" in str(fault(f"{tmp_path}/nothing.py:Mine"))
    assert "is no path of a plugin" in str(fault("word"))
    assert "is no path of a plugin" in str(fault(":"))


@pytest.mark.parametrize(
    "text,reason",
    [
        ("import circus_test_missing", "No module named 'circus_test_missing'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError"),
        ("Mine = 3", "is of type int; a plugin is a class derived from CircusPlugin"),
    ],
)
def test_the_authors_own_errors_are_theirs(module: Path, text: str, reason: str) -> None:
    module.write_text(text)
    found = fault(f"{module}:Mine")
    assert reason in str(found)
    assert "\n" not in str(found)
    assert found.theirs == ("type int" not in reason), "where a traceback helps there is one"
    assert (found.__cause__ is not None) == found.theirs


def test_a_constructor_that_raises_and_one_that_makes_something_else() -> None:
    briefing = Briefing(
        name="plugin:x", factory="x:Y", endpoint="ipc:///e", pubsub_endpoint="ipc:///p", config={"a": "b"}
    )

    def raises(*args: object, **config: str) -> None:
        raise ValueError(f"{args} {config}\nno")

    with pytest.raises(PluginError, match=r"its constructor raised ValueError: .*'ipc:///e'.*{'a': 'b'} no"):
        make_plugin(raises, briefing)
    with pytest.raises(PluginError, match="x:Y makes a dict, which is no CircusPlugin"):
        make_plugin(lambda *args, **config: config, briefing)
