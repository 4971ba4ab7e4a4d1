"""The sockets that circusd binds once and shares with the processes of its watchers.

``Listeners`` are all of a daemon's; each :class:`~circus.listeners.listener.Listener` is one ``[socket:NAME]``.
"""

from __future__ import annotations

from circus.config.sharing import Share, which
from circus.listeners.binding import Address
from circus.listeners.listener import Listener
from circus.listeners.listeners import Listeners, Supply, addresses

__all__ = ["Address", "Listener", "Listeners", "Share", "Supply", "addresses", "which"]
