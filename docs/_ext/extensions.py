"""Directives for what Circus is extended by: plugins, streams, ready-made functions of hooks, and the specs."""

from __future__ import annotations

import inspect
import pkgutil
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tables import Generated, default_text, plain, type_text

import circus.testing
from circus import kinds
from circus.hooks import HookSpec, OptionSpec, PluginSpec, ready
from circus.hooks.specs import Lifecycle, Registration
from circus.plugins import registration
from circus.stream.registration import STREAMS

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# What comes with Circus; what else may be installed where the pages are made does not belong into them.
PLUGINS: list[PluginSpec] = registration.circus_register_plugins()
HOOKS: list[HookSpec] = ready.circus_register_hooks()
WATCHER_OPTIONS: list[OptionSpec] = registration.circus_register_options()


def prose(documented: object) -> list[str]:
    """The lines of a docstring; names of classes stand in it as roles, and examples without their language."""
    text = re.sub(r":\w+:`~?([\w.]+)`", r"``\1``", inspect.getdoc(documented) or "")
    return text.replace("Example::", ".. code-block:: python").splitlines()


def indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"   {line}".rstrip() for line in lines)


def sentence(doc: str) -> str:
    """A doc that may be less than a sentence, as one."""
    return doc[0].upper() + doc[1:].rstrip(".") + "."


def plugin_lines() -> Iterator[str]:
    for plugin in PLUGINS:
        yield f".. circusplugin:: {plugin.name}"
        yield ""
        yield from indented(prose(pkgutil.resolve_name(plugin.factory)))
        yield ""
        yield f"   :Class: ``{plugin.factory.replace(':', '.')}``"
        yield ""
        if plugin.options:
            yield from indented(option_table(plugin.options))


def stream_lines() -> Iterator[str]:
    for stream in STREAMS:
        yield f".. circusstream:: {stream.name}"
        yield ""
        yield from indented(prose(pkgutil.resolve_name(stream.factory)))
        yield ""
        if stream.options:
            yield from indented(option_table(stream.options))


def option_table(options: Iterable[OptionSpec]) -> Iterator[str]:
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield "   :widths: 22 30 13 35"
    yield ""
    yield "   * - Option"
    yield "     - Value"
    yield "     - Default"
    yield "     - Meaning"
    for option in options:
        default = default_text(option)
        yield f"   * - ``{option.name}``{' (required)' if option.required else ''}"
        yield f"     - {type_text(option.type)}"
        yield f"     - {f'``{default}``' if default else ''}"
        yield f"     - {plain(sentence(option.doc))}"
    yield ""


def hook_lines() -> Iterator[str]:
    for hook in HOOKS:
        function = pkgutil.resolve_name(hook.function)
        given = [str(parameter) for parameter in _own_parameters(function)]
        yield f".. readyhook:: {hook.name}({', '.join(given)})"
        yield ""
        yield from indented(prose(function))
        yield ""


def _own_parameters(function: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    """Those that stand in the file, as they are written there; the others come from the hook."""
    for parameter in list(inspect.signature(function).parameters.values())[3:]:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            default = parameter.default
            parameter = parameter.replace(annotation=inspect.Parameter.empty)
            yield parameter.replace(default=_Bare(default)) if isinstance(default, str) and default else parameter


class _Bare(str):
    """A text that is shown without quotes."""

    def __repr__(self) -> str:
        return self


def spec_lines(specs: Iterable[Callable[..., Any]]) -> Iterator[str]:
    for spec in specs:
        signature = inspect.signature(spec)
        arguments = [parameter for name, parameter in signature.parameters.items() if name != "self"]
        yield f".. spec:: {spec.__name__}({', '.join(argument.name for argument in arguments)})"
        yield ""
        yield from indented(prose(spec))
        yield ""
        typed = [f"``{argument.name}`` {argument.annotation}" for argument in arguments if argument.annotation != "Any"]
        if typed:
            yield f"   :Types: {', '.join(typed)}"
        yield f"   :Result: {signature.return_annotation}"
        yield ""


def specs_of(which: str) -> list[Callable[..., Any]]:
    """The ``registration`` specs, or of the ``lifecycle`` specs the ``hooks`` or the others."""
    owner = Registration if which == "registration" else Lifecycle
    specs = [spec for name, spec in vars(owner).items() if not name.startswith("_")]
    return [spec for spec in specs if (spec.__name__ in kinds.HOOKS) == (which == "hooks")]


def testing_lines(name: str) -> Iterator[str]:
    """A function or class of circus.testing, with the public methods of the class."""
    found = getattr(circus.testing, name)
    is_class = inspect.isclass(found)
    yield f".. py:{'class' if is_class else 'function'}:: {name}{'' if is_class else _shown(found)}"
    yield ""
    yield from indented(prose(found))
    yield ""
    for member_name, member in vars(found).items() if is_class else ():
        if not member_name.startswith("_") or member_name in ("__call__", "__iter__"):
            is_property = isinstance(member, property)
            kind = "property" if is_property else "method"
            yield f"   .. py:{kind}:: {member_name}{'' if is_property else _shown(member)}"
            yield ""
            yield from indented(indented(prose(member)))
            yield ""


def _shown(function: Callable[..., Any]) -> str:
    """The arguments of a function, without their types."""
    bare = []
    for parameter in inspect.signature(function).parameters.values():
        default = parameter.default
        shown = _Bare(f"signal.{default.name}") if isinstance(default, signal.Signals) else default
        if parameter.name != "self":
            bare.append(parameter.replace(annotation=inspect.Parameter.empty, default=shown))
    return str(inspect.Signature(bare))


class Plugins(Generated):
    def source(self) -> Iterator[str]:
        return plugin_lines()


class Streams(Generated):
    def source(self) -> Iterator[str]:
        return stream_lines()


class WatcherOptions(Generated):
    def source(self) -> Iterator[str]:
        return option_table(WATCHER_OPTIONS)


class Hooks(Generated):
    def source(self) -> Iterator[str]:
        return hook_lines()


class Specs(Generated):
    required_arguments = 1

    def source(self) -> Iterator[str]:
        return spec_lines(specs_of(self.arguments[0]))


class Testing(Generated):
    required_arguments = 1

    def source(self) -> Iterator[str]:
        return testing_lines(self.arguments[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_object_type("circusplugin", "circusplugin", "pair: %s; plugin", objname="plugin")
    app.add_object_type("circusstream", "circusstream", "pair: %s; stream", objname="stream")
    app.add_object_type("readyhook", "readyhook", "pair: %s; hook", objname="hook")
    app.add_object_type("spec", "spec", "pair: %s; spec", objname="spec")
    app.add_directive("circus-plugins", Plugins)
    app.add_directive("circus-streams", Streams)
    app.add_directive("circus-watcher-options", WatcherOptions)
    app.add_directive("circus-hooks", Hooks)
    app.add_directive("circus-specs", Specs)
    app.add_directive("circus-testing", Testing)
    return {"parallel_read_safe": True}
