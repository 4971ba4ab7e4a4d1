"""Files as users have them on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from circus.config.faults import Fault
from circus.config.loader import Config, load
from circus.config.schema import PluginSettings, SocketSettings, WatcherSettings
from circus.exc import ConfigError

DATA = Path(__file__).parents[2] / "data" / "ini"


def watcher(config: Config, name: str) -> WatcherSettings:
    return next(watcher for watcher in config.watchers if watcher.name == name)


def socket(config: Config, name: str) -> SocketSettings:
    return next(socket for socket in config.sockets if socket.name == name)


def plugin(config: Config, name: str) -> PluginSettings:
    return next(plugin for plugin in config.plugins if plugin.name == name)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CIRCUS_TEST_HOME", "/home/somebody")
    monkeypatch.setenv("CIRCUS_TEST_NUMBER", "3")
    monkeypatch.delenv("CIRCUS_TEST_NOT_SET", raising=False)
    return lambda name: load(str(DATA / name))


@pytest.mark.parametrize("path", sorted(DATA.glob("[0-9]*.ini")), ids=lambda path: path.stem)
def test_loads_and_its_options_are_json(path: Path, read) -> None:
    import json

    config = read(path.name)
    assert config.watchers or config.sockets
    for settings in (*config.watchers, *(plugin.watcher for plugin in config.plugins)):
        assert json.loads(json.dumps(settings.as_options())) == settings.as_options()


def test_defaults(read) -> None:
    config = read("01-minimal.ini")
    assert config.watchers == (WatcherSettings(name="sleeper", cmd="sleep", args="60", numprocesses=3),)
    assert (config.circus.endpoint, config.circus.pubsub_endpoint, config.circus.stats_endpoint) == ("", "", "")
    assert config.circus.check_delay == 5
    assert not config.circus.statsd
    assert config.warnings == []


def test_web_stack(read) -> None:
    config = read("02-web-stack.ini")
    assert config.circus.statsd, "naming stats_endpoint turns statsd on"
    assert config.circus.check_delay == 2.5
    app, worker, redis = watcher(config, "app"), watcher(config, "worker"), watcher(config, "redis")
    assert app.cmd == "../bin/chaussette --fd $(circus.sockets.app) shop.wsgi.application"
    assert (app.stop_signal, app.graceful_timeout, app.max_age, app.use_sockets) == (2, 12.0, 3600.0, True)
    assert app.stdout_stream["time_format"] == "%Y-%m-%d %H:%M:%S"
    assert app.stderr_stream == {"class": "FileStream", "filename": "/var/log/shop/app-errors-$(circus.wid).log"}
    assert worker.cmd == 'python -m shop.worker --queue "low, high"'
    assert worker.rlimits == {"nofile": 1024, "core": None}
    assert worker.send_hup
    assert redis.args == '--port 6379 --save ""'
    assert redis.stop_signal == 3
    assert socket(config, "app").port == 8000
    assert config.warnings == []


def test_comments_of_all_kinds(read) -> None:
    config = read("03-comments.ini")
    settings = watcher(config, "comments")
    assert config.circus.loglevel == "DEBUG"
    assert settings.cmd == "sh -c \"echo a#b; echo 'c # d'\""
    assert settings.args == "-q  # not a comment"
    assert settings.extra == {
        "url": "http://example.com/#anchor",
        "one_word": "a;b;c",
        "late": "a;b ; stays, as the first semicolon decides",
        "note": "tight",
        "empty": "",
        "nothing": "\n; data of the option above, since it is indented",
    }


def test_continued_lines(read) -> None:
    config = read("04-continued.ini")
    assert watcher(config, "java").args == "-Xmx512m\n-Dfile.encoding=UTF-8\n-jar\n/opt/app.jar"
    assert config.env == {"JAVA_OPTS": "-a\n-b"}


def test_includes(read) -> None:
    config = read("05-includes.ini")
    main = watcher(config, "main")
    assert config.circus.check_delay == 7, "the main file wins"
    assert (main.numprocesses, main.priority, main.graceful_timeout) == (2, 3, 4.0), "earlier files win over later ones"
    assert watcher(config, "shared").cmd == "first"
    assert watcher(config, "shared").args == "kept"
    assert [w.name for w in config.watchers] == ["deep", "from_a", "main", "shared"]
    assert [(w.line, w.option) for w in config.warnings] == [(2, "include")]
    assert "missing-*.conf" in config.warnings[0].message


def test_plugins(read) -> None:
    config = read("06-plugins.ini")
    assert [p.name for p in config.plugins] == ["plugin:flapping", "plugin:metrics", "plugin:statsd", "plugin:watchdog"]
    metrics = plugin(config, "plugin:metrics")
    assert metrics.use == "circus.plugins.statsd.FullStats"
    assert metrics.config["application_name"] == "two words: and a colon"
    assert metrics.watcher.priority == 7
    assert "two words" not in str((metrics.watcher.cmd, metrics.watcher.args)), "never on a command line"
    assert plugin(config, "plugin:statsd").use == "statsd", "without use the name is the registered one"
    flapping = plugin(config, "plugin:flapping")
    assert flapping.config == {"retry_in": "3", "max_retry": "2"}
    assert (flapping.watcher.singleton, flapping.watcher.copy_env, flapping.watcher.priority) == (True, True, 1)
    assert (flapping.watcher.ready, flapping.watcher.ready_timeout) == ("notify", 10)
    assert watcher(config, "queue").extra == {"flapping.attempts": "4", "flapping.max_retry": "10"}


def test_environment_and_variables(read) -> None:
    config = read("07-environment.ini")
    assert config.env["BIN"] == "/srv/app/bin:/home/somebody/bin"
    assert config.env["MISSING"] == "$CIRCUS_TEST_NOT_SET/x"
    first, second, api = watcher(config, "web-1"), watcher(config, "web-2"), watcher(config, "api")
    assert first.cmd == "/srv/app/bin/web --level pattern"
    assert first.working_dir == "/srv/app"
    assert second.cmd == "/srv/app/bin/web --level pattern+exact --id $(circus.wid) --home /home/somebody"
    assert second.env["LEVEL"] == "pattern+exact"
    assert api.cmd == "api --unknown $(circus.env.CIRCUS_TEST_NOT_SET) $(circus.numprocesses)"
    assert api.numprocesses == 3
    assert "CIRCUS_TEST_HOME" not in api.env, "circusd's own environment is laid beneath at the spawn"
    assert watcher(config, "batch").env["LEVEL"] == "common"
    assert watcher(config, "batch").cmd == "batch common"


def test_hooks(read) -> None:
    settings = watcher(load(str(DATA / "08-hooks.ini"), check_paths=True), "db-client")
    assert settings.hooks == {
        "before_start": ("os.path.isdir", False),
        "after_start": ("json:dumps", True),
        "before_stop": ("shutil.which", False),
        "extended_stats": ("os.getpid", True),
        "before_spawn": ("wait_for_port(localhost:6379, timeout=10)", False),
    }
    assert (settings.hook_timeout, settings.on_failure) == (20.0, "ignore")


def test_sockets(read) -> None:
    config = read("09-sockets.ini")
    assert [s.name for s in config.sockets] == ["admin", "cluster", "cluster2", "dns", "six", "web"]
    admin = socket(config, "admin")
    assert (admin.family, admin.umask, admin.replace) == ("AF_UNIX", 0o007, True)
    assert (socket(config, "web").backlog, socket(config, "web").umask) == (2048, None)
    assert watcher(config, "inetd").stdin_socket == "web"


def test_streams(read) -> None:
    config = read("10-streams.ini")
    assert watcher(config, "daily").stdout_stream["filename"] == "/var/log/%Y.log"
    assert watcher(config, "own").stdout_stream == {"class": "logging.StreamHandler", "anything": "50%"}
    assert watcher(config, "own").as_options()["stdout_stream_conf"] == {"anything": "50%"}


def test_repeated_sections_and_options(read) -> None:
    config = read("11-repeated.ini")
    twice = watcher(config, "twice")
    assert (twice.cmd, twice.args, twice.numprocesses) == ("first", "only here", 2)
    assert [w.name for w in config.watchers] == ["other", "twice"], "a section with no option is skipped"


def test_every_spelling_of_a_value(read) -> None:
    config = read("12-virtualenv.ini")
    import signal

    shop = watcher(config, "shop")
    assert config.circus.umask == 0o022
    assert shop.cmd == "python -c 'print(\"a, b\")'"
    assert (shop.uid, shop.gid) == ("root", 0)
    assert shop.stop_signal == signal.SIGRTMIN + 1
    assert (shop.stop_children, shop.autostart, shop.respawn, shop.close_child_stdout) == (True, False, False, True)
    assert (shop.max_retry, shop.max_age_variance) == (-1, 7.5)


def test_ten_faults_are_all_reported_in_the_order_of_the_file() -> None:
    with pytest.raises(ConfigError) as caught:
        load(str(DATA / "ten-faults.ini"))
    faults = [fault for fault in caught.value.faults if isinstance(fault, Fault)]
    assert [(fault.line, fault.section, fault.option) for fault in faults] == [
        (2, "circus", "umask"),
        (6, "watcher:web", "numprocesses"),
        (7, "watcher:web", "stop_signal"),
        (8, "watcher:web", "uid"),
        (9, "watcher:web", "rlimit_nofiles"),
        (10, "watcher:web", "hooks.before_strat"),
        (11, "watcher:web", "graceful_timeout"),
        (12, "watcher:web", ""),
        (13, "watcher:WEB", ""),
        (17, "socket:s", "family"),
    ]
    assert all("; accepted: " in fault.message for fault in faults)
    assert str(faults[1]) == (
        f"{DATA}/ten-faults.ini:6: [watcher:web] numprocesses: "
        "'two' is not a whole number; accepted: a whole number from 0 to 32768"
    )
    assert str(caught.value).count("\n") == 9
