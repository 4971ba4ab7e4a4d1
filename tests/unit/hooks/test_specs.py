"""Every spec is documented and tested."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from circus.hooks.specs import Lifecycle, Registration
from circus.kinds import HOOKS

SPECS = {
    name: function
    for specs in (Registration, Lifecycle)
    for name, function in vars(specs).items()
    if inspect.isfunction(function)
}
TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_says_what_it_is_for_and_shows_how(name: str) -> None:
    text = inspect.getdoc(SPECS[name]) or ""
    assert re.match(r"[A-Z].*\.\n", text), "the first line is a sentence"
    assert "Example::" in text
    assert f"def {name}(" in text
    shown = re.search(rf"def {name}\((.*)\)", text)
    assert shown is not None
    taken = {word.strip() for word in shown[1].split(",")} - {"self", ""}
    assert taken <= set(inspect.signature(SPECS[name]).parameters), "an example takes arguments that the spec has"


def test_every_spec_is_tested() -> None:
    tested = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    missing = [name for name in SPECS if not re.search(rf"def test_hook_(\w+_)?{name}(_\w+)?\(", tested)]
    assert not missing, f"write a test_hook_NAME for each of {missing}"


def test_the_hooks_of_watchers_are_specs() -> None:
    assert set(HOOKS) <= set(SPECS)
