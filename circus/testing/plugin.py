"""The pytest plugin: fixtures of :mod:`circus.testing`. What they need is imported when a test uses them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus.testing import Circusd, RunPlugin


@pytest.fixture
def circusd() -> Iterator[Circusd]:
    """A circusd of the test's own, not started yet. Everything that it started ends with the test."""
    from circus.testing.circusd import daemon

    with daemon() as instance:
        yield instance


@pytest.fixture
def run_plugin(circusd: Circusd) -> Iterator[RunPlugin]:
    """Runs plugins beside the daemon ``circusd``, in threads of the test's process. They end with the test."""
    from circus.testing.running import RunPlugin

    instance = RunPlugin(circusd)
    yield instance
    instance.close()
