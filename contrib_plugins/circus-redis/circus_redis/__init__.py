"""A plugin of Circus that watches a Redis server."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from circus_redis.observer import RedisObserver

__all__ = ["RedisObserver"]


def __getattr__(name: str) -> object:
    """Load the plugin when it is first asked for: circusd imports this package and should not import redis."""
    if name == "RedisObserver":
        from circus_redis.observer import RedisObserver

        return RedisObserver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
