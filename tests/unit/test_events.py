"""The table of events says what the kernel publishes: subscribers and the reference rely on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import circus
from circus.events import ACTIONS

# What becomes of output is not the kernel's business.
OF_OUTPUT = {"log_dropped", "log_failed"}
KERNEL = Path(circus.__file__).parent / "kernel"


def published() -> Iterator[tuple[str, set[str]]]:
    """Each action that is published somewhere in the kernel, and the keys it is given there."""
    for path in KERNEL.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "publish":
                actions = [word.value for word in node.args if isinstance(word, ast.Constant)]
                if actions:
                    yield str(actions[0]), {keyword.arg for keyword in node.keywords if keyword.arg} - {"time"}


def test_every_event_has_the_keys_that_the_table_declares() -> None:
    # What stands behind a semicolon is not always there.
    always = {action: keys.partition(";")[0] for action, (keys, _) in ACTIONS.items()}
    declared = {action: set(filter(None, keys.split(", "))) for action, keys in always.items()}
    found = list(published())
    assert {action for action, _ in found} == set(declared) - OF_OUTPUT
    assert [(action, keys) for action, keys in found if keys != declared[action]] == []
