"""What a configuration names of what is installed: plugins, functions for hooks, streams, and their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from circus import kinds
from circus.config import streams
from circus.config.options import find
from circus.config.schema import OPTIONS, PluginSettings, WatcherSettings
from circus.hooks.calls import parse_call
from circus.hooks.declarations import OptionSpec
from circus.hooks.references import ACCEPTED, is_path, path_fault
from circus.hooks.registry import registry

if TYPE_CHECKING:
    from circus.config.faults import Subject

_GIVEN = ("self", "endpoint", "pubsub_endpoint", "check_delay", "ssh_server")
"""Arguments that each plugin's constructor gets from circusd."""

_NO_TEXTS: Mapping[str, str] = {}


def plugin_options(section: str, texts: Mapping[str, str] = _NO_TEXTS) -> dict[str, OptionSpec]:
    """The options that the plugin of ``[plugin:NAME]`` declares, by their names; none for other sections.

    Where a watcher has an option of that name too, the plugin's is meant. ``active`` is for circusd, which obeys it.
    """
    kind, _, name = section.partition(":")
    found = registry().find_plugin(texts.get("use") or name) if kind == "plugin" else None
    declared = found.spec.options if found is not None else ()
    return {option.name: option for option in declared if option.name not in OPTIONS["plugin"]}


def check_plugin(plugin: PluginSettings, subject: Subject) -> None:
    """Report a plugin that is not there, and options of it that are wrong, missing or unknown."""
    for name in plugin.config.keys() & set(_GIVEN):
        subject.fault(name, f"circusd gives the plugin its {name!r} itself; accepted: another name for the option")
    found = registry().find_plugin(plugin.use)
    if found is None:
        fault = path_fault(plugin.use) if is_path(plugin.use) else _no_plugin(plugin.use)
        if fault:
            subject.fault("use", fault)
        return
    declared = plugin_options(plugin.name, {"use": plugin.use})
    for name, text in plugin.config.items():
        if name in declared:
            _check_text(declared[name], name, text, subject)
        elif declared and find(OPTIONS["plugin"], name) is None and find(OPTIONS["watcher"], name) is None:
            accepted = f"accepted: {', '.join(declared)}{kinds.nearest(name, declared)}"
            subject.warn(name, f"the plugin {found.spec.name} has no option {name!r}; {accepted}")
    for option in declared.values():
        if option.required and option.name not in plugin.config:
            message = f"the plugin {found.spec.name} needs {option.name}: {option.doc}"
            subject.fault("", f"{message}; accepted: {option.name} = {_example(option)}")


def check_hooks(watcher: WatcherSettings, subject: Subject) -> None:
    """Report functions of hooks that are not registered, or not written as they must be."""
    for hook, (function, _) in watcher.hooks.items():
        fault = hook_fault(function)
        if fault:
            subject.fault(f"hooks.{hook}", fault)


def hook_fault(function: str) -> str:
    """What is wrong with ``NAME``, ``NAME(argument, key=value)`` or a path as a hook's function; empty if nothing is.

    Whether a path can be imported is another matter.
    """
    try:
        name = parse_call(function).name
    except ValueError as error:
        return str(error)
    if name in registry().hooks:
        return ""
    if is_path(name):
        return path_fault(name)
    return registry().missing("hook function", name, registry().hooks, ACCEPTED)


def check_stream(stream: str, options: Mapping[str, str], subject: Subject) -> None:
    """Report a stream whose class is not there, and options of it that are wrong, missing or unknown."""
    for option, message in (*streams.faults(stream, options), *streams.for_programs(stream, options)):
        subject.fault(option, message)
    for option, message in streams.unknown(stream, options):
        subject.warn(option, message)


def check_watcher_options(watcher: WatcherSettings, subject: Subject) -> None:
    """Report values of the options that plugins have registered for watchers, such as ``flapping.attempts``."""
    for name, text in watcher.extra.items():
        registered = registry().options.get(name)
        if registered is not None:
            _check_text(registered.spec, name, text, subject)


def near_watcher_option(option: str) -> str | None:
    """The registered option that is meant by one that is hardly different, and no such option itself."""
    known = registry().options
    return None if option in known else kinds.closest(option, known, 2)


def _check_text(option: OptionSpec, name: str, text: str, subject: Subject) -> None:
    try:
        option.read(text)
    except ValueError as error:
        subject.fault(name, str(error))


def _example(option: OptionSpec) -> str:
    return "a text" if option.type == "text" else option.type


def _no_plugin(name: str) -> str:
    return registry().missing("plugin", name, registry().plugins, ACCEPTED)
