"""One circusd: it binds the endpoints, hands the configuration to the kernel, and obeys signals."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import resource
import signal
from typing import TYPE_CHECKING

import zmq

from circus import commands
from circus.commands.dispatch import Dispatcher
from circus.config.helpers import helpers
from circus.config.unserved import not_yet_served, refuse_unprotected
from circus.daemon.demand import Demand
from circus.daemon.host import Host
from circus.daemon.plugins import HOOK_RUNNER, PluginHost, every_watcher
from circus.daemon.rebinding import Both, Rebinding
from circus.daemon.reload import Reloader
from circus.daemon.signals import Signals
from circus.daemon.systemd import notify, watchdog_interval
from circus.endpoints import discovery, endpoint
from circus.exc import CircusError
from circus.kernel.arbiter import Arbiter
from circus.kernel.publisher import SYNC, Publisher
from circus.kernel.router import Router
from circus.launch import syscalls
from circus.util import default_endpoint, default_pubsub_endpoint, default_stats_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from circus.config import Config
    from circus.config.schema import CircusSettings
    from circus.daemon.plugins import LogOptions
    from circus.daemon.reload import Addresses

log = logging.getLogger("circus")

_SHUTDOWN = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_IGNORED = (signal.SIGWINCH, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)
_LEAST_DESCRIPTORS = 64
_IMPATIENT_GRACE = 1.0
"""Seconds that processes have left after a second request to stop; after a third: none."""


_FAREWELL = 0.1
"""Seconds for which an endpoint that is given up still takes replies away, that of ``reloadconfig`` above all."""


class Daemon:
    """One circusd. ``start`` binds and begins; ``run`` serves until it was told to quit and everything is stopped."""

    def __init__(self, config: Config, adopt: Callable[[CircusSettings], object], log_options: LogOptions) -> None:
        """Prepare. ``adopt`` is called with the new ``[circus]`` before a reload applies it, and may refuse it.

        ``log_options`` tells plugins where the log goes.

        Raise :class:`~circus.exc.CircusError` if this process may open too few files.
        """
        _require_descriptors()
        self.config = config
        self.adopt = adopt
        self.loop = asyncio.new_event_loop()
        settings = config.circus
        self.plugins = PluginHost(settings, log_options)
        self.host = Host(self.plugins, self.loop)
        self.arbiter = self.plugins.arbiter = Arbiter(
            self.loop, self.host, ring_size=settings.event_ring_size, warmup_delay=settings.warmup_delay
        )
        self._demand = Demand(self.arbiter, self.host.listeners)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.router = Router(self._context, self.loop, self.arbiter.reaper.drain)
        self.publisher = self.host.publisher = Publisher(self._context, self.loop, self.arbiter.journal)
        self._locks: dict[str, endpoint.Lock | None] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._dispatcher = Dispatcher(self.arbiter, settings.endpoint_owner, debug=settings.debug)
        self._discovery: discovery.Discovery | None = None
        self._shutdown_requests = 0
        self._signals: Signals | None = None

    def start(self) -> None:
        """Claim and bind the endpoints, make the watchers and begin to start them.

        Raise :class:`~circus.exc.CircusError`, with nothing started, if an endpoint cannot be had.
        """
        settings, arbiter = self.config.circus, self.arbiter
        refuse_unprotected(settings)
        for sentence in not_yet_served(self.config):
            log.warning("%s", sentence)
        arbiter.endpoint = self.bind(self.router, settings.endpoint or default_endpoint(), settings)
        arbiter.pubsub_endpoint = self.bind(
            self.publisher, settings.pubsub_endpoint or default_pubsub_endpoint(), settings
        )
        self.check_stats_endpoint(settings)
        self._open_sockets()
        self.apply(settings)
        arbiter.journal.subscribe(self.publisher.publish)
        arbiter.journal.subscribe(self.host.follow)
        self.publisher.on_topic = functools.partial(self.host.live.look, self.publisher.topics)
        self.publisher.on_sync_lost = arbiter.gates.lost
        arbiter.gates.is_connected = lambda sync: SYNC + sync.encode(errors="replace") in self.publisher.topics
        arbiter.gates.summon = functools.partial(self.plugins.summon, HOOK_RUNNER)
        arbiter.reloader = reloader = Reloader(
            arbiter, self.config, self._prepare, self._probe, self.host.listeners.lost
        )
        self.host.reopen_log = lambda: self.adopt(reloader.config.circus)
        syscalls.become_subreaper()
        self._install_signals()
        self.plugins.endpoint, self.plugins.pubsub_endpoint = arbiter.endpoint, arbiter.pubsub_endpoint
        for watcher in every_watcher(self.config):
            arbiter.create(watcher)
        self.router.serve(self._dispatcher.handle)
        arbiter.start_up(self._on_started)

    def run(self) -> int:
        """Serve until the end; return the status with which the program should exit."""
        log.info("Arbiter now waiting for commands")
        self.loop.run_until_complete(self.arbiter.ended)
        log.info("Arbiter exiting")
        return self.arbiter.exit_code

    def close(self) -> None:
        """Let go of the endpoints and sockets."""
        if self._discovery is not None:
            self._discovery.close()
        for timer in self._leaving.values():
            timer.cancel()
        self.host.close()
        self._demand.close()
        self.arbiter.close()
        self.router.close()
        self.publisher.close()
        self._context.term()
        self.plugins.close()
        self.host.listeners.close()
        for address in list(self._locks):
            self._release(address)
        if self._signals is not None:
            # Whoever asks again now that everything is stopped must not spoil the exit status.
            self._signals.close(ignored=(*_SHUTDOWN, signal.SIGHUP))
        helpers.end()  # a thread waits for each
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def _open_sockets(self) -> None:
        listeners, sockets = self.host.listeners, self.config.sockets
        listeners.open(sockets)
        for name in listeners.passed.unused([socket.systemd for socket in sockets if socket.systemd]):
            log.warning("systemd passed the socket %s, which no [socket:NAME] with systemd = %s takes", name, name)

    # Endpoints.

    def bind(self, way: Router | Publisher, address: str, settings: CircusSettings) -> str:
        """Claim an endpoint and listen there; return it with its real port. Raise ``CircusError`` if that fails."""
        self.check_exposure(address, settings)
        if address in self._leaving:
            self.unbind(way, address)
        endpoint.prepare_dir(address)
        self._locks[address] = endpoint.lock(address)
        way.socket.set(zmq.IPV6, 1)
        try:
            bound = way.bind(address)
        except zmq.ZMQError as failure:
            self._release(address)
            raise CircusError(endpoint.bind_error_text(address, failure)) from None
        if settings.endpoint_owner and way is self.router:
            self._give(address, settings.endpoint_owner)
        return address if endpoint.ipc_path(address) else bound

    def check_exposure(self, address: str, settings: CircusSettings) -> None:
        """Raise ``CircusError`` for an endpoint that more can reach than should; warn of one that others may."""
        error, warning = endpoint.check_exposure(address, settings.auth, settings.insecure, os.geteuid())
        if error:
            raise CircusError(error)
        if warning:
            log.warning(warning)

    def check_stats_endpoint(self, settings: CircusSettings) -> None:
        """As :meth:`check_exposure`, for the endpoint that circusd-stats binds, if it is run."""
        if settings.statsd:
            self.check_exposure(settings.stats_endpoint or default_stats_endpoint(), settings)

    def _give(self, address: str, owner: str) -> None:
        text = endpoint.give_to(address, owner)
        if text:
            log.warning(text)

    def change_owner(self, owner: str | None) -> None:
        """Let the new owner in once it is known what that user may do, and the old one out."""
        self._dispatcher.set_owner(owner)
        try:
            self._give(self.arbiter.endpoint, owner or str(os.geteuid()))
        except CircusError as error:
            log.error("%s", error)

    def leave(self, way: Router | Publisher, address: str) -> None:
        """Stop listening there in a moment, so that replies under way still leave."""
        self._leaving[address] = self.loop.call_later(_FAREWELL, self.unbind, way, address)

    def unbind(self, way: Router | Publisher, address: str) -> None:
        """Stop listening there now."""
        timer = self._leaving.pop(address, None)
        if timer is not None:
            timer.cancel()
        way.socket.unbind(address)
        self._release(address)

    def _release(self, address: str) -> None:
        """Let another daemon have the endpoint."""
        lock = self._locks.pop(address, None)
        if lock is not None:
            lock.release()

    def apply(self, settings: CircusSettings) -> None:
        """Let the options of ``[circus]`` count that can change while circusd runs."""
        self._dispatcher.debug = settings.debug
        self.arbiter.stats_endpoint = settings.stats_endpoint or default_stats_endpoint()
        self.arbiter.check_delay = settings.check_delay
        self.arbiter.sweep()
        self.arbiter.multicast_endpoint = settings.multicast_endpoint
        if self._discovery is not None:
            self._discovery.close()
            self._discovery = None
        if settings.multicast_endpoint:
            self._discovery = discovery.answer(self.loop, settings.multicast_endpoint, self.arbiter.endpoint)

    def _prepare(self, old: Config, new: Config, found: Addresses) -> Both:
        return Both(
            functools.partial(Rebinding, self, old.circus, new.circus),
            functools.partial(self.host.listeners.prepare, new.sockets, found),
        )

    def _probe(self, new: Config, found: Addresses) -> None:
        self.host.listeners.probe(new.sockets, found)

    # Signals.

    def _install_signals(self) -> None:
        signals = self._signals = Signals(self.loop)
        signals.handle(signal.SIGCHLD, self.arbiter.reaper.drain)
        for number in _SHUTDOWN:
            signals.handle(number, functools.partial(self._on_shutdown_signal, number))
        signals.handle(signal.SIGHUP, self._on_hangup)
        for number in _IGNORED:
            # A handler, not SIG_IGN: children would inherit that.
            signals.handle(number, _ignore)

    def _on_shutdown_signal(self, number: signal.Signals) -> None:
        self._shutdown_requests += 1
        log.info("Got signal SIG_%s", number.name.removeprefix("SIG"))
        if self._shutdown_requests == 1:
            notify("STOPPING=1")
            self.arbiter.quit()
            return
        grace = _IMPATIENT_GRACE if self._shutdown_requests == 2 else 0.0
        log.warning("asked to stop again: whatever is left is killed %s", f"in {grace:.0f} s" if grace else "now")
        self.arbiter.quit()
        self.arbiter.hurry(grace)

    def _on_hangup(self) -> None:
        log.info("Got signal SIG_HUP")
        if not self.arbiter.quitting:
            self.arbiter.reload()

    def _on_started(self) -> None:
        notify("READY=1")
        self.loop.call_soon(commands.load)
        interval = watchdog_interval()
        if interval is not None:
            self._beat(interval)

    def _beat(self, interval: float) -> None:
        notify("WATCHDOG=1")
        self.loop.call_later(interval, self._beat, interval)


def _require_descriptors() -> None:
    """libzmq ends the process when it has no descriptor for what it needs itself."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < _LEAST_DESCRIPTORS:
        raise CircusError(
            f"circusd may open {limit} files, and needs at least {_LEAST_DESCRIPTORS}: raise the limit (ulimit -n)"
        )


def _ignore() -> None:
    """A signal that circusd does not act on."""
