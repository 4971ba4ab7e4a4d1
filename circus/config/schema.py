"""The one table of every option: name, type, default, meaning and effect of a change are metadata of the fields below.

The configspec that types a file, the reference page, the checks of ``add`` and ``set`` and the reply of ``options`` are
made from it. Times are in seconds. Settings are immutable; a change makes new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from circus.config import change
from circus.config.options import Option, family, option, options_of
from circus.events import is_plugin
from circus.kinds import HOOKS, RLIMITS

_SECONDS = "number(min=0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircusSettings:
    """The section ``[circus]``. An endpoint that is not named is empty: the daemon then takes its own default."""

    endpoint: str = option("", type="endpoint", doc="ZeroMQ ROUTER that takes commands; a local socket by default")
    endpoint_owner: str | None = option(
        None,
        type="user_name",
        doc="user who owns an ipc:// endpoint's socket file; watchers added through it must then run as that user",
    )
    pubsub_endpoint: str = option("", type="endpoint", doc="ZeroMQ endpoint of the events; a local socket by default")
    stats_endpoint: str = option("", type="endpoint", doc="ZeroMQ endpoint of the statistics; it turns statsd on")
    multicast_endpoint: str = option(
        "", type="multicast", doc="UDP multicast address that answers discovery with the endpoint; off by default"
    )
    auth: str = option(
        "", type="keyword('', curve)", doc="curve: clients of TCP endpoints prove who they are with a key"
    )
    insecure: bool = option(
        False, type="boolean", doc="a TCP endpoint without auth that is not on loopback is meant, and not refused"
    )
    statsd: bool = option(False, type="boolean", doc="run circusd-stats")
    statsd_children: bool = option(False, type="boolean", doc="circusd-stats tells of children of processes as well")
    statsd_close_outputs: bool = option(False, type="boolean", doc="stdout and stderr of circusd-stats go to /dev/null")
    httpd: bool = option(False, type="boolean", doc="run circushttpd, the web console")
    httpd_host: str = option("localhost", type="text", doc="address that the web console binds to")
    httpd_port: int = option(8080, type="integer(min=0, max=65535)", doc="TCP port of the web console")
    httpd_close_outputs: bool = option(False, type="boolean", doc="stdout and stderr of circushttpd go to /dev/null")
    httpd_password_hash: str = option(
        "", type="text", doc="hash of the web console's password, instead of a token printed at start"
    )
    check_delay: float = option(
        5.0,
        type="number",
        doc="seconds between safety sweeps, none if 0 or less; deaths are noticed at once, never by this timer",
    )
    warmup_delay: float = option(0.0, type=_SECONDS, doc="seconds between two watchers' starts")
    stream_backend: str = option("thread", type="text", doc="accepted, without effect")
    debug: bool = option(
        False, type="boolean", doc="the output of plugins, statistics and web console goes to circusd's"
    )
    debug_gc: bool = option(False, type="boolean", doc="log what the garbage collector does")
    pidfile: str | None = option(None, type="optional", doc="file that holds circusd's process id")
    umask: int | None = option(None, type="octal", doc="circusd's file mode creation mask, in octal")
    proc_name: str | None = option(None, type="optional", doc="name of circusd's process as other programs see it")
    loglevel: str = option(
        "INFO", type="keyword(DEBUG, INFO, WARNING, ERROR, CRITICAL)", doc="least level of what is logged"
    )
    logoutput: str = option(
        "-", type="text", doc="a file, - (stderr), syslog://host:port?facility or syslog:///path?facility"
    )
    loggerconfig: str | None = option(
        None, type="optional", doc="file with a logging configuration in INI, JSON or YAML"
    )
    fqdn_prefix: str | None = option(None, type="optional", doc="prefix of this node's unique name PREFIX@fqdn")
    event_ring_size: int = option(
        16384, type="integer(min=1)", doc="number of events that are kept for the command events"
    )
    include: str = option("", type="text", doc="blank-separated globs of files to read too, relative to this file")
    include_dir: str = option("", type="text", doc="blank-separated folders of which every *.ini is read too")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherSettings:
    """A section ``[watcher:NAME]``, or the options of the command ``add``."""

    name: str
    cmd: str = option("", type="text", doc="command line, split as a shell does", effect="reload")
    args: str | tuple[str, ...] = option(
        "", type="text", doc="arguments appended to cmd, split as a shell does", effect="reload"
    )
    executable: str | None = option(
        None, type="optional", doc="program that is run; cmd's first word is then only its name", effect="reload"
    )
    shell: bool = option(False, type="boolean", doc="run cmd and args, as written, through /bin/sh", effect="reload")
    shell_args: str | None = option(
        None, type="optional", doc="the shell's positional arguments, with shell", effect="reload"
    )
    # Beyond any machine's use; a slip of the finger must not keep circusd busy with counting slots.
    numprocesses: int = option(1, type="integer(min=0, max=32768)", doc="number of processes")
    singleton: bool = option(False, type="boolean", doc="at most one process")
    working_dir: str | None = option(
        None, type="optional", doc="directory the processes start in; circusd's by default", effect="reload"
    )
    uid: int | str | None = option(
        None, type="user", doc="user, by name or number, that the processes run as", effect="reload"
    )
    gid: int | str | None = option(
        None, type="group", doc="group, by name or number; with uid alone the user's own", effect="reload"
    )
    env: Mapping[str, str] = option(
        {}, type="env", doc="the processes' environment (in a file: the sections [env])", effect="reload"
    )
    copy_env: bool = option(False, type="boolean", doc="circusd's own environment lies beneath env", effect="reload")
    copy_path: bool = option(
        False, type="boolean", doc="circusd's sys.path as PYTHONPATH; needs copy_env", effect="reload"
    )
    virtualenv: str | None = option(
        None,
        type="optional",
        doc="virtual environment whose bin and site-packages go into PATH and PYTHONPATH; needs copy_env",
        effect="reload",
    )
    virtualenv_py_ver: str | None = option(
        None, type="optional", doc="Python version of virtualenv, such as 3.11", effect="reload"
    )
    rlimits: Mapping[str, int | None] = family(
        "rlimit_NAME",
        type="rlimit",
        names=RLIMITS,
        effect="reload",
        doc="limit of a resource, soft and hard; empty means infinity",
    )
    autostart: bool = option(True, type="boolean", doc="start with circusd")
    respawn: bool = option(True, type="boolean", doc="replace processes that ended")
    on_demand: bool = option(
        False, type="boolean", doc="spawn when one of its own sockets is connected to; after the end of all, again"
    )
    idle_timeout: float = option(
        0.0, type=_SECONDS, doc="with on_demand: seconds without a connection until the processes stop; 0: never"
    )
    warmup_delay: float = option(0.0, type=_SECONDS, doc="seconds between the spawns of two processes")
    max_retry: int = option(
        5, type="integer(min=-1)", doc="failed spawns in a row until the watcher is stopped; -1: for ever"
    )
    graceful_timeout: float = option(30.0, type=_SECONDS, doc="seconds from stop_signal to SIGKILL")
    stop_signal: int = option(15, type="signum", doc="signal, by name or number, that asks a process to end")
    stop_children: bool = option(False, type="boolean", doc="stop_signal goes to the process's children too")
    send_hup: bool = option(False, type="boolean", doc="a reload sends SIGHUP instead of replacing processes")
    max_age: float = option(0.0, type=_SECONDS, doc="seconds until a process is replaced; 0: never", effect="reload")
    max_age_variance: float = option(
        30.0, type=_SECONDS, doc="most seconds added to max_age, at random for each process", effect="reload"
    )
    priority: int = option(0, type="integer", doc="higher starts first and stops last")
    use_sockets: bool = option(
        False, type="boolean", doc="the processes inherit the sockets' descriptors", effect="reload"
    )
    stdin_socket: str | None = option(
        None, type="optional", doc="name of the socket that is placed at descriptor 0", effect="reload"
    )
    close_child_stdin: bool = option(True, type="boolean", doc="stdin of the processes is /dev/null", effect="reload")
    close_child_stdout: bool = option(
        False, type="boolean", doc="stdout of the processes is /dev/null", effect="reload"
    )
    close_child_stderr: bool = option(
        False, type="boolean", doc="stderr of the processes is /dev/null", effect="reload"
    )
    hooks: Mapping[str, tuple[str, bool]] = family(
        "hooks.NAME",
        type="hook",
        names=HOOKS,
        effect="hook",
        doc="function to call; ', true' after it: its errors are ignored",
    )
    hook_timeout: float = option(
        0.0, type=_SECONDS, doc="seconds until a hook without an answer has failed; 0: it may take for ever"
    )
    on_failure: str = option(
        "restart",
        type="keyword(restart, exit, ignore)",
        doc="what follows when the watcher gives up: after max_retry failed starts in a row, or, with respawn off, at "
        "an exit other than 0; restart: no more than that it is stopped; ignore: the same, and it is not shown as "
        "failed; exit: circusd stops everything and ends with the program's exit code, or 128 + the signal that ended "
        "it",
    )
    ready: str = option(
        "", type="keyword('', notify)", doc="notify: a process counts as running once it said READY=1", effect="reload"
    )
    ready_timeout: float = option(
        0.0, type=_SECONDS, doc="seconds for which watchers of lower priority wait for READY=1; 0: as long as it takes"
    )
    stdout_stream: Mapping[str, str] = family(
        "stdout_stream.KEY", type="text", effect="stream", doc="class and options of the stream that gets stdout"
    )
    stderr_stream: Mapping[str, str] = family(
        "stderr_stream.KEY", type="text", effect="stream", doc="class and options of the stream that gets stderr"
    )
    extra: Mapping[str, str] = field(default_factory=dict)
    briefing: str = field(default="", repr=False)
    """JSON that a plugin's process is told; no option, as it may hold secrets, which nobody is shown."""

    @property
    def is_plugin(self) -> bool:
        """Whether it is the watcher of a plugin: those start before all others and stop after them."""
        return is_plugin(self.name)

    @classmethod
    def from_options(
        cls, name: str, cmd: str, options: Mapping[str, object], *, free_form: bool = False
    ) -> WatcherSettings:
        """Settings from a program's typed ``options``, as ``add`` takes them.

        With ``free_form`` an unknown option is kept in ``extra`` as a text. Raise ``MessageError`` for an unknown
        option or a value of the wrong type, ``CircusError`` for a second process of a singleton.
        """
        return change.from_options(cls(name=name), cmd, options, free_form)

    def with_option(self, key: str, value: object) -> tuple[WatcherSettings, str]:
        """New settings with one option, as ``with_options`` makes them, and its effect."""
        settings, effects = change.with_options(self, {key: value})
        return settings, effects.pop()

    def with_options(self, options: Mapping[str, object]) -> tuple[WatcherSettings, set[str]]:
        """New settings with options as ``set`` takes them, and the effects: none, reload, stream, hook.

        Raise ``MessageError`` for an unknown option, a value of the wrong type, or options that do not go together;
        ``CircusError`` for a second process of a singleton.
        """
        return change.with_options(self, options)

    def without_reload(self, options: Mapping[str, object]) -> dict[str, object]:
        """Those of ``options`` that change something without new processes."""
        return {key: value for key, value in options.items() if change.effect_of(self, key) != "reload"}

    def as_options(self) -> dict[str, Any]:
        """Every option and its value in types that JSON knows, under the names that the command ``options`` shows."""
        return change.as_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSettings:
    """A section ``[socket:NAME]``; the name is in lower case."""

    name: str
    host: str = option("localhost", type="text", doc="address to bind to")
    port: int = option(8080, type="integer(min=0, max=65535)", doc="port to bind to; 0: a free one")
    family: str = option(
        "AF_INET", type="keyword(AF_INET, AF_INET6, AF_UNIX)", doc="address family; AF_UNIX if there is a path"
    )
    type: str = option(
        "SOCK_STREAM", type="keyword(SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET)", doc="socket type"
    )
    proto: str | None = option(None, type="optional", doc="protocol, by name or number; that of the type by default")
    ipv6_only: bool = option(
        False, type="boolean", doc="with host = ::, take no IPv4 connections, so that another socket can have them"
    )
    interface: str | None = option(None, type="optional", doc="network interface to bind to (SO_BINDTODEVICE)")
    path: str | None = option(None, type="optional", doc="file of a Unix socket")
    umask: int | None = option(None, type="octal", doc="mask of the file's mode, in octal; circusd's by default")
    replace: bool = option(
        False, type="boolean", doc="remove a stale socket file; one on which somebody listens stays, and is an error"
    )
    backlog: int = option(2048, type="integer(min=0, max=2147483647)", doc="connections that wait to be accepted")
    so_reuseport: bool = option(
        False,
        type="boolean",
        doc="each process that names the socket in its command gets one of its own, bound with SO_REUSEPORT",
    )
    blocking: bool = option(False, type="boolean", doc="the socket is left in blocking mode")
    systemd: str | None = option(
        None, type="optional", doc="name under which systemd hands the socket to circusd, which then binds nothing"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    """A section ``[plugin:NAME]``.

    ``name`` is ``plugin:NAME``, ``config`` holds every option but ``use`` as texts, ``watcher`` is its process.
    ``factory`` is what makes it: ``module:attribute``, a dotted path, or a whole path ``FILE.py:attribute``.
    """

    name: str
    use: str = option(
        "",
        type="text",
        doc="registered name, module:attribute, dotted path or ./file.py:attribute of the plugin; NAME by default",
    )
    active: bool = option(True, type="boolean", doc="run the plugin")
    factory: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    watcher: WatcherSettings


CIRCUS = options_of(CircusSettings)
WATCHER = options_of(WatcherSettings)
SOCKET = options_of(SocketSettings)
PLUGIN = options_of(PluginSettings)
OPTIONS: dict[str, dict[str, Option]] = {"circus": CIRCUS, "watcher": WATCHER, "socket": SOCKET, "plugin": PLUGIN}
