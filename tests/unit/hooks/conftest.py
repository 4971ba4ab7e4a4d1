from __future__ import annotations

from pathlib import Path

import pytest

from tests.installed import Installed


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """A folder for distributions, to be put on a search path."""
    return Installed(tmp_path / "site")
