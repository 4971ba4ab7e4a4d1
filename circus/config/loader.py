"""Read a configuration: text, variables, types, settings, checks. Nothing is started and nothing is changed here."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from circus.config import ini, rules
from circus.config.faults import Fault, Report
from circus.config.ini import Document
from circus.config.installed import plugin_options
from circus.config.options import Option, find
from circus.config.places import check_places
from circus.config.schema import (
    CIRCUS,
    PLUGIN,
    SOCKET,
    CircusSettings,
    PluginSettings,
    SocketSettings,
    WatcherSettings,
)
from circus.config.streams import STREAMS, complete_stream
from circus.config.typed import (
    PLUGIN_OPTIONS,
    WATCHER_OPTIONS,
    describe_unknown_section,
    split_section,
    typed_sections,
)
from circus.config.variables import environment_lookup, expand, expand_environment
from circus.exc import ConfigError
from circus.hooks.references import in_folder
from circus.hooks.registry import registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration, sorted by names. ``env`` is ``[env]`` alone; the ``env`` of each watcher has it too."""

    path: str
    circus: CircusSettings
    watchers: tuple[WatcherSettings, ...]
    sockets: tuple[SocketSettings, ...]
    plugins: tuple[PluginSettings, ...]
    env: Mapping[str, str]
    warnings: list[Fault] = dataclasses.field(default_factory=list, compare=False)


@dataclass(slots=True)
class Source:
    """A document with its variables replaced: the texts of each section that counts, and the environments."""

    document: Document
    env: dict[str, str]
    patterns: list[tuple[str, Mapping[str, str]]]
    texts: dict[str, dict[str, str]]

    def environment(self, name: str) -> dict[str, str]:
        """``[env]`` and every ``[env:PATTERN]`` that matches the watcher ``name``, later ones over earlier ones."""
        env = self.env
        for patterns, values in self.patterns:
            if any(fnmatchcase(name, pattern.strip()) for pattern in patterns.split(",")):
                env = _resolve(values, env)
        return dict(env)


def load(path: str, *, strict: bool = False, check_paths: bool = False, configure: bool = False) -> Config:
    """Read the configuration ``path`` with all that it includes.

    With ``strict`` warnings are faults. With ``check_paths`` the functions, streams and plugins that it names are
    imported in a child, which may take up to 10 seconds, and the places of streams are looked at. With ``configure``
    distributions may change it, as for a daemon. Raise ``ConfigError`` with every fault.
    """
    report = Report()
    config = _load(path, report, strict, check_paths, configure)
    if report.faults:
        raise ConfigError(list(report.faults))
    return dataclasses.replace(config, warnings=report.warnings)


def check(path: str, strict: bool = False) -> tuple[list[Fault], list[Fault]]:
    """The faults and the warnings of the configuration ``path`` for a daemon, dotted paths included."""
    report = Report()
    _load(path, report, strict, True, True)
    return report.faults, report.warnings


def read_source(path: str, report: Report) -> Source:
    """Read the text of ``path`` and its includes and replace the variables in every value."""
    document = ini.read(path, report)
    text = document.text
    source = Source(document, _resolve(text.get("env", {}), {}), [], {})
    for section in text.sections:
        split = split_section(section)
        if split is None:
            report.warn(document.place(section), section, "", describe_unknown_section(section))
        elif split[0] == "env":
            if split[1]:
                source.patterns.append((split[1], text[section]))
        elif text[section] or split[0] == "plugin":
            source.texts[section] = text[section].dict()
    for section, options in source.texts.items():
        kind, _, name = section.partition(":")
        env = (
            source.environment(name if kind == "watcher" else section) if kind in ("watcher", "plugin") else source.env
        )
        lookup = environment_lookup(env, os.environ)
        source.texts[section] = {option: expand(value, lookup) for option, value in options.items()}
    return source


def _load(path: str, report: Report, strict: bool, check_paths: bool, configure: bool) -> Config:
    source = read_source(path, report)
    config = _build(source, report)
    rules.check(config, source.document, report)
    if configure and not report.faults:
        from circus.config import configured

        config = configured.configure(config, source.document, report)
    if check_paths:
        from circus.config.dotted import check_dotted

        check_dotted(config, source.document, report)
        for section, (option, message, is_fault) in check_places(config):
            place = source.document.place(section, option)
            (report.fault if is_fault else report.warn)(place, section, option, message)
    report.close(strict)
    return config


def _build(source: Source, report: Report) -> Config:
    values = typed_sections(source.texts, source.document, report)
    circus = CircusSettings(**_fields(CIRCUS, values.get("circus", {})))
    if circus.stats_endpoint:
        circus = dataclasses.replace(circus, statsd=True)
    watchers, sockets, plugins = [], [], []
    for section, options in values.items():
        kind, _, name = section.partition(":")
        if kind == "watcher":
            options = _with_whole_paths(options, section, source.document)
            watchers.append(_watcher(name, options, source.environment(name)))
        elif kind == "socket":
            sockets.append(_socket(name, options))
        elif kind == "plugin":
            options = _with_whole_paths(options, section, source.document)
            plugins.append(make_plugin(name, options, source.texts[section], source.environment(section)))
    return Config(
        path=source.document.path,
        circus=circus,
        watchers=tuple(sorted(watchers, key=_by_name)),
        sockets=tuple(sorted(sockets, key=_by_name)),
        plugins=tuple(sorted(plugins, key=_by_name)),
        env=source.env,
    )


def _by_name(settings: WatcherSettings | SocketSettings | PluginSettings) -> str:
    return settings.name


def _resolve(values: Mapping[str, str], beneath: Mapping[str, str]) -> dict[str, str]:
    """``values`` over ``beneath``; a value may name what stands above it, beneath it, or in circusd's environment."""
    env = dict(beneath)
    for name, value in values.items():
        env[name] = expand_environment(value, env, os.environ)
    return env


def _fields(table: Mapping[str, Option], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``table`` as fields of settings, families gathered."""
    result: dict[str, Any] = {}
    for name, value in options.items():
        row = find(table, name)
        if row is None:
            continue
        if row.prefix:
            member = name[len(row.prefix) :]
            result.setdefault(row.field, {})[member.lower() if row.field == "rlimits" else member] = value
        else:
            result[row.field] = value
    return result


def _watcher(name: str, options: Mapping[str, Any], env: dict[str, str]) -> WatcherSettings:
    values = _fields(WATCHER_OPTIONS, options)
    for stream in STREAMS:
        if stream in values:
            complete_stream(values[stream])
    if values.get("stdin_socket"):
        values["stdin_socket"] = values["stdin_socket"].lower()
    extra = {option: value for option, value in options.items() if find(WATCHER_OPTIONS, option) is None}
    return WatcherSettings(name=name, env=env, extra=extra, **values)


def _with_whole_paths(options: Mapping[str, Any], section: str, document: Document) -> dict[str, Any]:
    """The options with each hook, stream and plugin in a file named by its whole path.

    It is relative to the file it stands in; the processes that load them run elsewhere.
    """
    result = dict(options)
    for option, value in options.items():
        folder = os.path.dirname(document.place(section, option).file)
        if option == "use" and section.startswith("plugin:"):
            result[option] = in_folder(value, folder)
        elif option in ("stdout_stream.class", "stderr_stream.class"):
            result[option] = in_folder(value, folder)
        elif option.startswith("hooks."):
            name, bracket, arguments = value[0].partition("(")
            result[option] = (in_folder(name.strip(), folder) + bracket + arguments, value[1])
    return result


def _socket(name: str, options: Mapping[str, Any]) -> SocketSettings:
    settings = SocketSettings(name=name.lower(), **_fields(SOCKET, options))
    return dataclasses.replace(settings, family="AF_UNIX") if settings.path else settings


def make_plugin(name: str, options: Mapping[str, Any], texts: Mapping[str, str], env: dict[str, str]) -> PluginSettings:
    """The plugin ``name`` with typed ``options``, which stand as ``texts`` in its section."""
    full_name = f"plugin:{name}"
    own = _fields(PLUGIN, options)
    own["use"] = own.get("use") or name
    found = registry().find_plugin(own["use"])
    factory = own["use"] if found is None else found.spec.factory
    declared = plugin_options(f"plugin:{name}", texts)
    process: dict[str, Any] = {
        "cmd": sys.executable,
        "args": ("-P", "-m", "circus.cli.plugin", full_name),
        "singleton": True,
        "priority": 1,
        "copy_env": True,
        "copy_path": True,
        "ready": "notify",
        "ready_timeout": 10.0,
    }
    given = {
        option: value for option, value in options.items() if option not in declared and find(PLUGIN_OPTIONS, option)
    }
    settings = dataclasses.replace(_watcher(full_name, given, env), **{**process, **_fields(PLUGIN_OPTIONS, given)})
    config = {option: text for option, text in texts.items() if option != "use"}
    return PluginSettings(name=full_name, factory=factory, config=config, watcher=settings, **own)
