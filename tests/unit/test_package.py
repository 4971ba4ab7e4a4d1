"""The package as a newcomer, pip and a type checker meet it."""

from __future__ import annotations

import configparser
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import circus

PACKAGE = Path(circus.__file__).parent
ROOT = PACKAGE.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
SCRIPTS = dict(line.split(" = ") for line in SETUP["options.entry_points"]["console_scripts"].split("\n") if line)


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == circus.__version__


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert "py.typed" in SETUP["options.package_data"]["circus"].split()


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()], "setuptools leaves it out"


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_console_scripts_exist(script: str) -> None:
    assert callable(EntryPoint(script, SCRIPTS[script], "console_scripts").load())


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ringmaster'"):
        circus.ringmaster  # noqa: B018  # the access is the test


def test_the_licence_is_the_one_that_the_metadata_names() -> None:
    assert SETUP["metadata"]["license"] == "Apache-2.0"
    text = (ROOT / SETUP["metadata"]["license_files"]).read_text()
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_targets_and_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", "".join(re.findall(r"`[^`]+`|```.*?```", text, re.DOTALL)))) <= targets
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
