"""The Redis observer has a distribution of its own; this is where existing files look for it."""

from __future__ import annotations

try:
    from circus_redis.observer import RedisObserver
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"RedisObserver is in a distribution of its own: pip install circus-redis ({error})", name=error.name
    ) from error

__all__ = ["RedisObserver"]
