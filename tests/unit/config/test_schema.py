from __future__ import annotations

import json

import pytest

from circus import kinds
from circus.config.schema import OPTIONS, WATCHER, WatcherSettings
from circus.exc import CircusError, MessageError


def settings(**options: object) -> WatcherSettings:
    return WatcherSettings.from_options("web", "sleep 1", options)


def test_every_option_is_documented_and_its_default_is_of_its_type() -> None:
    for table in OPTIONS.values():
        for row in table.values():
            assert row.doc and row.effect in ("none", "reload", "stream", "hook"), row
            if row.type == "env" or row.prefix or row.default is None:
                continue
            written = oct(row.default)[2:] if row.kind == "octal" else str(row.default)
            assert kinds.READERS[row.kind](written, *row.words, **row.arguments) == row.default, row


# What `options` shows for a watcher of an ini file that says nothing but its command.
DOCUMENTED = {
    "args": "",
    "close_child_stdin": True,
    "close_child_stdout": False,
    "close_child_stderr": False,
    "copy_env": False,
    "env": {},
    "executable": None,
    "uid": None,
    "gid": None,
    "graceful_timeout": 30.0,
    "max_age": 0,
    "max_age_variance": 30,
    "max_retry": 5,
    "numprocesses": 1,
    "on_demand": False,
    "priority": 0,
    "respawn": True,
    "send_hup": False,
    "shell": False,
    "shell_args": None,
    "singleton": False,
    "stderr_stream_conf": {},
    "stdout_stream_conf": {},
    "stop_children": False,
    "stop_signal": 15,
    "use_sockets": False,
    "warmup_delay": 0,
}


def test_options_show_the_documented_defaults(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = settings().as_options()
    assert {key: shown[key] for key in DOCUMENTED} == DOCUMENTED
    assert json.dumps({key: shown[key] for key in ("max_age", "warmup_delay")}) == '{"max_age": 0, "warmup_delay": 0}'
    assert (shown["cmd"], shown["working_dir"]) == ("sleep 1", str(tmp_path))


def test_options_show_everything_that_was_set() -> None:
    shown = WatcherSettings.from_options(
        "web",
        "x",
        {
            "args": ["-a", "b c"],
            "rlimit_nofile": 100,
            "rlimit_core": None,
            "hooks": {"before_start": "a.b,true"},
            "stdout_stream": {"class": "FileStream", "filename": "f", "max_bytes": 3},
            "flapping.attempts": 3,
        },
        free_form=True,
    ).as_options()
    assert shown["args"] == ["-a", "b c"]
    assert (shown["rlimit_nofile"], shown["rlimit_core"]) == (100, None)
    assert shown["hooks"] == {"before_start": ["a.b", True]}
    assert shown["stdout_stream_conf"] == {"filename": "f", "max_bytes": "3"}
    assert shown["flapping.attempts"] == "3"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        *[
            (key, "x", f"'{key}' isn't an integer")
            for key in ("numprocesses", "max_retry", "max_age", "max_age_variance")
        ],
        ("numprocesses", 1.5, "'numprocesses' isn't an integer"),
        ("stop_signal", "nosuch", "'stop_signal' isn't an integer"),
        ("stop_signal", 999, "'stop_signal' isn't an integer"),
        *[(key, "x", f"'{key}' isn't a number") for key in ("warmup_delay", "retry_in", "graceful_timeout")],
        *[(key, 1.5, f"'{key}' isn't an integer or string") for key in ("uid", "gid")],
        *[
            (key, "true", f"'{key}' isn't a valid boolean")
            for key in (
                *("send_hup", "shell", "copy_env", "respawn", "stop_children", "singleton"),
                *("close_child_stdin", "close_child_stdout", "close_child_stderr"),
            )
        ],
        ("env", 3, "'env' isn't a valid object"),
        ("env", {"A": 1}, "'A' isn't a string"),
        ("hooks", 3, "3 isn't a valid hook dict"),
        ("stdout_stream", "x", "'stdout_stream' isn't a valid object"),
        ("stderr_stream", {"a": "b"}, "'stderr_stream' must have a 'class' key"),
        ("rlimit_foo", 1, "'rlimit_foo' isn't a valid rlimit setting"),
        ("rlimit_nofile", "x", "'x' rlimit value isn't a valid int"),
        ("nosuch", 1, "unknown key 'nosuch'"),
        ("flapping.max_retrys", 1, "unknown key 'flapping.max_retrys'; did you mean 'flapping.max_retry'?"),
        ("nobody.max_retrys", 1, "unknown key 'nobody.max_retrys'"),
        (
            "flapping.attempts",
            "0",
            "'flapping.attempts': 0 is out of range; accepted: a whole number from 1 to 1000",
        ),
        ("flapping.attempts", None, "'flapping.attempts': None is neither text nor number nor boolean"),
        (
            "hooks",
            {"before_start": ["./hooks.py:f", True]},
            "'hooks.before_start': './hooks.py:f' is relative to nothing; accepted: the whole path of the file",
        ),
        ("extra", {}, "unknown key 'extra'"),
        ("name", "other", "unknown key 'name'"),
    ],
)
def test_wrong_values_are_refused_in_words_that_clients_know(key: str, value: object, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        settings().with_option(key, value)
    assert str(caught.value) == reason
    with pytest.raises(MessageError) as caught:
        settings(**{key: value})
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("hooks", {"before_strat": "a.b"}, ["Unknown hook 'before_strat'", "before_start"]),
        ("hooks.nosuch", "a.b", ["Unknown hook 'nosuch'"]),
        ("max_age", -1, ["max_age", "at least 0"]),
        ("graceful_timeout", float("inf"), ["graceful_timeout", "out of range"]),
        ("uid", "no-such-user", ["uid", "no-such-user"]),
        ("on_failure", "exi", ["on_failure", "'exit'"]),
        ("ready", "maybe", ["ready", "notify"]),
        ("copy_path", True, ["copy_env"]),
    ],
)
def test_senseless_values_are_refused(key: str, value: object, words: list[str]) -> None:
    with pytest.raises(MessageError) as caught:
        settings().with_option(key, value)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("effect", "keys"),
    [
        ("none", {"numprocesses": 3, "warmup_delay": 1, "send_hup": True, "stop_signal": 2, "graceful_timeout": 2.5}),
        ("none", {"stop_children": True, "max_retry": -1, "respawn": False, "singleton": True, "retry_in": 3}),
        ("reload", {"working_dir": "/", "uid": 0, "gid": "root", "shell": True, "env": {"A": "b"}, "cmd": "x"}),
        ("reload", {"args": "-x", "max_age": 10, "max_age_variance": 3, "copy_env": True, "close_child_stdin": False}),
        ("reload", {"close_child_stdout": True, "close_child_stderr": True, "rlimit_nofile": 10, "rlimit_CORE": None}),
        ("stream", {"stdout_stream.filename": "x", "stderr_stream.class": "a.b", "stdout_stream": {"class": "a.b"}}),
        ("hook", {"hooks.before_start": "a.b", "hooks": {"after_stop": ["a.b", True]}}),
    ],
)
def test_set_stores_the_value_and_names_the_effect(effect: str, keys: dict[str, object]) -> None:
    before = settings()
    for key, value in keys.items():
        after, found = before.with_option(key, value)
        assert found == effect, key
        assert after != before, key
        assert before == settings(), "settings are never changed in place"


def test_set_values() -> None:
    assert settings().with_option("numprocesses", -3)[0].numprocesses == 0
    for spelling in ("quit", "SIGQUIT", 3, "3"):
        assert settings().with_option("stop_signal", spelling)[0].stop_signal == 3
    assert settings().with_option("hooks.before_start", "a.b,true")[0].hooks == {"before_start": ("a.b", True)}
    assert settings().with_option("rlimit_NOFILE", -1)[0].rlimits == {"nofile": None}
    assert settings().with_option("stdout_stream.filename", "f")[0].stdout_stream == {
        "class": "FileStream",
        "filename": "f",
    }
    both = settings(hooks={"before_start": "a.b"}).with_option("hooks", {"after_start": "c.d"})[0]
    assert set(both.hooks) == {"before_start", "after_start"}
    assert settings().with_option("retry_in", 3)[0].extra == {"flapping.retry_in": "3"}
    assert settings(args=["a", 1]).args == ("a", "1")


def test_a_singleton_has_one_process() -> None:
    for change in (
        lambda: settings(singleton=True, numprocesses=2),
        lambda: settings(singleton=True).with_option("numprocesses", 2),
    ):
        with pytest.raises(CircusError, match=r"^Singleton watcher has a single process$") as caught:
            change()
        assert caught.value.errno == 5


def test_unknown_options_of_a_library_user_are_kept() -> None:
    assert WatcherSettings.from_options("a", "b", {"mine": 3}, free_form=True).extra == {"mine": "3"}


def test_families_have_a_mapping_each() -> None:
    assert {row.name: row.prefix for row in WATCHER.values() if row.prefix} == {
        "rlimit_NAME": "rlimit_",
        "hooks.NAME": "hooks.",
        "stdout_stream.KEY": "stdout_stream.",
        "stderr_stream.KEY": "stderr_stream.",
    }


@pytest.mark.parametrize(("value", "text"), [("7", "7"), (7, "7"), (2.5, "2.5")])
def test_options_that_plugins_register_are_kept_as_texts(value: object, text: str) -> None:
    changed, effect = settings().with_option("flapping.window", value)
    assert changed.extra == {"flapping.window": text}
    assert effect == "none"
    assert changed.as_options()["flapping.window"] == text


@pytest.mark.parametrize(
    "function",
    ["wait_for_port(localhost:1, timeout=2)", "a.module.function", "a.module:function(x)", "/a/b.py:f('x, y')"],
)
def test_functions_of_hooks(function: str) -> None:
    changed, effect = settings().with_option("hooks.before_start", f"{function}, true")
    assert changed.hooks == {"before_start": (function, True)}
    assert effect == "hook"


def test_a_hook_that_nobody_registered_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(MessageError, match=r"there is no hook function 'wait_for_prt'.*; did you mean 'wait_for_port'"):
        settings().with_option("hooks.before_start", "wait_for_prt(x:1)")
    with pytest.raises(MessageError, match="the bracket is not closed"):
        settings().with_option("hooks", {"before_start": "wait_for_port(x:1"})


def test_a_plugin_is_known_in_any_letter_case() -> None:
    assert WatcherSettings(name="Plugin:x").is_plugin
    assert not WatcherSettings(name="my plugin:x").is_plugin
