"""Options that arrive as typed values instead of text: from the commands ``add`` and ``set``, or from a program."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from circus import kinds
from circus.config import streams
from circus.config.options import Option, find, options_of
from circus.config.streams import STREAMS
from circus.exc import CircusError, MessageError
from circus.util import to_signum

if TYPE_CHECKING:
    from circus.config.schema import WatcherSettings

# Clients compare these texts, so each kind of value keeps the wording that they know.
_REASONS = {
    "text": "a string",
    "optional": "a string",
    "boolean": "a valid boolean",
    "integer": "an integer",
    "number": "a number",
    "signum": "an integer",
    "user": "an integer or string",
    "group": "an integer or string",
    "keyword": "a string",
}
_REASONS_BY_KEY = {"max_age": "an integer", "max_age_variance": "an integer"}

_HOOK_RUNNER = "plugin:hooks"

# Shown without a fraction when they have none, as they always were.
_WHOLE = ("warmup_delay", "max_age", "max_age_variance", "hook_timeout", "idle_timeout")


def from_options(base: WatcherSettings, cmd: str, options: Mapping[str, object], free_form: bool) -> WatcherSettings:
    """``base`` with ``cmd`` and ``options``; see ``WatcherSettings.from_options``."""
    settings = _changed(base, "cmd", cmd)
    table = options_of(type(base))
    extra = {}
    for key, value in options.items():
        if free_form and find(table, key) is None and key not in ("hooks", "retry_in", *STREAMS):
            extra[key] = str(value)
        else:
            settings = _changed(settings, key, value)
    if extra:
        settings = dataclasses.replace(settings, extra={**settings.extra, **extra})
    _require_consistent(base, settings)
    return settings


def with_options(settings: WatcherSettings, options: Mapping[str, object]) -> tuple[WatcherSettings, set[str]]:
    """``settings`` with options changed, and the effects; see ``WatcherSettings.with_options``."""
    before = settings
    for key, value in options.items():
        settings = _changed(settings, key, value)
    _require_consistent(before, settings)
    return settings, {effect_of(settings, key) for key in options}


def effect_of(settings: WatcherSettings, key: str) -> str:
    """What follows when an option is changed: none, reload, stream, hook."""
    if key in STREAMS:
        return "stream"
    if key == "hooks":
        return "hook"
    row = find(options_of(type(settings)), key)
    return row.effect if row else "none"


def as_options(settings: WatcherSettings) -> dict[str, Any]:
    """Every option by the name that clients know; see ``WatcherSettings.as_options``."""
    result: dict[str, Any] = {
        row.name: _shown(row.name, getattr(settings, row.field))
        for row in options_of(type(settings)).values()
        if not row.prefix
    }
    result["working_dir"] = settings.working_dir or _current_directory()
    for stream in STREAMS:
        options = dict(getattr(settings, stream))
        if "class" in options:
            result[f"{stream}.class"] = options.pop("class")
        result[f"{stream}_conf"] = options
    result["hooks"] = {name: list(hook) for name, hook in settings.hooks.items()}
    result.update((f"rlimit_{name}", limit) for name, limit in settings.rlimits.items())
    result.update((key, value) for key, value in settings.extra.items() if key not in result)
    return result


def stream_options(settings: WatcherSettings) -> dict[str, str]:
    """Each option of the watcher's streams by the name that it has in a file, such as ``stdout_stream.filename``."""
    return {f"{stream}.{name}": text for stream in STREAMS for name, text in getattr(settings, stream).items()}


def conflicts(settings: WatcherSettings) -> list[tuple[str, str]]:
    """Options that do not go together: each the option's name and what is wrong."""
    found = []
    if settings.singleton and settings.numprocesses > 1:
        found.append(
            (
                "numprocesses",
                f"{settings.numprocesses} processes of a singleton; accepted: 0 or 1, or singleton = False",
            )
        )
    for key in ("copy_path", "virtualenv"):
        if getattr(settings, key) and not settings.copy_env:
            found.append((key, f"{key} has no effect without copy_env; accepted: copy_env = True beside it"))
    if settings.hooks and settings.name.lower() == _HOOK_RUNNER:
        hook = next(iter(settings.hooks))
        found.append(
            (f"hooks.{hook}", f"{_HOOK_RUNNER} runs them, and would wait for itself; accepted: hooks of others")
        )
    for stream in STREAMS if settings.name.lower() == streams.RUNNER else ():
        if getattr(settings, stream):
            message = f"{streams.RUNNER} runs streams, and would write to itself; accepted: streams of others"
            found.append((f"{stream}.class", message))
    if settings.stderr_stream.get("class") == streams.JOINED and not settings.stdout_stream:
        message = "stderr cannot go where stdout does, as there is no stdout_stream"
        found.append(("stderr_stream.class", f"{message}; accepted: stdout_stream.class beside it"))
    elif settings.stderr_stream.get("class") == streams.JOINED and settings.close_child_stdout:
        message = "stderr cannot go where stdout does, as that is closed; accepted: close_child_stderr = True"
        found.append(("stderr_stream.class", f"{message}, or no close_child_stdout"))
    return found


def _require_consistent(before: WatcherSettings, settings: WatcherSettings) -> None:
    for stream in STREAMS:
        if getattr(settings, stream) != getattr(before, stream):
            streams.require_valid(stream, getattr(settings, stream))
    for key, message in conflicts(settings):
        if key == "numprocesses":
            raise CircusError("Singleton watcher has a single process")
        raise MessageError(message)


def _changed(settings: WatcherSettings, key: str, value: object) -> WatcherSettings:
    if key == "retry_in":
        # Always settable, though it is the flapping plugin that waits: it reads its own option from the watcher.
        _typed(key, "number", value)
        return dataclasses.replace(settings, extra={**settings.extra, "flapping.retry_in": str(value)})
    if key == "env":
        return dataclasses.replace(settings, env=_environment(value))
    if key == "hooks":
        return dataclasses.replace(settings, hooks=_hooks(settings, value))
    if key in STREAMS:
        return _replaced(settings, key, streams.changed_to(key, value))
    row = find(options_of(type(settings)), key)
    if row is None:
        return dataclasses.replace(settings, extra={**settings.extra, key: _registered(key, value)})
    if row.prefix:
        return _changed_member(settings, row, key, value)
    return _replaced(settings, row.field, _single(row, value))


def _registered(key: str, value: object) -> str:
    """The text of an option that a plugin has registered for watchers, such as ``flapping.attempts``."""
    from circus.hooks.registry import registry

    options = registry().options
    if key not in options:
        near = kinds.closest(key, options, 2)
        raise MessageError(f"unknown key {key!r}" + (f"; did you mean {near!r}?" if near else ""))
    if not isinstance(value, (str, int, float)):
        raise MessageError(f"{key!r}: {value!r} is neither text nor number nor boolean")
    try:
        options[key].spec.read(str(value))
    except ValueError as error:
        raise MessageError(f"{key!r}: {error}") from None
    return str(value)


def _replaced(settings: WatcherSettings, field: str, value: Any) -> WatcherSettings:
    return dataclasses.replace(settings, **{field: value})


def _changed_member(settings: WatcherSettings, row: Option, key: str, value: object) -> WatcherSettings:
    member = key[len(row.prefix) :]
    if row.field == "hooks":
        return dataclasses.replace(settings, hooks=_hooks(settings, {member: value}))
    if row.field in STREAMS:
        return _replaced(settings, row.field, streams.changed(getattr(settings, row.field), member, value))
    member = member.lower()
    if member not in kinds.RLIMITS:
        raise MessageError(f"{key!r} isn't a valid rlimit setting")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise MessageError(f"{value!r} rlimit value isn't a valid int")
    limit = value if value is not None and value >= 0 else None
    return dataclasses.replace(settings, rlimits={**settings.rlimits, member: limit})


def _single(row: Option, value: object) -> object:
    if row.name == "args":
        return tuple(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")
    if row.name == "numprocesses" and isinstance(value, int) and value < 0:
        return 0
    return _typed(row.name, row.kind, value, *row.words, **row.arguments)


def _typed(key: str, kind: str, value: object, *words: str, **limits: str) -> object:
    """``value`` if it is of the kind; names (of users, signals, keywords) go through the reader that files use."""
    wrong = MessageError(f"{key!r} isn't {_REASONS_BY_KEY.get(key) or _REASONS[kind]}")
    whole = isinstance(value, int) and not isinstance(value, bool)
    try:
        match kind:
            case "boolean" if isinstance(value, bool):
                return value
            case "text" | "optional" if isinstance(value, str):
                return value if kind == "text" else value or None
            case "optional" | "user" | "group" if value is None:
                return None
            case "signum" if whole or isinstance(value, str):
                return _signal(value, wrong)
            case "integer" if whole:
                return kinds.integer(str(value), **limits)
            case "number" if whole or isinstance(value, float):
                return kinds.number(str(value), **limits)
            case "user" | "group" if whole or isinstance(value, str):
                return kinds.READERS[kind](str(value))
            case "keyword" if isinstance(value, str):
                return kinds.keyword(value, *words)
    except ValueError as error:
        raise MessageError(f"{key!r}: {error}") from None
    raise wrong


def _signal(value: Any, wrong: MessageError) -> int:
    try:
        return to_signum(value)
    except ValueError:
        raise wrong from None


def _environment(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise MessageError("'env' isn't a valid object")
    for name, content in value.items():
        if not isinstance(content, str):
            raise MessageError(f"{name!r} isn't a string")
    return dict(value)


def _hooks(settings: WatcherSettings, value: object) -> dict[str, tuple[str, bool]]:
    if not isinstance(value, Mapping):
        raise MessageError(f"{value!r} isn't a valid hook dict")
    result = dict(settings.hooks)
    for name, hook in value.items():
        if name not in kinds.HOOKS:
            raise MessageError(f"Unknown hook {name!r}{kinds.nearest(str(name), kinds.HOOKS)}")
        if isinstance(hook, (list, tuple)) and len(hook) == 2 and isinstance(hook[0], str):
            result[name] = (_function(name, hook[0]), bool(hook[1]))
        elif isinstance(hook, str):
            try:
                function, ignored = kinds.hook(hook)
            except ValueError as error:
                raise MessageError(f"'hooks.{name}': {error}") from None
            result[name] = (_function(name, function), ignored)
        else:
            raise MessageError(f"{hook!r} isn't a valid hook: write its dotted path, or a list of path and boolean")
    return result


def _function(hook: str, function: str) -> str:
    """The function of a hook if it may be one. Whether a path can be imported shows when the hook is run."""
    from circus.config.installed import hook_fault
    from circus.hooks.references import is_file

    fault = hook_fault(function)
    if not fault and is_file(function.partition("(")[0].strip()) and not os.path.isabs(function):
        fault = f"{function!r} is relative to nothing; accepted: the whole path of the file"
    if fault:
        raise MessageError(f"'hooks.{hook}': {fault}")
    return function


def _shown(name: str, value: object) -> object:
    if name in _WHOLE and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _current_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        # The directory circusd was started in has been removed.
        return "/"
