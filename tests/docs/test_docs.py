"""What the documentation shows must be so."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import circus
from circus import events, testing
from circus.commands import lookup, names
from circus.config import load
from circus.config.schema import OPTIONS
from circus.hooks import PluginSpec
from circus.hooks.specs import Lifecycle, Registration
from circus.kinds import HOOKS
from circus.plugins import registration

ROOT = Path(circus.__file__).parent.parent
PAGES = sorted([*ROOT.glob("docs/**/*.rst"), *ROOT.glob("*.md")])
# What circusctl does by itself, without a message to a daemon.
LOCAL_COMMANDS = {"completion", "help", "listen"}


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Each code block in that language: where it stands, and its text."""
    for page in PAGES:
        text = page.read_text()
        if page.suffix == ".md":
            found = re.finditer(rf"^()```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        else:
            found = re.finditer(rf"^( *)\.\. code-block:: {language}\n\n((?:\1 +.*\n|\n)+)", text, re.MULTILINE)
        for block in found:
            line = text.count("\n", 0, block.start()) + 1
            yield f"{page.relative_to(ROOT)}:{line}", textwrap.dedent(block[2])


@pytest.mark.parametrize("where,text", [pytest.param(*block, id=block[0]) for block in blocks("ini")])
def test_every_configuration_shown_is_valid(where: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.ini"
    path.write_text(text)
    config = load(str(path))
    assert not config.warnings, [str(warning) for warning in config.warnings]


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.ini")), ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    config = load(str(path))
    assert config.watchers
    assert not config.warnings, [str(warning) for warning in config.warnings]


def test_every_circusctl_command_shown_exists() -> None:
    shown = {
        (page.name, word)
        for page in PAGES
        for word in re.findall(r"(?:\$ |bin/|``|`)circusctl (?:-[\w-]+ )*([a-z]\w*)", page.read_text())
    }
    assert shown
    known = {*names(), *LOCAL_COMMANDS}
    assert not {(page, word) for page, word in shown if word not in known}


@pytest.mark.parametrize("name", names())
def test_every_command_is_described(name: str) -> None:
    command = lookup(name)
    assert (command.__doc__ or "").strip()
    assert all(declared.doc for declared in command.properties)


def test_every_option_and_event_is_described() -> None:
    assert all(option.doc for section in OPTIONS.values() for option in section.values())
    assert all(doc for _keys, doc in events.ACTIONS.values())


@pytest.mark.parametrize("plugin", registration.circus_register_plugins(), ids=lambda plugin: plugin.name)
def test_every_plugin_has_a_manual_and_an_example(plugin: PluginSpec) -> None:
    manual = inspect.cleandoc(pkgutil.resolve_name(plugin.factory).__dict__["__doc__"])
    assert manual.partition("\n\n")[0] == plugin.doc
    assert f"[plugin:{plugin.name}]" in manual


def test_every_spec_has_an_example() -> None:
    specs = [spec for owner in (Registration, Lifecycle) for name, spec in vars(owner).items() if name[0] != "_"]
    assert {spec.__name__ for spec in specs} > {*HOOKS, "on_event", "circus_register_plugins"}
    assert all("Example::\n\n    @hookimpl\n" in inspect.cleandoc(spec.__doc__ or "") for spec in specs)


def test_what_authors_test_with_is_described() -> None:
    page = (ROOT / "docs" / "howto" / "test-a-plugin.rst").read_text()
    described = set(re.findall(r"^.. circus-testing:: (\w+)$", page, re.MULTILINE))
    assert described == {*testing.__all__} - {"DEADLINE"}
    members = [vars(getattr(testing, name)).items() for name in described if inspect.isclass(getattr(testing, name))]
    assert not [name for found in members for name, member in found if name[0] != "_" and not inspect.getdoc(member)]


@pytest.mark.parametrize("script", ["circusd", "circusctl", "circus-plugin", "circusd-stats", "circus-top"])
def test_man_pages_have_the_options_of_the_programs(script: str) -> None:
    module = script.rpartition("-")[2]
    code = f"import sys; from circus.cli.{module} import main; sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
    )
    assert run.returncode == 0, run.stderr
    page = (ROOT / "docs" / "man" / f"{script}.rst").read_text()
    documented = set(re.findall(r"^(--[a-z][a-z-]*)", page, re.MULTILINE))
    offered = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", run.stdout))
    assert documented == offered | {"--help"}
