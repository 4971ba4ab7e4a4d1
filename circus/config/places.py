"""Whether output can go where streams say: files, their folders and owners, log services."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterable, Iterator, Mapping
from os.path import exists
from typing import TYPE_CHECKING, NamedTuple

from circus import kinds
from circus.config.streams import STREAMS, for_programs
from circus.config.variables import expand, process_lookup
from circus.exc import MessageError
from circus.hooks.declarations import StreamSpec
from circus.hooks.distributions import OWN, normalised
from circus.hooks.registry import registry

if TYPE_CHECKING:
    from circus.config.loader import Config
    from circus.config.schema import WatcherSettings


class Problem(NamedTuple):
    """What is wrong with an option. A fault stands in the way; other problems are warned of."""

    option: str
    message: str
    is_fault: bool = True


def place_problems(watcher: WatcherSettings, stream: str) -> Iterator[Problem]:
    """What is wrong with the place that a stream names, for circusd on this machine and as this user."""
    options: Mapping[str, str] = getattr(watcher, stream)
    own = _own(options)
    if own is None:
        return
    if any(option.name == "filename" for option in own.options) and options.get("filename"):
        yield from _file_problems(watcher, stream, own.name)
        yield from _owner_problems(stream, options.get("owner", ""))
    if own.name in ("syslog", "journald"):
        default = next(option.default for option in own.options if option.name == "address")
        address = options.get("address") or default
        fault = _no_listener(address) if address.startswith("/") else ""
        if fault:
            accepted = "the path of a socket on which it listens" + (", or HOST:PORT" if own.name == "syslog" else "")
            option = "address" if options.get("address") else "class"
            yield Problem(f"{stream}.{option}", f"there is no {own.name} at {address}: {fault}; accepted: {accepted}")


def differing_streams(watchers: Iterable[WatcherSettings]) -> Iterator[tuple[WatcherSettings, Problem]]:
    """Streams to a file to which another one writes with other options."""
    first: dict[str, tuple[str, dict[str, object]]] = {}
    for watcher in watchers:
        for stream in STREAMS:
            path = _path(watcher, stream)
            if not path or (exists(path) and not os.path.isfile(path)):
                continue
            values = meaning(getattr(watcher, stream))
            place, others = first.setdefault(path, (f"[watcher:{watcher.name}] {stream}", values))
            different = sorted(key for key in values.keys() | others.keys() if values.get(key) != others.get(key))
            if different:
                message = f"{place} writes to {path} too, with another {', '.join(different)}"
                message += "; accepted: the same options for both, or a file of its own for each"
                yield watcher, Problem(f"{stream}.filename", message, is_fault=False)


def require_places(watcher: WatcherSettings, changed: Iterable[str]) -> None:
    """Raise ``MessageError`` if a stream cannot go where one of the ``changed`` options says."""
    touched = {option.partition(".")[0] for option in changed}
    for stream in STREAMS:
        if stream in touched:
            for option, message in for_programs(stream, getattr(watcher, stream)):
                raise MessageError(f"{option!r}: {message}")
            for option, message, is_fault in place_problems(watcher, stream):
                if is_fault:
                    raise MessageError(f"{option!r}: {message}")


def check_places(config: Config) -> Iterator[tuple[str, Problem]]:
    """The problems of all places that a configuration names, each with its section."""
    for watcher in (*config.watchers, *(plugin.watcher for plugin in config.plugins)):
        section = watcher.name if watcher.is_plugin else f"watcher:{watcher.name}"
        for stream in STREAMS:
            for problem in place_problems(watcher, stream):
                yield section, problem


def _own(options: Mapping[str, str]) -> StreamSpec | None:
    """What circusd itself has registered for the class of a stream."""
    found = registry().find_stream(options["class"]) if options.get("class") else None
    return found.spec if found is not None and normalised(found.distribution) == OWN else None


def meaning(options: Mapping[str, str]) -> dict[str, object]:
    """The class of one of circusd's own streams and its options but the file, typed and with defaults."""
    own = _own(options)
    assert own is not None
    values: dict[str, object] = {"class": own.name}
    for option in own.options:
        text = options.get(option.name)
        if option.name != "filename":
            try:
                values[option.name] = option.read(text) if text else option.default
            except ValueError:
                values[option.name] = text
    return values


def _path(watcher: WatcherSettings, stream: str) -> str:
    """The file to which a stream of the first process writes; empty if there is none, or it is not known yet."""
    options: Mapping[str, str] = getattr(watcher, stream)
    own = _own(options)
    if own is None or not any(option.name == "filename" for option in own.options) or not options.get("filename"):
        return ""
    path = expand(options["filename"], process_lookup(watcher, 1, {}))
    return "" if "$(circus." in path.lower() or "((circus." in path.lower() else os.path.abspath(path)


def _file_problems(watcher: WatcherSettings, stream: str, kind: str) -> Iterator[Problem]:
    path = _path(watcher, stream)
    if not path:
        return
    option, folder = f"{stream}.filename", os.path.dirname(path)
    if not os.path.isdir(folder):
        yield Problem(option, _no_folder(folder))
    elif os.path.isdir(path):
        yield Problem(option, f"{path} is a folder; accepted: a file")
    elif exists(path) and not _may(path, os.W_OK):
        yield Problem(option, f"{_user()} may not write to {path}; accepted: a file to which circusd's user may write")
    elif not _may(folder, os.W_OK | os.X_OK) and (_begins_files(kind, getattr(watcher, stream)) or not exists(path)):
        message = f"{_user()} may not create files in {folder}; accepted: a folder in which circusd's user may"
        yield Problem(option, message, is_fault=not exists(path))


def _begins_files(kind: str, options: Mapping[str, str]) -> bool:
    by_size = options.get("max_bytes", "0") not in ("", "0")
    return by_size or kind in ("TimedRotatingFileStream", "WatchedFileStream")


def _no_folder(folder: str) -> str:
    parent, name = os.path.split(folder)
    while not os.path.lexists(parent):
        parent, name = os.path.split(parent)
    what = f"{parent} is no folder" if not os.path.isdir(parent) else f"there is no folder {folder}"
    if os.path.lexists(folder):
        what = f"{folder} is no folder"
    near = ""
    if os.path.isdir(parent):
        try:
            near = kinds.nearest(name, (entry.name for entry in os.scandir(parent) if entry.is_dir()))
        except OSError:
            pass
    return f"{what}; accepted: a file in a folder that is there{near}"


def _owner_problems(stream: str, owner: str) -> Iterator[Problem]:
    name = owner.partition(":")[0]
    if not name or os.geteuid() == 0:
        return
    uid = int(name) if name.isdigit() else _uid(name)
    if uid is not None and uid != os.geteuid():
        message = f"{_user()} may not give files to {name}, only root may; accepted: no owner, or circusd run by root"
        yield Problem(f"{stream}.owner", message)


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _user() -> str:
    try:
        return f"the user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"the user {os.geteuid()}"


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)


def _no_listener(path: str) -> str:
    """Why a datagram cannot be sent to a socket's path; empty if it can."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as tried:
        try:
            tried.connect(path)
        except OSError as error:
            return error.strerror or str(error)
    return ""
