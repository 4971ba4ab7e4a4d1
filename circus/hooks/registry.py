"""What is installed: plugins, functions for hooks, streams, commands and options, each by whoever registers it.

A distribution that fails is blamed and left out; nothing that it does on being asked is raised here.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, NamedTuple, TypeVar

import pluggy

from circus import kinds
from circus.exc import CircusError, NotPermitted
from circus.hooks.declarations import HookSpec, OptionSpec, PluginSpec, StreamSpec
from circus.hooks.distributions import OWN, EntryPoint, find, normalised
from circus.hooks.foreign import FAULTS, describe, imported, items, manager, one_line, shown, validate
from circus.hooks.references import ACCEPTED, in_folder, is_path

log = logging.getLogger("circus")

Spec = TypeVar("Spec")

_TAKEN_PREFIXES: Final = ("hooks", "stdout_stream", "stderr_stream")


class Registered(NamedTuple, Generic[Spec]):
    """What was registered, and by which version of which distribution."""

    spec: Spec
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"


class _Failure(NamedTuple):
    """What could not be registered, for whoever misses it. ``names`` is empty where nobody knows what it would be."""

    text: str
    names: frozenset[str]


class Registry:
    """Everything that the distributions on a search path register."""

    def __init__(self, path: Iterable[str] | None = None, disabled: str = "", trace: bool = False) -> None:
        """Load the distributions in the folders of ``path``, by default ``sys.path``.

        ``disabled`` are names of entry points or distributions, with commas between them, that are passed over. With
        ``trace`` each call of a hook is written to the log.
        """
        self.plugins: dict[str, Registered[PluginSpec]] = {}
        self.hooks: dict[str, Registered[HookSpec]] = {}
        self.streams: dict[str, Registered[StreamSpec]] = {}
        self.options: dict[str, Registered[OptionSpec]] = {}
        self.commands: dict[str, Registered[type]] = {}
        self.problems: list[str] = []
        """One line for each distribution, or object of one, that was left out: whose it is, and what is wrong."""
        self._failures: list[_Failure] = []
        self._trace = trace
        self._manager = manager()
        self._loaded: list[tuple[EntryPoint, object]] = []
        self._load(find(sys.path if path is None else path, self.problems), disabled)
        self._configuring = self._callers("circus_configure")
        self._authorizing = self._callers("circus_authorize")
        self._register_all()

    # What is asked for.

    def find_plugin(self, use: str) -> Registered[PluginSpec] | None:
        """Return the plugin that is registered under a name, or whose class has that path, with dot or colon."""
        if use in self.plugins:
            return self.plugins[use]
        path = use.replace(":", ".")
        return next((found for found in self.plugins.values() if path in _paths(found.spec)), None)

    def find_stream(self, name: str) -> Registered[StreamSpec] | None:
        """Return the stream that is registered under a name, or whose class has that path, with dot or colon."""
        if name in self.streams:
            return self.streams[name]
        path = name.replace(":", ".")
        return next((found for found in self.streams.values() if found.spec.factory.replace(":", ".") == path), None)

    def missing(self, noun: str, name: str, known: Iterable[str], accepted: str) -> str:
        """Say that there is nothing of that name, what there is, and which distribution failed that may have had it."""
        known = sorted(known)
        text = f"there is no {noun} {name!r}; accepted: {accepted}, or one of {', '.join(known) or 'none'}"
        text += kinds.nearest(name, known)
        failures = [failure.text for failure in self._failures if name in failure.names]
        failures = failures or [failure.text for failure in self._failures if not failure.names]
        return text + "".join(f"; this may be why: {failure}" for failure in failures)

    def configure(self, config: Any, check: Callable[[Any, Any], None]) -> Any:
        """Return what the implementations of ``circus_configure`` make of a configuration, one after the other.

        ``check`` is called with the configuration before and after each, and raises ``ValueError`` with what is wrong.
        Raise ``CircusError`` for one that fails, and blame its distribution.
        """
        for entry, caller in self._configuring:
            try:
                results = caller(config=config)
                changed = results[0] if results else config
                check(config, changed)
            except FAULTS as error:
                text = str(error) if isinstance(error, ValueError) else describe(error)
                raise CircusError(f"circus_configure of {entry.origin} failed: {text}") from None
            self._note("circus_configure", entry, "changed" if changed is not config else "unchanged")
            config = changed
        return config

    @property
    def has_rules(self) -> bool:
        """Whether any distribution wants to be asked by :meth:`authorize`."""
        return bool(self._authorizing)

    def authorize(self, identity: str, command: str, target: str | None) -> None:
        """Ask whether a caller may use a command. Raise ``NotPermitted`` if a distribution refuses, or fails."""
        for entry, caller in self._authorizing:
            try:
                answer = caller(identity=identity, command=command, target=target)
                if answer not in (True, False, None):
                    raise TypeError(f"it returned {answer!r:.80}, which is neither True, False nor None")
            except FAULTS as error:
                log.error("circus_authorize of %s failed, so %s is refused: %s", entry.origin, command, describe(error))
                raise NotPermitted(
                    f"{command} is refused, because the access rules of {entry.origin} failed (circusd's log says how)"
                ) from None
            self._note("circus_authorize", entry, str(answer))
            if answer is not None:
                if not answer:
                    raise NotPermitted(f"{command} is refused by the access rules of {entry.origin}")
                return

    def reject_command(self, name: str, reason: str) -> None:
        """Leave a registered command out, for a reason that only those know who know all commands."""
        rejected = self.commands.pop(name)
        self._fail(f"{rejected.origin}: the command {name!r} is left out: {reason}", name)

    # How it is loaded.

    def _load(self, entries: list[EntryPoint], disabled: str) -> None:
        off = {normalised(name.strip()) for name in disabled.split(",") if name.strip()}
        if not any(normalised(entry.distribution) == OWN for entry in entries):
            self._fail(
                "circus itself is not installed as a distribution, so that what comes with it is missing; "
                "install it with pip"
            )
        for entry in entries:
            named = off & {normalised(entry.name), normalised(entry.distribution)}
            if named:
                text = f"{entry.origin}: {entry.name!r} is switched off by CIRCUS_DISABLED_PLUGINS"
                self._failures.append(_Failure(text, frozenset()))
                continue
            try:
                plugin = imported(entry.value)
                validate(plugin)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                text = one_line(error) if isinstance(error, pluggy.PluginValidationError) else describe(error)
                self._fail(f"{entry.origin}: the entry point {entry.name!r} ({entry.value}) is left out: {text}")
                continue
            if not any(plugin is other for _, other in self._loaded):
                self._loaded.append((entry, plugin))
        # pluggy calls last what was registered first.
        for number, (_, plugin) in reversed(list(enumerate(self._loaded))):
            self._manager.register(plugin, str(number))

    def _callers(self, hook: str) -> list[tuple[EntryPoint, pluggy.HookCaller]]:
        """One caller for each entry point that implements a hook, in pluggy's order, so that each can be blamed."""
        every = [plugin for _, plugin in self._loaded]
        callers = []
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            number = int(implementation.plugin_name)
            others = every[:number] + every[number + 1 :]
            callers.append((self._loaded[number][0], self._manager.subset_hook_caller(hook, others)))
        return callers

    def _register_all(self) -> None:
        self._register("circus_register_plugins", "plugin", PluginSpec, self.plugins)
        self._register("circus_register_hooks", "hook", HookSpec, self.hooks)
        self._register("circus_register_streams", "stream", StreamSpec, self.streams)
        self._register("circus_register_options", "option", OptionSpec, self.options)
        self._register("circus_register_commands", "command", type, self.commands)

    def _register(self, hook: str, noun: str, kind: type, store: dict[str, Any]) -> None:
        order = {entry: number for number, (entry, _) in enumerate(self._loaded)}
        # Who is first to have a name is no matter of tryfirst.
        for entry, caller in sorted(self._callers(hook), key=lambda item: order[item[0]]):
            try:
                objects = items(caller())
            except FAULTS as error:
                self._fail(f"{entry.origin}: its {hook} is left out: {describe(error)}")
                continue
            self._note(hook, entry, f"{len(objects)} objects")
            for item in objects:
                self._take(entry, noun, item, kind, store)

    def _take(self, entry: EntryPoint, noun: str, item: Any, kind: type, store: dict[str, Any]) -> None:
        if not isinstance(item, kind):
            wanted = "class" if kind is type else kind.__name__
            self._fail(f"{entry.origin}: {shown(item)} is left out: it is no {wanted}")
            return
        name = getattr(item, "name", None)
        if not isinstance(name, str):
            self._fail(f"{entry.origin}: the {noun} {shown(item)} is left out: it has no name")
            return
        if kind is OptionSpec and ("." not in name or name.partition(".")[0] in _TAKEN_PREFIXES):
            reason = "write the name of its plugin and a dot before it"
            self._fail(f"{entry.origin}: the option {name!r} is left out: {reason}", name)
            return
        taken = store.get(name)
        if taken is not None:
            self._fail(f"{entry.origin}: the {noun} {name!r} is left out: {taken.origin} has that name already", name)
            return
        store[name] = Registered(item, entry.distribution, entry.version)

    def _fail(self, problem: str, *names: str) -> None:
        self.problems.append(problem)
        self._failures.append(_Failure(problem, frozenset(names)))

    def _note(self, hook: str, entry: EntryPoint, result: str) -> None:
        if not self._trace:
            return
        text = f"hook {hook} of {entry.origin} ({entry.name}): {result}"
        if log.hasHandlers():
            log.info("%s", text)
        else:
            sys.stderr.write(f"{text}\n")  # what is installed is loaded before the log is opened


@functools.cache
def registry() -> Registry:
    """Return what is installed, loaded at the first call. It stays so until this process ends."""
    environment = os.environ
    return Registry(
        disabled=environment.get("CIRCUS_DISABLED_PLUGINS", ""),
        trace=environment.get("CIRCUS_TRACE_HOOKS", "") not in ("", "0"),
    )


def resolve(use: str, folder: str = "") -> str:
    """Return what makes the plugin ``use``: ``module:attribute``, a dotted path, or a whole path ``FILE.py:attribute``.

    A file is relative to ``folder``. Raise ``CircusError`` for a name that is not registered, with the nearest names.
    """
    found = registry().find_plugin(use)
    if found is not None:
        return found.spec.factory
    if not is_path(use):
        raise CircusError(registry().missing("plugin", use, registry().plugins, ACCEPTED))
    return in_folder(use, folder)


def _paths(spec: PluginSpec) -> tuple[str, ...]:
    return (spec.factory.replace(":", "."), *spec.aliases)
