"""The plugin, which runs in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from redis import RedisError
from redis.asyncio import Redis

from circus.plugins.statsd import BaseObserver
from circus_redis.registration import REDIS_OBSERVER

log = logging.getLogger("circus")


class RedisObserver(BaseObserver):
    """Send the numbers of a Redis server to statsd, and restart the server when it hangs.

    Each ``loop_rate`` seconds (60), the server at ``redis_url`` is asked for ``INFO``, and each number of the answer
    becomes the gauge ``circus.APP.watcher.redis_stats.KEY``, where ``APP`` is the option ``application_name``
    (``redis_observer``). Those of a database are ``redis_stats.db0.keys`` and so on.

    A server that takes more than ``timeout`` seconds (5) counts as ``redis_stats.timeout``, and the watcher that
    ``restart_on_timeout`` names is restarted, counted as ``redis_stats.restart_on_timeout``. A server that refuses the
    connection, or answers with an error, counts as ``redis_stats.error`` and is left alone: it has ended, which is
    circusd's business, or it is just loading its data.

    .. code-block:: ini

       [watcher:redis]
       cmd = redis-server --port 6379

       [plugin:redis_observer]
       redis_url = redis://localhost:6379/0
       restart_on_timeout = redis
       loop_rate = 10
    """

    name = "redis_observer"
    default_app_name = "redis_observer"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = REDIS_OBSERVER.read(self.config)
        self.timeout: float = options["timeout"]
        self.restart_on_timeout: str | None = options["restart_on_timeout"]
        self._redis = Redis.from_url(options["redis_url"])

    async def look_after(self) -> None:
        """Look once."""
        try:
            info = await asyncio.wait_for(self._redis.info(), self.timeout)
        except TimeoutError:
            await self._on_timeout()
        except (RedisError, OSError) as error:
            log.warning("Redis does not tell its numbers: %s", error)
            self.statsd.increment("redis_stats.error")
        else:
            for key, value in numbers(info):
                self.statsd.gauge(f"redis_stats.{key}", value)

    async def handle_stop(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        super().handle_stop()

    async def _on_timeout(self) -> None:
        log.warning("Redis has not answered within %g s", self.timeout)
        self.statsd.increment("redis_stats.timeout")
        if self.restart_on_timeout:
            log.warning("restarting %s", self.restart_on_timeout)
            self.statsd.increment("redis_stats.restart_on_timeout")
            # Until that is done nobody looks again, so a server that is slow to come up is not restarted once more.
            reply = await self.acall("restart", name=self.restart_on_timeout, waiting=True)
            if reply.get("status") == "error":
                log.error("%s is not restarted: %s", self.restart_on_timeout, reply.get("reason"))


def numbers(info: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of an answer to ``INFO`` with their names; those of a group have its name and a dot before."""
    for key, value in info.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", number) for inner, number in numbers(value))
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield key, value
