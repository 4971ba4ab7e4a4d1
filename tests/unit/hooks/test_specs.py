"""Every spec is documented."""

from __future__ import annotations

import inspect
import re

import pytest

from circus.hooks.specs import Lifecycle, Registration
from circus.kinds import HOOKS

SPECS = {
    name: function
    for specs in (Registration, Lifecycle)
    for name, function in vars(specs).items()
    if inspect.isfunction(function)
}


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


def test_the_hooks_of_watchers_are_specs() -> None:
    assert set(HOOKS) <= set(SPECS)
