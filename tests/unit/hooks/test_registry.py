"""What distributions register is found; one that fails is blamed, and harms no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from circus.hooks.registry import Registry
from tests.installed import Installed

REPORT = """
import json, os, sys
from circus.hooks.registry import registry
found = registry()
kinds = ("plugins", "hooks", "streams", "options", "commands")
names = {kind: {name: one.origin for name, one in getattr(found, kind).items()} for kind in kinds}
print(json.dumps({**names, "problems": found.problems, "modules": sorted(sys.modules)}))
"""

PLUGIN = """
@hookimpl
def circus_register_plugins():
    return [PluginSpec({name!r}, "nowhere:Plugin", doc="A plugin.")]
"""


def run(installed: Installed, code: str = REPORT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter on whose path the distributions are."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={"PATH": "/usr/bin:/bin", **installed.environment, **env},
        cwd=installed.folder.parent,
    )


def report(installed: Installed, **env: str) -> Any:
    return json.loads(run(installed, **env).stdout)


def test_what_comes_with_circus_is_registered_as_anything_else_is(installed: Installed) -> None:
    found = report(installed)
    assert found["problems"] == []
    ours = {name for name, origin in found["plugins"].items() if origin.startswith("circus ")}
    assert {"statsd", "full_stats", "flapping", "watchdog", "hooks"} < ours
    assert set(found["hooks"]) == {"wait_for_port", "wait_for_http", "wait_for_file", "run_command"}
    assert "FileStream" in found["streams"]
    assert "flapping.max_retry" in found["options"]


def test_neither_metadata_nor_classes_are_imported(installed: Installed) -> None:
    loaded = set(report(installed)["modules"])
    assert not loaded & {"importlib.metadata", "circus.plugins.flapping", "circus.hooks.runner", "tornado", "asyncio"}
    own = {name for name in loaded if name.startswith("circus.plugins")}
    assert own == {"circus.plugins", "circus.plugins.registration"}


def registered(installed: Installed, store: str, body: str) -> dict[str, str]:
    """Return what one distribution registers of a kind, with the origin of each name."""
    installed.add("Circus-Kinds", f"@hookimpl\n{body}\n", version="2.5")
    found = report(installed)
    assert found["problems"] == []
    return {name: origin for name, origin in found[store].items() if origin == "Circus-Kinds 2.5"}


def test_hook_circus_register_plugins(installed: Installed) -> None:
    body = "def circus_register_plugins(): yield PluginSpec('kinds', 'circus_kinds:Plugin', doc='A plugin.')"
    assert set(registered(installed, "plugins", body)) == {"kinds"}


def test_hook_circus_register_hooks(installed: Installed) -> None:
    body = "def circus_register_hooks(): return (HookSpec('kind', 'circus_kinds:function', doc='A hook.'),)"
    assert set(registered(installed, "hooks", body)) == {"kind"}


def test_hook_circus_register_streams(installed: Installed) -> None:
    body = "def circus_register_streams(): return [StreamSpec('Kind', 'circus_kinds:Stream', doc='A stream.')]"
    assert set(registered(installed, "streams", body)) == {"Kind"}


def test_hook_circus_register_options(installed: Installed) -> None:
    body = "def circus_register_options(): return {OptionSpec('kinds.level', 'integer', doc='An option.')}"
    assert set(registered(installed, "options", body)) == {"kinds.level"}


def test_hook_circus_register_commands(installed: Installed) -> None:
    body = "def circus_register_commands(): return [type('Kind', (), {'name': 'kind'})]"
    assert set(registered(installed, "commands", body)) == {"kind"}


def test_an_entry_point_may_be_an_object_of_a_development_install(installed: Installed) -> None:
    text = """
    class Registration:
        @hookimpl
        def circus_register_plugins(self):
            return [PluginSpec("dev", "nowhere:Plugin", doc="A plugin.")]

    class holder:
        registration = Registration()
    """
    installed.add(
        "circus-dev", text, entry_points={"x": "circus_dev : holder.registration [extra]"}, metadata="egg-info"
    )
    found = report(installed)
    assert found["problems"] == []
    assert found["plugins"]["dev"] == "circus-dev 1.0"


BROKEN = {
    "import": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "base": ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
    "syntax": ("def (", "SyntaxError"),
    "hook": (
        "@hookimpl\ndef circus_register_plugin():\n    return []",
        "there is no hook circus_register_plugin; did you",
    ),
    "lifecycle": ("@hookimpl\ndef on_event(event):\n    pass", "on_event belongs to the class of a plugin"),
    "argument": ("@hookimpl\ndef circus_configure(conf):\n    pass", "conf"),
    "unmarked": ("def circus_register_plugins():\n    return []", "it implements no hook; mark each"),
    "raises": ("@hookimpl\ndef circus_register_plugins():\n    1 / 0", "ZeroDivisionError"),
    "exits": ("@hookimpl\ndef circus_register_plugins():\n    raise SystemExit", "SystemExit"),
    "lazily": ("@hookimpl\ndef circus_register_plugins():\n    yield 1 / 0", "ZeroDivisionError"),
    "nothing": ("@hookimpl\ndef circus_register_plugins():\n    pass", "it returned None; an iterable of objects"),
    "number": ("@hookimpl\ndef circus_register_plugins():\n    return 3", "TypeError: 'int' object is not iterable"),
    "text": ("@hookimpl\ndef circus_register_plugins():\n    return 'abc'", "it returned 'abc'; an iterable"),
    "endless": (
        "import itertools\n@hookimpl\ndef circus_register_plugins():\n    return itertools.count()",
        "it returned more than 1000 objects",
    ),
    "wrong": ("@hookimpl\ndef circus_register_plugins():\n    return [3]", "3 is left out: it is no PluginSpec"),
    "instance": ("@hookimpl\ndef circus_register_commands():\n    return [3]", "3 is left out: it is no class"),
    "nameless": ("@hookimpl\ndef circus_register_commands():\n    return [int]", "it has no name"),
    "option": (
        "@hookimpl\ndef circus_register_options():\n    return [OptionSpec('level', doc='d')]",
        "the option 'level' is left out: write the name of its plugin and a dot before it",
    ),
    "family": (
        "@hookimpl\ndef circus_register_options():\n    return [OptionSpec('hooks.mine', doc='d')]",
        "the option 'hooks.mine' is left out",
    ),
    "repr": (
        "class Odd:\n    __repr__ = None\n@hookimpl\ndef circus_register_plugins():\n    return [Odd()]",
        "an object of the class Odd is left out",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_distribution_is_blamed_and_harms_no_other(installed: Installed, case: str) -> None:
    text, reason = BROKEN[case]
    installed.add("circus-abroken", text, version="7.1")
    installed.add("circus-good", PLUGIN.format(name="good"))
    found = report(installed)
    assert found["plugins"]["good"] == "circus-good 1.0"
    assert "flapping" in found["plugins"]
    assert len(found["problems"]) == 1, found["problems"]
    assert found["problems"][0].startswith("circus-abroken 7.1: ")
    assert reason in found["problems"][0]
    assert "\n" not in found["problems"][0]


def test_what_is_fine_of_a_distribution_stays(installed: Installed) -> None:
    installed.add(
        "circus-half",
        PLUGIN.format(name="fine")
        + "@hookimpl\ndef circus_register_hooks():\n    return [3, HookSpec('h', 'nowhere:f', doc='d')]\n",
        entry_points={"main": "circus_half", "other": "circus_half:nothing"},
    )
    found = report(installed)
    assert "fine" in found["plugins"]
    assert "h" in found["hooks"]
    assert [problem.partition(": ")[2] for problem in found["problems"]] == [
        "the entry point 'other' (circus_half:nothing) is left out: "
        "AttributeError: module 'circus_half' has no attribute 'nothing'",
        "3 is left out: it is no HookSpec",
    ]


def test_a_name_that_is_taken_stays_with_circus_then_with_the_first_by_name(installed: Installed) -> None:
    first = "import pluggy\n" + PLUGIN.format(name="same").replace("@hookimpl", "@hookimpl(tryfirst=True)")
    # Created in an order that is not that of their names.
    installed.add("circus-zebra", first, version="9")
    installed.add("circus-ant", PLUGIN.format(name="same"), version="1")
    installed.add("circus-thief", PLUGIN.format(name="flapping"))
    found = report(installed)
    assert found["plugins"]["same"] == "circus-ant 1"
    assert found["plugins"]["flapping"].startswith("circus ")
    version = found["plugins"]["flapping"]
    assert found["problems"] == [
        f"circus-thief 1.0: the plugin 'flapping' is left out: {version} has that name already",
        "circus-zebra 9: the plugin 'same' is left out: circus-ant 1 has that name already",
    ]


def test_the_first_of_two_distributions_of_one_name_counts(installed: Installed, tmp_path: Path) -> None:
    installed.add("circus-twice", PLUGIN.format(name="new"), version="2.0")
    later = Installed(tmp_path / "later")
    later.add("Circus_Twice", PLUGIN.format(name="old"), version="1.0")
    path = f"{installed.folder}:{later.folder}"
    found = json.loads(
        run(
            installed, REPORT.replace("import json", f"import sys; sys.path[:0] = {path.split(':')}; import json")
        ).stdout
    )
    assert "new" in found["plugins"]
    assert "old" not in found["plugins"]
    assert found["problems"] == [
        f"Circus_Twice 1.0 in {later.folder}: left out, since circus-twice 2.0 in {installed.folder} comes first; "
        "uninstall one of them"
    ]


def test_the_same_version_twice_is_no_problem(installed: Installed) -> None:
    installed.add("circus-twice", PLUGIN.format(name="p"))
    installed.add("circus-twice", PLUGIN.format(name="p"), metadata="egg-info")
    found = report(installed)
    assert found["problems"] == []
    assert "p" in found["plugins"]


def test_two_entry_points_of_one_object_are_one(installed: Installed) -> None:
    module = "circus_double"
    installed.add("circus-double", PLUGIN.format(name="p"), entry_points={"one": module, "two": module})
    found = report(installed)
    assert found["problems"] == []
    assert found["plugins"]["p"] == "circus-double 1.0"


def test_lines_that_are_no_entry_points_are_reported(installed: Installed) -> None:
    installed.add("circus-garbage", entry_points={"": "x", "also": ""})
    (installed.folder / "binary-1.dist-info").mkdir()
    (installed.folder / "binary-1.dist-info" / "entry_points.txt").write_bytes(b"[circus]\n\xff\x00")
    found = report(installed)
    assert [problem.partition(" of its")[0] for problem in found["problems"]] == [
        "binary 1: '\ufffd\\x00'",
        "circus-garbage 1.0: '= x'",
        "circus-garbage 1.0: 'also ='",
    ]


@pytest.mark.parametrize("name", ["circus-a", "Circus_A", "theirs"])
def test_what_is_disabled_is_not_imported(installed: Installed, name: str) -> None:
    installed.add("circus-a", "raise SystemExit", entry_points={"theirs": "circus_a"})
    installed.add("circus-b", PLUGIN.format(name="b"))
    found = report(installed, CIRCUS_DISABLED_PLUGINS=f"nothing, {name}")
    assert found["problems"] == []
    assert "b" in found["plugins"]
    assert "circus_a" not in found["modules"]


def test_each_call_of_a_hook_can_be_traced(installed: Installed) -> None:
    installed.add("circus-a", PLUGIN.format(name="a"))
    assert "hook" not in run(installed).stderr
    traced = run(installed, CIRCUS_TRACE_HOOKS="1").stderr
    assert "hook circus_register_plugins of circus-a 1.0 (main): 1 objects\n" in traced


def test_a_plugin_is_found_by_its_name_its_path_and_those_of_earlier_days(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed.folder))
    spec = "PluginSpec('moved', 'new.place:Plugin', doc='A plugin.', aliases=('old.place.Plugin',))"
    installed.add("circus-moved", f"@hookimpl\ndef circus_register_plugins():\n    return [{spec}]\n")
    found = Registry([str(installed.folder)])
    for use in ("moved", "new.place:Plugin", "new.place.Plugin", "old.place.Plugin", "old.place:Plugin"):
        one = found.find_plugin(use)
        assert one is not None, use
        assert one.origin == "circus-moved 1.0"
    assert found.find_plugin("place.Plugin") is None


def test_who_misses_a_name_hears_of_what_failed(installed: Installed) -> None:
    installed.add("circus-rabbit", "import no_such_module", version="3")
    found = Registry([str(installed.folder)])
    text = found.missing("plugin", "rabbit", found.plugins, "a path")
    assert text.startswith("there is no plugin 'rabbit'; accepted: a path, or one of none; this may be why: ")
    assert "circus-rabbit 3: the entry point 'main' (circus_rabbit) is left out: ModuleNotFoundError" in text
    off = Registry([str(installed.folder)], disabled="circus-rabbit")
    assert "circus-rabbit 3: 'main' is switched off by CIRCUS_DISABLED_PLUGINS" in off.missing(
        "plugin", "x", (), "a path"
    )


def test_a_folder_without_circus_says_what_is_missing(tmp_path: Path) -> None:
    assert Registry([str(tmp_path), str(tmp_path / "absent")]).problems == [
        "circus itself is not installed as a distribution, so that what comes with it is missing; install it with pip"
    ]
