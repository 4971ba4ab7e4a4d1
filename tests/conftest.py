"""Fixtures of all tests."""

from __future__ import annotations

from circus.testing.plugin import circusd

__all__ = ["circusd"]
