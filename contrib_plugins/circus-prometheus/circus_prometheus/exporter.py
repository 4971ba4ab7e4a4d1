"""The plugin, which runs in a process of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from circus.events import Event
from circus.exc import CallError
from circus.plugins import CircusPlugin, hookimpl
from circus_prometheus.counts import Counts
from circus_prometheus.families import Families, of_processes, of_watchers, up
from circus_prometheus.registration import EXPORTER

log = logging.getLogger("circus")


class Exporter(CircusPlugin):
    """Serve a page of metrics to Prometheus, at ``http://HOST:PORT/metrics``.

    It counts events as they come. What is now, the states of watchers and what their processes use, is asked of circusd
    when the page is: so the numbers are as old as the scrape and no older, and cost nothing while nobody scrapes.
    When circusd does not answer within five seconds the page has ``circus_up 0`` and the counters.

    Prometheus needs to reach the page: ``host`` is the address that is listened on, 127.0.0.1 unless it says otherwise.
    Whoever reaches it can read the names of watchers and what happens to them, and can change nothing.

    .. code-block:: ini

       [plugin:prometheus]
       host = 0.0.0.0
       port = 9797
    """

    name = "prometheus"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = EXPORTER.read(self.config)
        self.host: str = options["host"]
        self.port: int = options["port"]
        self._counts = Counts()
        self._server = HTTPServer(Application([("/metrics", _Page, {"exporter": self})], compress_response=True))

    def handle_init(self) -> None:
        """Listen. Raise ``OSError`` if that port is taken."""
        sockets = bind_sockets(self.port, self.host)
        self.port = sockets[0].getsockname()[1]
        self._server.add_sockets(sockets)
        log.info("metrics are at http://%s:%d/metrics", self.host, self.port)

    async def handle_stop(self) -> None:
        """Listen no more."""
        self._server.stop()
        await self._server.close_all_connections()

    @hookimpl
    def on_resync(self, snapshot: dict[str, Any]) -> None:
        """Know the watchers, so that their counters begin with 0."""
        self._counts.know(snapshot)

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Count one."""
        self._counts.add(event)

    async def families(self) -> Families:
        """Return what the page shows."""
        try:
            snapshot, stats = await asyncio.gather(self.acall("snapshot"), self.acall("stats"))
        except CallError as error:
            log.warning("%s", error)
            return [up(False), *self._counts.families()]
        self._counts.know(snapshot)
        return [
            up(True),
            *self._counts.families(),
            *of_watchers(snapshot["watchers"]),
            *of_processes(stats.get("infos", {})),
        ]


class _Page(RequestHandler):
    def initialize(self, exporter: Exporter) -> None:
        self._exporter = exporter

    async def get(self) -> None:
        registry = CollectorRegistry()
        registry.register(_Collected(await self._exporter.families()))
        encode, content_type = choose_encoder(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(encode(registry))

    def log_request(self) -> None:
        """A scrape is no news."""


class _Collected:
    """What a registry wants: something that collects, though that is done already."""

    def __init__(self, families: Families) -> None:
        self._families = families

    def collect(self) -> Families:
        return self._families
