"""What must hold between options and between sections, beyond the type of each value."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from circus import kinds
from circus.config.change import conflicts
from circus.config.faults import Place, Report, Subject
from circus.config.ini import Document
from circus.config.installed import check_hooks, check_plugin, check_stream, check_watcher_options
from circus.config.places import differing_streams
from circus.config.schema import SocketSettings, WatcherSettings
from circus.config.sharing import which
from circus.config.sockets import check_socket
from circus.config.streams import STREAMS as STREAM_OPTIONS
from circus.config.variables import sockets_named, uses_old_wid
from circus.events import HELPERS

if TYPE_CHECKING:
    from circus.config.loader import Config

Sockets = Mapping[str, SocketSettings]
"""Those of the configuration, by their names in lower case."""


def check(config: Config, document: Document, report: Report) -> None:
    """Report every fault and warning of a configuration whose values have the right types."""
    sockets = {socket.name: socket for socket in config.sockets}
    for watcher in config.watchers:
        check_watcher(watcher, sockets, document, report)
    for plugin in config.plugins:
        subject = Subject(plugin.name, document, report)
        _check_watcher(plugin.watcher, subject, sockets)
        check_plugin(plugin, subject)
    for socket in config.sockets:
        check_socket(socket, Subject(_socket_section(document, socket.name), document, report))
    for watcher, (option, message, _) in differing_streams(config.watchers):
        Subject(f"watcher:{watcher.name}", document, report).warn(option, message)
    _check_names(document, report)
    _check_helpers(config, document, report)
    _check_addresses(config, document, report)


def check_watcher(watcher: WatcherSettings, sockets: Sockets, document: Document, report: Report) -> None:
    """Report what is wrong with a watcher that is no plugin's."""
    subject = Subject(f"watcher:{watcher.name}", document, report)
    if not watcher.cmd.strip():
        subject.fault("cmd" if "cmd" in document.text.get(subject.section, ()) else "", _NO_COMMAND)
    _check_watcher(watcher, subject, sockets)


_NO_COMMAND = "the watcher has no command; accepted: cmd = the program and its arguments"


def _socket_section(document: Document, name: str) -> str:
    sections: list[str] = document.text.sections
    return next(
        section
        for section in sections
        if section.lower().partition(":")[2].strip() == name and section.startswith("socket:")
    )


def _check_watcher(watcher: WatcherSettings, subject: Subject, sockets: Sockets) -> None:
    for option, message in conflicts(watcher):
        subject.fault(option, message)
    if watcher.stdin_socket and watcher.stdin_socket not in sockets:
        message = f"there is no socket {watcher.stdin_socket!r}; accepted: {_listed(sockets)}"
        subject.fault("stdin_socket", message + kinds.nearest(watcher.stdin_socket, sockets))
    if watcher.on_demand:
        _check_on_demand(watcher, subject, sockets)
    elif watcher.idle_timeout:
        subject.warn("idle_timeout", "without effect, as on_demand is off; accepted: on_demand = True beside it")
    check_hooks(watcher, subject)
    check_watcher_options(watcher, subject)
    for option in STREAM_OPTIONS:
        options = getattr(watcher, option)
        if options:
            check_stream(option, options, subject)
    _check_variables(watcher, subject, sockets)


def _check_on_demand(watcher: WatcherSettings, subject: Subject, sockets: Sockets) -> None:
    own = [sockets[name] for name in which(watcher, sockets.values()).own if name in sockets]
    if all(socket.so_reuseport for socket in own):
        what = "none whose connections circusd sees: with so_reuseport they are the processes' own" if own else "none"
        subject.fault(
            "on_demand",
            f"a socket is needed that starts the watcher, and it has {what}; accepted: $(circus.sockets.NAME) in cmd, "
            "use_sockets = True or stdin_socket = NAME",
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "the name of a [socket:NAME], of which there are none"


def _check_variables(watcher: WatcherSettings, subject: Subject, sockets: Sockets) -> None:
    texts = {"cmd": watcher.cmd, "args": watcher.args, "shell_args": watcher.shell_args}
    texts |= {f"{stream}.filename": getattr(watcher, stream).get("filename") for stream in STREAM_OPTIONS}
    texts["env"] = "\n".join(watcher.env.values())
    for option, text in texts.items():
        if not isinstance(text, str):
            continue
        if option != "env" and uses_old_wid(text):
            subject.warn(option, "$WID is deprecated; accepted: $(circus.wid)")
        for name in sorted(sockets_named(text) - sockets.keys()):
            message = f"there is no socket {name!r}, so the variable stays as it is; accepted: {_listed(sockets)}"
            subject.warn(option, message + kinds.nearest(name, sockets))


def _check_names(document: Document, report: Report) -> None:
    """Names that differ only in letter case would be the same to commands, or the same descriptor."""
    seen: dict[tuple[str, str], str] = {}
    for section in document.text.sections:
        kind, _, name = section.partition(":")
        # A plugin's watcher is called plugin:NAME, so that a [watcher:plugin:NAME] would meet it.
        folded = ("watcher", section.lower()) if kind == "plugin" else (kind, name.lower())
        if kind not in ("watcher", "plugin", "socket") or not name or not document.text[section]:
            continue
        first = seen.setdefault(folded, section)
        if first != section:
            place = document.place(first)
            message = f"the name differs only in letter case from [{first}] at {place.file}:{place.line}"
            report.fault(document.place(section), section, "", f"{message}; accepted: names that differ otherwise")


def _check_helpers(config: Config, document: Document, report: Report) -> None:
    for watcher in config.watchers:
        if watcher.name.lower() in HELPERS:
            section = f"watcher:{watcher.name}"
            message = "circusd runs a watcher of this name itself (statsd, httpd in [circus]); accepted: another name"
            report.fault(document.place(section), section, "", message)


_PORTS: Final = {"SOCK_STREAM": "port", "SOCK_DGRAM": "UDP port"}
"""What the ports of a type of socket are called."""


class _Address(NamedTuple):
    place: Place
    section: str
    option: str
    family: str
    """Empty for IPv4 and IPv6 at once."""
    host: str
    port: str
    shared: bool = False
    """Whether others that are ``shared`` too can have the same address."""

    def meets(self, other: _Address) -> bool:
        same_host = self.host == other.host or "*" in (self.host, other.host)
        same_family = self.family == other.family or "" in (self.family, other.family)
        return same_host and same_family and self.port == other.port and not (self.shared and other.shared)

    def remedy(self, other: _Address) -> str:
        """What else helps against another one that it meets."""
        if self.family == other.family:
            return ""
        return f", or ipv6_only = True in [{(other if self.family else self).section}]"


def _check_addresses(config: Config, document: Document, report: Report) -> None:
    """Two endpoints or sockets that would bind the same port or file."""
    order = {file: position for position, file in enumerate(report.files)}
    taken: dict[str, list[_Address]] = {}
    addresses = [*_endpoint_addresses(config, document), *_socket_addresses(config, document)]
    for address in sorted(addresses, key=lambda address: (order[address.place.file], address.place.line)):
        others = taken.setdefault(address.port, [])
        first = next((other for other in others if other.meets(address)), None)
        if first:
            message = f"{address.port} is taken by {first.option} of [{first.section}]"
            message += f"; accepted: an address of its own for each{address.remedy(first)}"
            report.fault(address.place, address.section, address.option, message)
        others.append(address)


def _endpoint_addresses(config: Config, document: Document) -> Iterator[_Address]:
    for option in ("endpoint", "pubsub_endpoint", "stats_endpoint"):
        transport, _, address = getattr(config.circus, option).partition("://")
        host, _, port = address.rpartition(":")
        place = document.place("circus", option)
        if transport == "ipc":
            yield _Address(place, "circus", option, "AF_UNIX", "", address)
        elif transport == "tcp" and port not in ("0", "*"):
            yield _Address(place, "circus", option, _family(host), _host(host), f"port {port}")
    host, port = config.circus.httpd_host, config.circus.httpd_port
    if config.circus.httpd and port:
        place = document.place("circus", "httpd_port")
        yield _Address(place, "circus", "httpd_port", _family(host), _host(host), f"port {port}")


def _socket_addresses(config: Config, document: Document) -> Iterator[_Address]:
    for socket in config.sockets:
        section = _socket_section(document, socket.name)
        if socket.systemd:
            yield _Address(
                document.place(section, "systemd"),
                section,
                "systemd",
                "",
                "",
                f"what systemd passes as {socket.systemd}",
            )
        elif socket.path:
            path = os.path.abspath(socket.path)
            yield _Address(document.place(section, "path"), section, "path", "AF_UNIX", "", path)
        # The same port is free again on another interface.
        elif socket.port and socket.type in _PORTS and not socket.interface:
            place, host = document.place(section, "port"), _host(socket.host)
            family = "" if socket.family == "AF_INET6" and host == "*" and not socket.ipv6_only else socket.family
            port = f"{_PORTS[socket.type]} {socket.port}"
            yield _Address(place, section, "port", family, host, port, socket.so_reuseport)


def _family(host: str) -> str:
    return "AF_INET6" if ":" in host else "AF_INET"


def _host(host: str) -> str:
    host = host.strip("[]").lower()
    if host in ("*", "", "0.0.0.0", "::"):
        return "*"
    return "127.0.0.1" if host == "localhost" else host
