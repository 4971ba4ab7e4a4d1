"""Fixtures of all tests."""

from __future__ import annotations

from circus.testing.plugin import circusd, run_plugin

__all__ = ["circusd", "run_plugin"]
