"""circusd without its command line: a kernel, the sockets through which it is driven, its configuration and plugins."""

from __future__ import annotations

from circus.daemon.daemon import Daemon

__all__ = ["Daemon"]
