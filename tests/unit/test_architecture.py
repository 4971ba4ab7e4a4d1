"""What the house rules say about imports and sizes, checked on every module of the package."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import circus

PACKAGE = Path(circus.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

MODULE_LINES = 300
KERNEL_LINES = 2600

BASE = frozenset({"", "events", "protocol", "exc", "util", "kinds"})
# What puts the kernel to use: circusd without its command line, and what embedding programs import.
FACES = frozenset({"daemon", "arbiter", "watcher", "process", "sockets"})
CLIENTS = frozenset({"client", "async_client", "consumer"})
# What a daemon is made of.
DAEMON = frozenset({"config", "hooks.registry", "launch", "endpoints", "listeners", "kernel", "commands", "stream"})

# What is installed, and the specs by which it says so: of the folder hooks, this alone is loaded by circusd.
REGISTRY = frozenset(
    {
        "circus.hooks",
        "circus.hooks.calls",
        "circus.hooks.declarations",
        "circus.hooks.distributions",
        "circus.hooks.foreign",
        "circus.hooks.references",
        "circus.hooks.registry",
        "circus.hooks.specs",
    }
)

# Part of the package → the parts that it may import besides itself. Imports run downward only.
ALLOWED: dict[str, frozenset[str]] = {
    **dict.fromkeys(BASE, BASE),
    "config": BASE | {"hooks.registry"},
    "hooks.registry": BASE,
    "launch": BASE | {"config"},
    "endpoints": BASE,
    "listeners": BASE | {"config"},
    "kernel": BASE | {"config", "hooks.registry", "launch"},
    "commands": BASE | {"config", "hooks.registry", "kernel"},
    "stream": BASE | {"config", "hooks.registry"},
    **dict.fromkeys(FACES, BASE | FACES | DAEMON),
    **dict.fromkeys(CLIENTS, BASE | CLIENTS),
    # What runs in processes of its own knows circusd by its messages only.
    "hooks": BASE | CLIENTS | {"hooks.registry", "plugins"},
    # A class that somebody has derived from one of circusd's own streams runs there too.
    "plugins": BASE | CLIENTS | {"hooks", "hooks.registry", "stream"},
    **dict.fromkeys(("stats", "web"), BASE | CLIENTS | {"endpoints", "hooks", "hooks.registry", "plugins"}),
    "top": BASE | CLIENTS | {"endpoints", "stats"},
    "cli": BASE | FACES | CLIENTS | DAEMON | {"hooks", "plugins", "stats", "top", "web"},
    "testing": BASE
    | FACES
    | CLIENTS
    | {"config", "hooks", "hooks.registry", "kernel", "commands", "plugins", "stream"},
}

# Heavy modules that circusctl does without, so that it answers at once.
NOT_IN_CIRCUSCTL = {"asyncio", "logging", "dataclasses", "configobj", "psutil", "tornado", "circus.kernel"}


def name_of(path: Path) -> str:
    """The dotted name of the module in the file ``path``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The part of the package that ``module`` belongs to: ``circus.kernel.reaper`` belongs to ``kernel``."""
    if module in REGISTRY:
        return "hooks.registry"
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Each import in a file, also those inside functions: its line and the full name of what is imported."""
    module = name_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            origin = ".".join(filter(None, [base, node.module]))
            for alias in node.names:
                submodule = PACKAGE.parent.joinpath(*origin.split("."), alias.name)
                is_module = submodule.with_suffix(".py").exists() or (submodule / "__init__.py").exists()
                yield node.lineno, f"{origin}.{alias.name}" if is_module else origin


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_downward_only(path: Path) -> None:
    part = part_of(name_of(path))
    assert part in ALLOWED, f"add {part} to the import rules"
    faults = [
        f"{path}:{line}: {part or 'circus'} may not import {target}"
        for line, target in imports_of(path)
        if (target == "circus" or target.startswith("circus.")) and part_of(target) not in ALLOWED[part] | {part}
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", sorted((PACKAGE / "kernel").rglob("*.py")), ids=name_of)
def test_the_kernel_needs_neither_psutil_nor_tornado(path: Path) -> None:
    faults = [
        f"{path}:{line}: {name}" for line, name in imports_of(path) if name.split(".")[0] in {"psutil", "tornado"}
    ]
    assert not faults, "\n".join(faults)


def test_modules_are_short() -> None:
    long = {name_of(path): lines for path in MODULES if (lines := len(path.read_text().splitlines())) > MODULE_LINES}
    assert not long, f"look for the second subject in {long} (at most {MODULE_LINES} lines)"


def lines_of_code(path: Path) -> int:
    """How many lines of a file are code: not blank, and neither comment nor docstring."""
    text = path.read_text()
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def test_the_kernel_is_small() -> None:
    sizes = {path.name: lines_of_code(path) for path in (PACKAGE / "kernel").rglob("*.py")}
    assert sizes, "no kernel"
    assert sum(sizes.values()) <= KERNEL_LINES, sizes


def modules_after(statement: str) -> set[str]:
    """Names of all modules that a fresh interpreter has loaded after ``statement``."""
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    return set(run.stdout.split())


def test_circusctl_starts_light() -> None:
    loaded = modules_after("import circus.cli.circusctl") - modules_after("import zmq")
    heavy = {name for name in loaded if any(name == bad or name.startswith(bad + ".") for bad in NOT_IN_CIRCUSCTL)}
    assert not heavy, f"circusctl loads {sorted(heavy)} before it does anything"


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = {name for name in modules_after("import circus") if name.startswith("circus.")}
    assert not loaded
