"""Whether the dotted paths of a configuration can be imported: tried in one child that is thrown away.

circusd itself never imports hooks, streams and plugins: their side effects, crashes and endless loops are not its own.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from circus.config.faults import Place, Report
from circus.config.helpers import helpers
from circus.config.ini import Document
from circus.hooks.references import is_file, is_path, path_fault
from circus.hooks.registry import registry

if TYPE_CHECKING:
    from circus.config.loader import Config
    from circus.config.schema import WatcherSettings

TIME_LIMIT = 10.0
"""Seconds for all imports together."""

# One fork for each environment, since modules of the same name may differ. Each result is a line: group, path, fault.
_CHILD = r"""
import difflib, importlib, importlib.util, json, os, pkgutil, site, sys

files = {}

def near(name, known):
    close = difflib.get_close_matches(name, list(known), 3)
    return "; did you mean %s?" % " or ".join(map(repr, close)) if close else ""

def modules(folders):
    return [module.name for module in pkgutil.iter_modules(folders)]

def load(path):
    folder, file = os.path.split(path)
    if not os.path.exists(path):
        beside = os.listdir(folder) if os.path.isdir(folder) else []
        raise FileNotFoundError("there is no file %s%s" % (path, near(file, beside)))
    if path not in files:
        sys.path.insert(0, os.path.dirname(path))
        name = os.path.basename(path)[:-3]
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        files[path] = module
    return files[path]

def resolve(path):
    module, colon, names = path.rpartition(":") if path.rpartition(":")[0].endswith(".py") else path.partition(":")
    if not colon:
        module, _, names = path.rpartition(".")
    names = names.split(".")
    while True:
        try:
            found = load(module) if module.endswith(".py") else importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            if not (module + ".").startswith((error.name or "?") + "."):
                raise
            if colon or "." not in module or error.name == module.partition(".")[0]:
                package, _, name = error.name.rpartition(".")
                folders = getattr(sys.modules.get(package), "__path__", []) if package else None
                raise ModuleNotFoundError("%s%s" % (error, near(name, modules(folders)))) from None
            module, _, name = module.rpartition(".")
            names.insert(0, name)
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError as error:
            known = {*dir(found), *modules(getattr(found, "__path__", []))}
            raise AttributeError("%s%s" % (error, near(name, known))) from None
    if not callable(found):
        raise TypeError("it is a %s, nothing that can be called" % type(found).__name__)

def say(*fields):
    os.write(results, (json.dumps(fields) + "\n").encode())

groups = json.load(sys.stdin)
results = os.dup(1)
quiet = os.open(os.devnull, os.O_RDWR)
for standard in (0, 1, 2):
    os.dup2(quiet, standard)
for number, group in enumerate(groups):
    if os.fork():
        os.wait()
        continue
    os.environ.update(group["env"])
    before = len(sys.path)
    for folder in group["sites"]:
        site.addsitedir(folder)
    sys.path[:] = group["search"] + sys.path[before:] + sys.path[:before]
    for path in group["paths"]:
        say(number, path, "begin")
        try:
            resolve(path)
        except BaseException as error:
            say(number, path, "%s: %s" % (type(error).__name__, error))
        else:
            say(number, path, None)
    os._exit(0)
"""


class _Reference(NamedTuple):
    path: str
    noun: str
    watcher: WatcherSettings
    section: str
    option: str
    place: Place


def check_dotted(config: Config, document: Document, report: Report) -> None:
    """Report each hook, stream and plugin of ``config`` that cannot be imported. No child is run if there is none."""
    groups: dict[str, dict[str, Any]] = {}
    users: dict[tuple[int, str], list[_Reference]] = {}
    for reference in _references(config, document):
        group = _group(reference.watcher)
        key = json.dumps(group)
        group = groups.setdefault(key, group)
        number = list(groups).index(key)
        if reference.path not in group["paths"]:
            group["paths"].append(reference.path)
        users.setdefault((number, reference.path), []).append(reference)
    if not users:
        return
    outcomes = _import_all(list(groups.values()))
    for (number, path), references in users.items():
        fault = outcomes.get((number, path), "its import was not reached in time, because of the others")
        for reference in references if fault else ():
            message = f"the {reference.noun} {path!r} cannot be imported: {fault}"
            place = "in that file" if is_file(path) else "that the watcher's PYTHONPATH or circusd's own leads to"
            message += f"; accepted: a callable {place}"
            report.fault(reference.place, reference.section, reference.option, message)


def _group(watcher: WatcherSettings) -> dict[str, Any]:
    """What the child needs to import as the watcher's own Python would, and an empty list of paths."""
    sites = []
    if watcher.virtualenv:
        version = f"python{watcher.virtualenv_py_ver}" if watcher.virtualenv_py_ver else "python*"
        sites = sorted(glob.glob(os.path.join(watcher.virtualenv, "lib", version, "site-packages")))
    search = [folder for folder in watcher.env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return {"search": search, "sites": sites, "env": dict(watcher.env), "paths": []}


def _references(config: Config, document: Document) -> list[_Reference]:
    found = []
    plugins = {plugin.name: plugin for plugin in config.plugins}
    for watcher in (*config.watchers, *(plugin.watcher for plugin in config.plugins)):
        named = [
            (function.partition("(")[0].strip(), "hook", f"hooks.{hook}")
            for hook, (function, _) in watcher.hooks.items()
        ]
        for option in ("stdout_stream", "stderr_stream"):
            stream = getattr(watcher, option).get("class", "")
            # Whoever registers something vouches for it.
            named.append(("" if registry().find_stream(stream) else stream, "stream", f"{option}.class"))
        section = watcher.name
        if watcher.name in plugins:
            use = plugins[watcher.name].use
            named.append(("" if registry().find_plugin(use) else use, "plugin", "use"))
        else:
            section = f"watcher:{watcher.name}"
        for path, noun, option in named:
            if is_path(path) and not path_fault(path):
                place = document.place(section, option)
                found.append(_Reference(path, noun, watcher, section, option, place))
    return found


def _import_all(groups: list[dict[str, Any]]) -> dict[tuple[int, str], str | None]:
    """What is wrong with each path of each group; None if nothing is."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(folder or os.getcwd() for folder in sys.path)}
    with helpers.start():
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
        helpers.pids.add(child.pid)
    late = False
    try:
        output, _ = child.communicate(json.dumps(groups).encode(), timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        late = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
    finally:
        helpers.pids.discard(child.pid)
    outcomes: dict[tuple[int, str], str | None] = {}
    for line in output.decode().splitlines():
        number, path, fault = json.loads(line)
        if fault == "begin":
            fault = f"it took longer than {TIME_LIMIT:g} s" if late else "the import ended the process"
        outcomes[number, path] = fault
    return outcomes
