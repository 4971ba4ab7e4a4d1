"""Distributions of strangers, and a real circusd that finds them on its path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from circus import __version__
from circus.testing.circusd import Circusd
from circus.testing.waiting import wait_until
from tests.installed import Installed

SLEEP = f"cmd = {sys.executable} -c 'import time; time.sleep(1000)'"
WATCHER = f"[watcher:web]\n{SLEEP}\n"

THEIRS = """
from dataclasses import replace
from circus.commands.base import Command, NAME, OPERATOR
from circus.config.schema import WatcherSettings

@hookimpl
def circus_register_plugins():
    level = OptionSpec("level", "integer(min=1)", doc="An option.")
    return [PluginSpec("theirs", "circus_theirs:Plugin", [level], "A plugin.")]

@hookimpl
def circus_register_hooks():
    return [HookSpec("their_hook", "circus_theirs:hook", doc="A hook.")]

@hookimpl
def circus_register_streams():
    return [StreamSpec("TheirStream", "circus_theirs:Stream", doc="A stream.")]

@hookimpl
def circus_register_options():
    return [OptionSpec("theirs.level", "integer(min=1)", doc="An option.")]

class Greet(Command):
    \"\"\"Greet a watcher

    It says nothing back.
    \"\"\"

    name = "greet"
    properties = (NAME,)
    role = OPERATOR
    replies = "greeting"

    def execute(self, arbiter, properties):
        return {"greeting": f"hello {arbiter.get_watcher(properties['name']).name}"}

    def render(self, reply):
        return reply["greeting"].upper()

@hookimpl
def circus_register_commands():
    return [Greet]
"""


@pytest.fixture
def site(circusd: Circusd, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """A folder for distributions which circusd and circusctl find."""
    made = Installed(circusd.folder / "site")
    monkeypatch.setenv("PYTHONPATH", made.environment["PYTHONPATH"])
    return made


def check(circusd: Circusd, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    circusd.write(text)
    return subprocess.run(
        [sys.executable, "-m", "circus.cli.circusd", "--check", *options, str(circusd.ini)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_names_of_a_distribution_are_accepted(circusd: Circusd, site: Installed) -> None:
    site.add("circus-theirs", THEIRS)
    text = (
        f"[plugin:theirs]\n[plugin:other]\nuse = theirs\nlevel = 3\n{WATCHER}theirs.level = 2\n"
        "hooks.before_start = their_hook(1, x=2)\nstdout_stream.class = TheirStream\n"
    )
    run = check(circusd, text, "--strict")
    assert run.returncode == 0, run.stderr
    wrong = (
        f"[plugin:thers]\n[plugin:other]\nuse = theirs\nlevel = 0\n{WATCHER}theirs.level = x\n"
        "hooks.before_start = their_hok\nstdout_stream.class = TheirStrem\n"
    )
    run = check(circusd, wrong)
    assert run.returncode == 1
    for words in (
        "[plugin:thers] use: there is no plugin 'thers'",
        "did you mean 'theirs'",
        "[plugin:other] level: 0 is out of range",
        "[watcher:web] theirs.level: 'x' is not a whole number",
        "[watcher:web] hooks.before_start: there is no hook function 'their_hok'",
        "did you mean 'their_hook'",
        "did you mean 'TheirStream'",
    ):
        assert words in run.stderr


def test_its_command_is_one_of_the_protocol_and_of_circusctl(circusd: Circusd, site: Installed) -> None:
    site.add("circus-theirs", THEIRS)
    circusd.start(WATCHER)
    assert circusd.ok("greet", name="WEB")["greeting"] == "hello web"
    assert circusd.call("greet")["reason"] == "message invalid 'name' is missing"
    assert circusd.ctl("greet", "web").stdout == "HELLO WEB\n"
    assert '"greeting": "hello web"' in circusd.ctl("--json", "greet", "web").stdout
    assert circusd.ctl("greet").returncode == 2
    assert "usage: circusctl greet NAME" in circusd.ctl("greet").stderr
    assert "  greet         Greet a watcher" in circusd.ctl("help").stdout
    assert "It says nothing back." in circusd.ctl("help", "greet").stdout
    assert "did you mean greet" in circusd.ctl("gret").stderr
    completed = {**os.environ, "AUTO_COMPLETE": "1", "COMP_LINE": "circusctl gre"}
    assert circusd.ctl(env=completed).stdout == "greet\n"
    completed["COMP_LINE"] = f"circusctl --endpoint {circusd.endpoint} greet w"
    assert circusd.ctl(env=completed).stdout == "web\n"
    assert "command greet web" in circusd.output()
    circusd.assert_no_defect()


def test_options_of_its_plugin_are_settable_while_circusd_runs(circusd: Circusd, site: Installed) -> None:
    site.add("circus-theirs", THEIRS)
    circusd.start(WATCHER)
    assert circusd.ctl("set", "web", "theirs.level", "4").returncode == 0
    circusd.wait_for("updated", watcher="web", option="theirs.level")
    assert circusd.ok("options", name="web")["options"]["theirs.level"] == "4"
    assert circusd.ok("get", name="web", keys=["theirs.level"])["options"] == {"theirs.level": "4"}
    reply = circusd.call("set", name="web", options={"theirs.level": 0})
    assert reply["reason"] == "'theirs.level': 0 is out of range; accepted: a whole number of at least 1"
    assert circusd.call("set", name="web", options={"theirs.levl": 1})["status"] == "error"
    reply = circusd.call("add", name="x", cmd="sleep 1", options={"theirs.level": "x"})
    assert "is not a whole number" in reply["reason"]
    circusd.ok("add", name="y", cmd="sleep 1", options={"theirs.level": 3, "flapping.active": False})
    assert circusd.ok("options", name="y")["options"]["flapping.active"] == "False"
    reply = circusd.call("set", name="web", options={"hooks.before_start": "their_hok"})
    assert "did you mean 'their_hook'" in reply["reason"]


CONFIGURE = """
import os
from dataclasses import replace
from circus.config.schema import WatcherSettings

@hookimpl
def circus_configure(config):
    made = [WatcherSettings(name=n, cmd="sleep 1000") for n in open(os.environ["THEIR_WATCHERS"]).read().split()]
    return replace(config, watchers=(*config.watchers, *made))
"""


def test_a_distribution_adds_watchers_at_the_start_and_at_a_reload(circusd: Circusd, site: Installed) -> None:
    site.add("circus-configuring", CONFIGURE)
    names = circusd.folder / "names"
    names.write_text("one")
    circusd.start(WATCHER, env={"THEIR_WATCHERS": str(names)})
    assert set(circusd.ok("list")["watchers"]) == {"one", "web"}
    (pid,) = circusd.pids("one")
    names.write_text("one two")
    assert circusd.ok("plan")["add"] == ["two"]
    circusd.ok("reloadconfig")
    assert set(circusd.ok("list")["watchers"]) == {"one", "two", "web"}
    assert circusd.pids("one") == [pid]
    names.unlink()
    reply = circusd.call("reloadconfig", waiting=True)
    assert "circus_configure of circus-configuring 1.0 failed: FileNotFoundError" in reply["reason"]
    assert set(circusd.ok("list")["watchers"]) == {"one", "two", "web"}


def test_a_distribution_that_cannot_configure_keeps_circusd_from_starting(circusd: Circusd, site: Installed) -> None:
    site.add("circus-configuring", "@hookimpl\ndef circus_configure(config):\n    1 / 0\n", version="0.3")
    circusd.write(WATCHER)
    assert circusd.launch().wait(20) == 1
    assert "error: " in circusd.output()
    assert "circus_configure of circus-configuring 0.3 failed: ZeroDivisionError" in circusd.output()
    assert "nothing was started" in circusd.output()


RULES = """
@hookimpl
def circus_authorize(identity, command, target):
    if command == "stop" and target == "web":
        return False
    if command == "incr":
        raise RuntimeError("broken on purpose")
"""


def test_a_distribution_refuses_commands(circusd: Circusd, site: Installed) -> None:
    site.add("circus-rules", RULES)
    circusd.start(WATCHER + f"[watcher:other]\n{SLEEP}\n")
    reply = circusd.call("stop", name="web")
    assert (reply["status"], reply["errno"]) == ("error", 3)
    assert reply["reason"] == "stop is refused by the access rules of circus-rules 1.0"
    run = circusd.ctl("stop", "web")
    assert (run.returncode, run.stderr) == (3, f"error: {reply['reason']}\n")
    assert circusd.ok("status", name="web")["status"] == "active"
    circusd.ok("stop", name="other")
    assert "because the access rules of circus-rules 1.0 failed" in circusd.call("incr", name="web")["reason"]
    assert "circus_authorize of circus-rules 1.0 failed" in circusd.output()
    assert "RuntimeError: broken on purpose" in circusd.output()


def test_broken_and_conflicting_distributions_are_blamed_while_circusd_runs(circusd: Circusd, site: Installed) -> None:
    site.add("circus-broken", "import no_such_module", version="0.1")
    site.add("circus-exits", "raise SystemExit(1)", version="0.2")
    plugin = "@hookimpl\ndef circus_register_plugins():\n    return [PluginSpec('{}', 'nowhere:P', doc='d')]\n"
    site.add("circus-thief", plugin.format("flapping"), version="0.3")
    site.add("circus-one", plugin.format("same"), version="0.4")
    site.add("circus-two", plugin.format("same"), version="0.5")
    command = THEIRS.replace('name = "greet"', 'name = "stop"')
    site.add("circus-theirs", command, version="0.6")
    circusd.start(WATCHER)
    assert circusd.ok("status", name="web")["status"] == "active"
    warnings = [line for line in circusd.output().splitlines() if "left out" in line]
    assert len(warnings) == 5, warnings
    assert all("[WARNING]" in line for line in warnings)
    for words in (
        "circus-broken 0.1: the entry point 'main' (circus_broken) is left out: ModuleNotFoundError",
        "circus-exits 0.2: the entry point 'main' (circus_exits) is left out: SystemExit: 1",
        "circus-thief 0.3: the plugin 'flapping' is left out: circus ",
        "circus-two 0.5: the plugin 'same' is left out: circus-one 0.4 has that name already",
        "circus-theirs 0.6: the command 'stop' is left out: circus has that name already",
    ):
        assert sum(words in line for line in warnings) == 1, words
    circusd.assert_no_defect()


def test_circusd_stops_only_if_the_configuration_uses_what_failed(circusd: Circusd, site: Installed) -> None:
    site.add("circus-broken", "import no_such_module", version="0.1", entry_points={"theirs": "circus_broken"})
    circusd.write(f"[plugin:theirs]\n{WATCHER}")
    assert circusd.launch().wait(20) == 1
    line = next(line for line in circusd.output().splitlines() if "no plugin" in line)
    assert "[plugin:theirs] use: there is no plugin 'theirs'" in line
    assert "circus-broken 0.1: the entry point 'theirs' (circus_broken) is left out: ModuleNotFoundError" in line
    run = check(circusd, WATCHER)
    assert run.returncode == 0
    assert "note: circus-broken 0.1: " in run.stderr


def test_what_is_disabled_harms_nobody(circusd: Circusd, site: Installed) -> None:
    site.add("circus-rules", "@hookimpl\ndef circus_authorize(identity, command, target):\n    return False\n")
    circusd.start(WATCHER, env={"CIRCUS_DISABLED_PLUGINS": "circus-rules"})
    assert circusd.ok("status", name="web")["status"] == "active"


def test_calls_of_hooks_are_traced_to_the_log(circusd: Circusd, site: Installed) -> None:
    site.add("circus-rules", "@hookimpl\ndef circus_authorize(identity, command, target):\n    return True\n")
    circusd.start(WATCHER, env={"CIRCUS_TRACE_HOOKS": "1"})
    circusd.ok("list")
    assert "hook circus_register_plugins of circus 1.0.0 (plugins): 7 objects" in circusd.output()
    assert "hook circus_authorize of circus-rules 1.0 (main): True" in circusd.output()


def test_circusctl_loads_what_is_installed_only_if_need_be(circusd: Circusd, site: Installed) -> None:
    marked = Path(circusd.folder / "imported")
    site.add(
        "circus-marks",
        f"import sys\nopen({str(marked)!r}, 'a').write('x')\n{THEIRS.replace('circus_theirs', 'circus_marks')}",
    )
    circusd.start(WATCHER)
    marked.unlink()
    for words in (("status",), ("--waiting", "stop", "web"), ("set", "web", "max_retry", "3"), ("help", "stop")):
        assert circusd.ctl(*words).returncode == 0
    assert not marked.exists()
    circusd.ctl("greet", "web")
    assert marked.exists()


INLINE = """
from circus.plugins import CircusPlugin, hookimpl

class Inline(CircusPlugin):
    @hookimpl
    def on_event(self, event):
        pass
"""


def test_what_is_installed_and_what_runs_is_listed(circusd: Circusd, site: Installed) -> None:
    site.add("circus-theirs", THEIRS, version="2.0")
    site.add("circus-broken", "import no_such_module")
    (circusd.folder / "inline.py").write_text(INLINE)
    circusd.start(
        f"[plugin:mine]\nuse = ./inline.py:Inline\n[plugin:guard]\nuse = flapping\n"
        f"[plugin:statsd]\nactive = no\n{WATCHER}"
    )

    def row(name: str) -> dict[str, Any]:
        (found,) = [row for row in circusd.ok("plugins")["plugins"] if row["name"] == name]
        return found

    wait_until(lambda: row("mine")["seq"] and row("mine")["lag"] == 0, "the plugin has finished every event")
    own = {"kind": "plugin", "distribution": "circus", "version": __version__}
    nowhere = dict.fromkeys(("distribution", "version"))
    idle = dict.fromkeys(("state", "seq", "lag", "restarts"))
    assert row("mine").items() >= {**nowhere, "kind": "plugin", "doc": "", "state": "active", "restarts": 0}.items()
    assert row("guard").items() >= {**own, "state": "active", "restarts": 0}.items()
    assert row("guard")["doc"].startswith("Stop a watcher whose processes end again")
    assert row("flapping").items() >= {**own, **idle}.items(), "that is another one"
    assert row("statsd").items() >= {**own, **idle}.items()
    theirs = {"distribution": "circus-theirs", "version": "2.0", **idle}
    assert row("theirs") == {"name": "theirs", "kind": "plugin", "doc": "A plugin.", **theirs}
    assert row("their_hook") == {"name": "their_hook", "kind": "hook", "doc": "A hook.", **theirs}
    assert row("TheirStream") == {"name": "TheirStream", "kind": "stream", "doc": "A stream.", **theirs}
    assert row("greet") == {"name": "greet", "kind": "command", "doc": "Greet a watcher", **theirs}
    (problem,) = circusd.ok("plugins")["problems"]
    assert problem.startswith("circus-broken 1.0: ")
    circusd.kill(circusd.pids("plugin:mine")[0])
    wait_until(lambda: row("mine")["restarts"] == 1 and row("mine")["state"] == "active", "it runs again")
    lines = circusd.ctl("plugins").stdout.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "STATE", "SEQ", "LAG", "RESTARTS", "DISTRIBUTION", "WHAT", "IT", "DOES"]
    assert any(line.split()[:3] == ["mine", "plugin", "active"] for line in lines)
    assert lines[-1] == f"problem: {problem}"
    assert json.loads(circusd.ctl("--json", "plugins").stdout)["problems"] == [problem]


CURIOUS = """
from circus.plugins import CircusPlugin, hookimpl

class Curious(CircusPlugin):
    @hookimpl
    async def before_start(self, watcher):
        reply = await self.acall("numwatchers")
        with open(self.config["answer"], "w") as file:
            file.write(reply.get("reason", reply["status"]) + "\\n")
"""


def test_access_rules_know_which_plugin_asks(circusd: Circusd, site: Installed) -> None:
    site.add(
        "circus-rules",
        "@hookimpl\ndef circus_authorize(identity, command):\n"
        "    return False if (identity, command) == ('plugin:curious', 'numwatchers') else None\n",
    )
    (circusd.folder / "curious.py").write_text(CURIOUS)
    answer = circusd.folder / "answer"
    circusd.start(f"[plugin:curious]\nuse = ./curious.py:Curious\nanswer = {answer}\n{WATCHER}")
    wait_until(lambda: answer.exists() and answer.read_text(), "the plugin has its answer")
    assert answer.read_text() == "numwatchers is refused by the access rules of circus-rules 1.0\n"
    assert circusd.ok("numwatchers")["numwatchers"], "nobody else is refused"
