"""Ask for a URL again and again; measure it, and restart a watcher when it fails."""

from __future__ import annotations

import logging
import time
from typing import Any, Final
from urllib.parse import urljoin

from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.simple_httpclient import HTTPTimeoutError

from circus.hooks.declarations import read_options
from circus.plugins.registration import HTTP_OBSERVER
from circus.plugins.statsd import BaseObserver

log = logging.getLogger(__name__)

_REDIRECTIONS: Final = (301, 302, 303, 307, 308)
_MOST_REDIRECTIONS: Final = 5
_NO_ANSWER: Final = 599
"""The code that is counted where there is no answer of which one could be taken."""


class HttpObserver(BaseObserver):
    """Ask for a URL again and again; measure it, and restart a watcher when it fails.

    Each ``loop_rate`` seconds, ``check_url`` is asked for, and redirections are followed. An answer with a code from
    200 to 299 within ``timeout`` seconds is good; anything else is an error: another code, no connection, a broken
    answer, or none in time. What happens is sent to a statsd server, under names that begin with
    ``circus.APP.watcher.``, where ``APP`` is the option ``application_name``:

    ==================================== =========================================================================
    ``http_stats.request_time``          a timer: how many milliseconds a good answer took
    ``http_stats.error``                 a counter of errors
    ``http_stats.error.CODE``            the same for each code; 599 where there was no answer with a code
    ``http_stats.restart_on_error``      a counter of restarts
    ==================================== =========================================================================

    After an error, the watcher ``restart_on_error`` is restarted if it is active: one that was stopped stays so, and
    one that is just starting is given its time. After a restart, the first error that finds the watcher active again
    is passed over, so that a slow program is not restarted for ever.

    .. code-block:: ini

       [plugin:http_observer]
       check_url = http://localhost:8000/health
       timeout = 5
       restart_on_error = web
       loop_rate = 10
    """

    name = "http_observer"
    default_app_name = "http_observer"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = read_options(HTTP_OBSERVER.options, self.config)
        self.check_url: str = options["check_url"]
        self.timeout: float = options["timeout"]
        self.restart_on_error: str | None = options["restart_on_error"] or None
        if not self.check_url.lower().startswith(("http://", "https://")):
            raise ValueError(
                f"check_url: {self.check_url!r} is no URL that can be asked for; write http://HOST:PORT/PATH"
            )
        self._fault = ""
        self._just_restarted = False

    async def look_after(self) -> None:
        """Ask once."""
        begun = time.monotonic()
        code, fault = await self._fetch()
        self._tell(fault)
        if not fault:
            self.statsd.timed("http_stats.request_time", round((time.monotonic() - begun) * 1000, 3))
            self._just_restarted = False
            return
        self.statsd.increment("http_stats.error")
        self.statsd.increment(f"http_stats.error.{code}")
        if self.restart_on_error is not None:
            await self._restart(self.restart_on_error)

    async def _fetch(self) -> tuple[int, str]:
        """Return the code of the answer, and what is wrong with it, empty if nothing is."""
        url, deadline = self.check_url, time.monotonic() + self.timeout
        try:
            # Not left to the client, which gives each redirection the whole time once more.
            for _ in range(_MOST_REDIRECTIONS + 1):
                answer = await self._ask(url, deadline - time.monotonic())
                location = answer.headers.get("Location") if answer.code in _REDIRECTIONS else None
                if location is None:
                    good = 200 <= answer.code < 300
                    return answer.code, "" if good else f"code {answer.code} {answer.reason}".rstrip()
                url = urljoin(url, location)
            return answer.code, f"more than {_MOST_REDIRECTIONS} redirections"
        except TimeoutError:
            return _NO_ANSWER, f"no answer within {self.timeout:g} s"
        except Exception as error:
            # No connection, a fault of TLS, an answer that cannot be read: the server is not as it should be.
            return _NO_ANSWER, str(error) or type(error).__name__

    async def _ask(self, url: str, seconds: float) -> HTTPResponse:
        """Return the answer, whatever its code is. Raise ``TimeoutError`` if it takes too long."""
        if seconds <= 0:
            raise TimeoutError
        # With a client of its own, no check waits for the connection of one that was given up.
        client = AsyncHTTPClient(force_instance=True)
        try:
            return await client.fetch(
                url,
                raise_error=False,
                follow_redirects=False,
                connect_timeout=seconds,
                request_timeout=seconds,
                # Nobody reads the body, so it need not be kept.
                streaming_callback=lambda _chunk: None,
            )
        except HTTPTimeoutError:
            raise TimeoutError from None
        finally:
            client.close()

    def _tell(self, fault: str) -> None:
        """Log an error when it begins, when it becomes another, and its end."""
        if fault and fault != self._fault:
            log.warning("%s fails: %s", self.check_url, fault)
        elif self._fault and not fault:
            log.info("%s answers again", self.check_url)
        self._fault = fault

    async def _restart(self, watcher: str) -> None:
        reply = await self.acall("status", name=watcher)
        if reply["status"] != "active":
            log.info("%s is not restarted: %s", watcher, reply.get("reason") or f"it is {reply['status']}")
        elif self._just_restarted:
            log.info("%s was just restarted and is given until the next look", watcher)
            self._just_restarted = False
        else:
            reply = await self.acall("restart", name=watcher, match="simple")
            if reply["status"] != "ok":
                log.error("%s cannot be restarted: %s", watcher, reply.get("reason"))
                return
            self._just_restarted = True
            log.warning("%s is restarted", watcher)
            self.statsd.increment("http_stats.restart_on_error")
