"""The pluggy specs: what a distribution can register with circusd, and what a plugin can take part in.

An implementation may take fewer arguments than its spec has; their names count.

Registration specs are called in circusd, when it starts. A distribution names a light module that implements them as an
entry point of the group ``circus``::

    [project.entry-points.circus]
    logger = "circus_logger.registration"

and that module has::

    from circus.hooks import PluginSpec, hookimpl

    @hookimpl
    def circus_register_plugins():
        return [PluginSpec("logger", "circus_logger.plugin:Logger", doc="Write each event to a file.")]

Lifecycle specs are called in the plugin's own process, on its object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from circus.events import Event
    from circus.hooks.declarations import HookSpec, OptionSpec, PluginSpec, StreamSpec

GROUP: Final = "circus"  # the entry-point group

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Registration:
    """Called in circusd when it starts. Each returns an iterable unless it says otherwise, and does so at once."""

    @hookspec
    def circus_register_plugins(self) -> Iterable[PluginSpec]:
        """Register plugins, for ``[plugin:NAME]``, ``use = NAME`` and ``circus-plugin NAME``.

        Example::

            @hookimpl
            def circus_register_plugins():
                return [PluginSpec("logger", "circus_logger.plugin:Logger", doc="Write each event to a file.")]
        """
        raise NotImplementedError

    @hookspec
    def circus_register_hooks(self) -> Iterable[HookSpec]:
        """Register functions, for ``hooks.before_start = NAME`` in a watcher's section.

        Example::

            @hookimpl
            def circus_register_hooks():
                return [HookSpec("wait_for_redis", "circus_redis.hooks:wait_for_redis", doc="Wait for redis.")]
        """
        raise NotImplementedError

    @hookspec
    def circus_register_streams(self) -> Iterable[StreamSpec]:
        """Register classes of streams, for ``stdout_stream.class = NAME``. They run in ``plugin:streams``.

        Example::

            @hookimpl
            def circus_register_streams():
                return [StreamSpec("Loki", "circus_loki.stream:Loki", doc="Send each line to Loki.")]
        """
        raise NotImplementedError

    @hookspec
    def circus_register_commands(self) -> Iterable[type]:
        """Register commands, classes derived from ``circus.commands.base.Command``, for the protocol and circusctl.

        They run in circusd and must not block.

        Example::

            @hookimpl
            def circus_register_commands():
                from circus_uptime.command import Uptime
                return [Uptime]
        """
        raise NotImplementedError

    @hookspec
    def circus_register_options(self) -> Iterable[OptionSpec]:
        """Register options that watchers may have for a plugin, each with the plugin's name and a dot before its own.

        Example::

            @hookimpl
            def circus_register_options():
                return [OptionSpec("logger.level", "keyword(low, high)", "low", doc="How much is written.")]
        """
        raise NotImplementedError

    @hookspec
    def circus_configure(self, config: Any) -> Any:
        """Change the configuration before each start and reload: site defaults, generated watchers.

        ``config`` is a :class:`circus.config.Config`, which is immutable: return another one made with
        ``dataclasses.replace``, or None to leave it as it is. Each implementation gets what the one before returned.

        Example::

            @hookimpl
            def circus_configure(config):
                watchers = [replace(w, graceful_timeout=min(w.graceful_timeout, 60)) for w in config.watchers]
                return replace(config, watchers=tuple(watchers))
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def circus_authorize(self, identity: str, command: str, target: str | None) -> bool | None:
        """Say whether a caller may use a command on a watcher, without blocking. The first answer but None counts.

        ``identity`` is ``plugin:NAME`` for a plugin that has said who it is, else empty; ``command`` is the name in
        lower case, ``target`` the name or pattern of the watcher as sent, None where the command is for all.

        Example::

            @hookimpl
            def circus_authorize(identity, command, target):
                return False if command == "quit" and identity else None
        """
        raise NotImplementedError


class Lifecycle:
    """Called in the plugin's own process. Each may be ``async def``.

    A plugin takes part in a hook by implementing it. False refuses; None, or anything else, does not. ``watcher`` and
    ``arbiter`` are proxies, see :mod:`circus.hooks.proxies`. What a refusal or an error leads to is said for each.
    """

    @hookspec
    def on_event(self, event: Event) -> None:
        """Hear of an event. Each is told once and in order, see :class:`circus.events.Event`.

        Example::

            @hookimpl
            def on_event(self, event):
                print(event.action, event.watcher, event.data)
        """

    @hookspec
    def on_resync(self, snapshot: dict[str, Any]) -> None:
        """Hear how everything is: at the start, and after a loss of events that could not be made good.

        ``snapshot`` is the reply of the command ``snapshot``; the next event is the one after ``snapshot["seq"]``.

        Example::

            @hookimpl
            def on_resync(self, snapshot):
                self.active = {name for name, watcher in snapshot["watchers"].items() if watcher["state"] == "active"}
        """

    @hookspec
    def before_start(self, watcher: Any, arbiter: Any, hook_name: str) -> bool | None:
        """Be asked before a watcher starts. After a refusal or an error it is not started.

        Example::

            @hookimpl
            def before_start(self, watcher):
                return datetime.date.today().weekday() != 6
        """

    @hookspec
    def after_start(self, watcher: Any, arbiter: Any, hook_name: str) -> bool | None:
        """Be asked when a watcher has started. After a refusal or an error it is stopped.

        Example::

            @hookimpl
            def after_start(self, watcher):
                return is_healthy(watcher.name)
        """

    @hookspec
    def before_spawn(self, watcher: Any, arbiter: Any, hook_name: str) -> bool | None:
        """Be asked before each process is started. After a refusal or an error the watcher is stopped.

        Example::

            @hookimpl
            def before_spawn(self, watcher):
                return shutil.disk_usage("/").free > 1 << 30
        """

    @hookspec
    def after_spawn(self, watcher: Any, arbiter: Any, hook_name: str, pid: int) -> bool | None:
        """Be asked after each process was started. After a refusal or an error it is killed and the watcher stopped.

        Example::

            @hookimpl
            def after_spawn(self, pid):
                os.setpriority(os.PRIO_PROCESS, pid, 5)
        """

    @hookspec
    def before_stop(self, watcher: Any, arbiter: Any, hook_name: str) -> bool | None:
        """Hear of a stop; it goes on when this returns, whatever it returns.

        Example::

            @hookimpl
            async def before_stop(self, watcher):
                await self.balancer.remove(watcher.name)
        """

    @hookspec
    def after_stop(self, watcher: Any, arbiter: Any, hook_name: str) -> bool | None:
        """Hear that everything of a watcher is gone; it counts as stopped when this returns, whatever it returns.

        Example::

            @hookimpl
            def after_stop(self, watcher):
                shutil.rmtree(f"/run/{watcher.name}", ignore_errors=True)
        """

    @hookspec
    def before_signal(self, watcher: Any, arbiter: Any, hook_name: str, pid: int, signum: int) -> bool | None:
        """Be asked before a process gets a signal. Refused, it is not sent (SIGKILL always is); after an error it is.

        Example::

            @hookimpl
            def before_signal(self, signum):
                return signum != signal.SIGHUP
        """

    @hookspec
    def after_signal(self, watcher: Any, arbiter: Any, hook_name: str, pid: int, signum: int) -> bool | None:
        """Hear that a process was sent a signal. Nothing waits for this.

        Example::

            @hookimpl
            def after_signal(self, pid, signum):
                log.info("process %d got signal %d", pid, signum)
        """

    @hookspec
    def before_reap(self, watcher: Any, arbiter: Any, hook_name: str, process_pid: int, time: float) -> bool | None:
        """Hear that a process has ended, before ``after_reap`` says how. Nothing waits for this.

        Example::

            @hookimpl
            def before_reap(self, process_pid):
                self.pids.discard(process_pid)
        """

    @hookspec
    def after_reap(
        self,
        watcher: Any,
        arbiter: Any,
        hook_name: str,
        process_pid: int,
        time: float,
        exit_code: int,
        process_status: int | None,
    ) -> bool | None:
        """Hear how a process ended; ``exit_code`` is minus the signal's number if one ended it. Nothing waits for this.

        Example::

            @hookimpl
            def after_reap(self, watcher, exit_code):
                if exit_code:
                    self.alarm(f"{watcher.name} ended with {exit_code}")
        """

    @hookspec
    def extended_stats(
        self, watcher: Any, arbiter: Any, hook_name: str, pid: int, stats: dict[str, Any]
    ) -> bool | None:
        """Add keys to what ``circusctl stats NAME --extended`` shows of a process.

        Example::

            @hookimpl
            def extended_stats(self, pid, stats):
                stats["open_files"] = len(os.listdir(f"/proc/{pid}/fd"))
        """
