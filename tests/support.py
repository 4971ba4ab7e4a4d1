"""What tests have from circus.testing, and what is of use to this project alone."""

from __future__ import annotations

import sys
from pathlib import Path

from circus.testing import DEADLINE, Circusd, Events, daemon, is_alive, wait_until

__all__ = ["BIN", "DEADLINE", "Circusd", "Events", "daemon", "is_alive", "wait_until"]

BIN = Path(sys.executable).parent
