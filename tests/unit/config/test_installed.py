"""What a configuration names of what is installed."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from circus.config import check
from circus.config.loader import load
from circus.config.schema import PluginSettings

WATCHER = "[watcher:web]\ncmd = web\n"


def plugin(path: str) -> PluginSettings:
    (found,) = load(path).plugins
    return found


@pytest.mark.parametrize(
    ("name", "use", "factory"),
    [
        ("flapping", None, "circus.plugins.flapping:Flapping"),
        ("mine", "flapping", "circus.plugins.flapping:Flapping"),
        ("mine", "circus.plugins.flapping.Flapping", "circus.plugins.flapping:Flapping"),
        ("mine", "circus.plugins.flapping:Flapping", "circus.plugins.flapping:Flapping"),
        ("mine", "my.module:Plugin", "my.module:Plugin"),
        ("flapping", "my.module.Plugin", "my.module.Plugin"),
    ],
)
def test_what_use_means(write, name: str, use: str | None, factory: str) -> None:
    found = plugin(write(f"[plugin:{name}]\n" + (f"use = {use}\n" if use else "")))
    assert found.factory == factory
    assert found.active


def test_a_file_is_relative_to_the_file_that_names_it(write, tmp_path) -> None:
    write("[plugin:mine]\nuse = ./my plugin.py:Logger\n", "conf/plugins.ini")
    write("[watcher:web]\ncmd = x\nhooks.before_start = ../hooks.py:f(1, k='./x.py:y'), true\n", "conf/watchers.ini")
    path = write("[circus]\ninclude = conf/*.ini\n")
    config = load(path)
    assert config.plugins[0].use == config.plugins[0].factory == f"{tmp_path}/conf/my plugin.py:Logger"
    assert config.watchers[0].hooks == {"before_start": (f"{tmp_path}/hooks.py:f(1, k='./x.py:y')", True)}


def test_a_file_may_be_named_by_its_whole_path_or_relative_to_a_relative_configuration(
    write, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plugin(write("[plugin:p]\nuse = /somewhere/p.py:P.Q")).factory == "/somewhere/p.py:P.Q"
    write("[plugin:p]\nuse = p.py:P")
    monkeypatch.chdir(tmp_path)
    assert plugin("circus.ini").factory == f"{tmp_path}/p.py:P"


def test_files_are_imported_in_the_child(write, tmp_path) -> None:
    write("from beside import number\nclass Plugin: pass\ndef hook(): pass\nother = 3\n", "lib/my plugin.py")
    write("number = 1\n", "lib/beside.py")
    path = write(
        "[plugin:a]\nuse = lib/my plugin.py:Plugin\n"
        "[plugin:b]\nuse = lib/my plugin.py:Plugn\n"
        "[plugin:c]\nuse = lib/absent.py:Plugin\n"
        f"{WATCHER}hooks.before_start = lib/my plugin.py:hook('x')\nhooks.after_start = lib/my plugin.py:other\n"
    )
    faults, _ = check(path)
    assert [(fault.line, fault.option) for fault in faults] == [(4, "use"), (6, "use"), (10, "hooks.after_start")]
    assert f"the plugin '{tmp_path}/lib/my plugin.py:Plugn' cannot be imported: AttributeError" in faults[0].message
    assert "FileNotFoundError" in faults[1].message
    assert "accepted: a callable in that file" in faults[1].message
    assert "nothing that can be called" in faults[2].message


@pytest.mark.parametrize(
    ("text", "line", "option", "words"),
    [
        ("[plugin:hooks]\nhooks.after_start = wait_for_file('x')", 2, "hooks.after_start", ["would wait for itself"]),
        ("[plugin:flaping]\n", 1, "use", ["no plugin 'flaping'", "did you mean 'flapping'"]),
        ("[plugin:x]\nuse = FlApPiNg", 2, "use", ["no plugin 'FlApPiNg'"]),
        ("[plugin:x]\nuse = a..b", 2, "use", ["'a..b' is no path"]),
        ("[plugin:x]\nuse = ./x.py", 2, "use", ["is no path", "./file.py:attribute"]),
        ("[plugin:x]\nuse = ./x.py:two words", 2, "use", ["is no path"]),
        ("[plugin:x]\nuse = ./x.txt:X", 2, "use", ["is no path"]),
        ("[plugin:flapping]\nattempts = many", 2, "attempts", ["'many' is not a whole number", "from 1 to 1000"]),
        ("[plugin:x]\nuse = circus.plugins.flapping.Flapping\nwindow = -1", 3, "window", ["number of at least 0"]),
        ("[plugin:flapping]\nactive = perhaps", 2, "active", ["neither yes nor no"]),
        ("[plugin:statsd]\nport = 99999", 2, "port", ["from 1 to 65535"]),
        ("[plugin:watchdog]\nmsg_regex = (", 2, "msg_regex", ["no regular expression"]),
        ("[plugin:resource_watcher]\nmax_mem = much", 2, "max_mem", ["a size such as 250M"]),
        ("[plugin:http_observer]\ntimeout = 3", 1, "", ["needs check_url", "accepted: check_url = "]),
        ("[plugin:statsd]\nendpoint = x", 2, "endpoint", ["gives the plugin its 'endpoint' itself"]),
        (WATCHER + "flapping.attempts = 0", 3, "flapping.attempts", ["from 1 to 1000"]),
        (WATCHER + "flapping.active = perhaps", 3, "flapping.active", ["neither yes nor no"]),
        (WATCHER + "hooks.before_start = wait_for_port(x", 3, "hooks.before_start", ["bracket is not closed"]),
        (WATCHER + "hooks.before_start = wait_for_prt(x:1)", 3, "hooks.before_start", ["did you mean 'wait_for_port'"]),
        (WATCHER + "hooks.before_start = a..b", 3, "hooks.before_start", ["is no path"]),
        (WATCHER + "stdout_stream.class = FileStrem", 3, "stdout_stream.class", ["did you mean 'FileStream'"]),
        (WATCHER + "stdout_stream.class = a..b", 3, "stdout_stream.class", ["is no path"]),
    ],
)
def test_fault(write, text: str, line: int, option: str, words: list[str]) -> None:
    path = write(text)
    ((fault,), _) = check(path)
    assert (fault.file, fault.line, fault.option) == (path, line, option)
    assert "accepted: " in fault.message
    assert all(word in fault.message for word in words), fault.message


@pytest.mark.parametrize(
    ("text", "option", "words"),
    [
        ("[plugin:flapping]\nwindo = 3", "windo", ["flapping has no option 'windo'", "did you mean 'window'"]),
        ("[plugin:p]\nuse = statsd\nhots = x", "hots", ["did you mean 'host'"]),
        (WATCHER + "flapping.atempts = 3", "flapping.atempts", ["did you mean flapping.attempts"]),
    ],
)
def test_warning(write, text: str, option: str, words: list[str]) -> None:
    (warning,) = load(write(text)).warnings
    assert warning.option == option
    assert all(word in warning.message for word in words), warning.message


@pytest.mark.parametrize(
    "text",
    [
        "[plugin:x]\nuse = my.module.Plugin\nwhatever = 3",
        "[plugin:hooks]\nwhatever = 3",
        "[plugin:flapping]\nattempts = 3\nwindow = 0.5\nretry_in = 1\nmax_retry = -1\nactive = no\nrespawn = no",
        WATCHER + "flapping.attempts = 3\nflapping.active = no\nmine.whatever = 3",
        WATCHER + 'hooks.before_start = run_command("a, (b", x=1), true\nhooks.after_start = wait_for_file(/tmp)',
        WATCHER + "stdout_stream.class = circus.stream.FileStream\nstdout_stream.filename = x",
    ],
)
def test_nothing_to_complain_about(write, text: str) -> None:
    assert load(write(text), strict=True).warnings == []


def test_an_option_of_a_plugin_is_not_one_of_its_watcher(write) -> None:
    """``max_retry`` of flapping says when it gives a watcher up, and not how often its own process is tried."""
    found = plugin(write("[plugin:flapping]\nmax_retry = 99\nmax_age = 7"))
    assert found.config["max_retry"] == "99"
    assert found.watcher.max_retry == 5
    assert found.watcher.max_age == 7


def registering(text: str) -> str:
    return (
        "from dataclasses import replace\n"
        "from circus.config.schema import WatcherSettings\n"
        f"@hookimpl\ndef circus_configure(config):\n{textwrap.indent(text, '    ')}\n"
    )


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a distribution for the registry of this test."""
    from circus.config import configured
    from circus.config import installed as names
    from circus.hooks.registry import Registry
    from tests.installed import Installed

    site = Installed(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))

    def install(text: str) -> None:
        # Modules are cached by their names, so each test has its own.
        site.add(f"circus-trial-{os.urandom(6).hex()}", registering(text), version="4.2")
        found = Registry()
        monkeypatch.setattr(configured, "registry", lambda: found)
        monkeypatch.setattr(names, "registry", lambda: found)

    return install


def test_hook_circus_configure_changes_the_configuration_of_a_daemon(installed, write) -> None:
    installed("return replace(config, watchers=[replace(w, priority=7) for w in config.watchers])")
    path = write(WATCHER)
    assert load(path, configure=True).watchers[0].priority == 7
    assert load(path).watchers[0].priority == 0, "that of a program stays as it is"


def test_a_distribution_may_leave_the_configuration_as_it_is(installed, write) -> None:
    installed("return None")
    path = write(WATCHER)
    assert load(path, configure=True) == load(path)


def test_watchers_that_distributions_add_are_in_order_and_checked(installed, write) -> None:
    installed(
        "added = WatcherSettings(name='a', cmd='sleep 1', stdin_socket='nosuch')\n"
        "return replace(config, watchers=(*config.watchers, added))"
    )
    ((fault,), _) = check(write(WATCHER))
    assert (fault.section, fault.option) == ("watcher:a", "stdin_socket")


def test_what_distributions_add_is_sorted_in(installed, write) -> None:
    installed("return replace(config, watchers=(*config.watchers, WatcherSettings(name='a', cmd='sleep 1')))")
    assert [watcher.name for watcher in load(write(WATCHER), configure=True).watchers] == ["a", "web"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("1 / 0", "failed: ZeroDivisionError"),
        ("raise SystemExit(1)", "failed: SystemExit: 1"),
        ("return 3", "it returned a int; return None, or a Config"),
        ("return replace(config, watchers=config.watchers * 2)", "there are two watchers 'web'"),
        ("return replace(config, watchers=[3])", "watchers has a int; WatcherSettings are needed"),
        ("return replace(config, watchers=[replace(w, name='') for w in config.watchers])", "is called ''"),
        (
            "return replace(config, watchers=[replace(w, numprocesses='2') for w in config.watchers])",
            "the watcher 'web': 'numprocesses' isn't an integer",
        ),
        ("return replace(config, watchers=[replace(w, cmd=None) for w in config.watchers])", "'cmd' isn't a string"),
        (
            "return replace(config, watchers=[replace(w, hooks={'after_stop': ('x', 0)}) for w in config.watchers])",
            "there is no hook function 'x'",
        ),
        ("return replace(config, watchers=None)", "failed"),
        ("return replace(config, circus=None)", "circus is a NoneType"),
    ],
)
def test_a_distribution_that_fails_to_configure_is_blamed(installed, write, body: str, reason: str) -> None:
    installed(body)
    path = write(WATCHER)
    ((fault,), _) = check(path)
    assert (fault.file, fault.line) == (path, 0)
    assert fault.message.startswith("circus_configure of circus-trial-")
    assert " 4.2 failed: " in fault.message
    assert reason in fault.message
