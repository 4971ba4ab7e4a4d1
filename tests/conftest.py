"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import Circusd, daemon


@pytest.fixture
def circusd() -> Iterator[Circusd]:
    """A daemon of its own, not started yet."""
    with daemon() as instance:
        yield instance
