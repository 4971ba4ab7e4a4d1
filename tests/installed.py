"""Distributions as an installer leaves them: folders of metadata and modules, in a folder for the search path."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

HEAD = """\
from circus.hooks import HookSpec, OptionSpec, PluginSpec, StreamSpec, hookimpl

"""


class Installed:
    """A folder on the search path of an interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        distribution: str,
        text: str = "",
        version: str = "1.0",
        entry_points: dict[str, str] | None = None,
        metadata: str = "dist-info",
    ) -> str:
        """Install a distribution with one module, by default its entry point; return the module's name.

        ``text`` follows an import of all that a registration needs.
        """
        module = distribution.replace("-", "_").lower()
        (self.folder / f"{module}.py").write_text(HEAD + textwrap.dedent(text))
        suffix = "" if metadata == "egg-info" else f"-{version}"
        folder = self.folder / f"{distribution.replace('-', '_')}{suffix}.{metadata}"
        folder.mkdir()
        file = "METADATA" if metadata == "dist-info" else "PKG-INFO"
        (folder / file).write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\nName: no\n")
        lines = [f"{name} = {value}" for name, value in (entry_points or {"main": module}).items()]
        (folder / "entry_points.txt").write_text("\n".join(["[console_scripts]", "x = y:z", "", "[circus]", *lines]))
        return module

    @property
    def environment(self) -> dict[str, str]:
        """The environment of an interpreter that finds the distributions."""
        return {"PYTHONPATH": os.pathsep.join(filter(None, [str(self.folder), os.environ.get("PYTHONPATH")]))}
