from __future__ import annotations

from circus.config import get_config

TEXT = """
[circus]
umask = 077
stats_endpoint = tcp://127.0.0.1:5557
[watcher:Web]
cmd = web
uid = root
stop_signal = quit
rlimit_nofile = 500
rlimit_CORE =
mine = 1
stdout_stream.class = FileStream
stdout_stream.filename = /tmp/%Y
close_child_stdout = yes
hooks.before_start = a.b.c, true
max_age = 3
[watcher:App]
cmd = app
graceful_timeout = 2
[socket:Api]
port = 80
[plugin:X]
use = circus.plugins.flapping.Flapping
name = other
priority = 4
max_retry = 6
[env:Web]
LEVEL = 1
"""


def test_what_programs_get(write) -> None:
    config = get_config(write(TEXT))
    assert (config.umask, config["umask"], config.check_delay, config.warmup_delay) == (0o77, 0o77, 5.0, 0)
    assert (config.statsd, config.loglevel, config.endpoint_owner, config.httpd_port) == (True, None, None, 8080)
    assert config.endpoint and config.pubsub_endpoint
    app, web = config.watchers
    assert (app.name, app.graceful_timeout, app.numprocesses, app.uid, app.args) == ("App", 2.0, 1, None, "")
    assert (web.name, web.graceful_timeout, web.uid, web.stop_signal, web.max_retry) == ("Web", 30, "root", 3, 5)
    assert web.rlimits == {"nofile": 500, "CORE": -1}
    assert web.stdout_stream == {"class": "FileStream", "filename": "/tmp/%Y"}
    assert web.stderr_stream == {}
    assert web.hooks == {"before_start": ["a.b.c", True]}
    assert (web.mine, web.max_age, web.close_child_stdout) == ("1", "3", True)
    assert web.env == {"LEVEL": "1"}
    assert config.sockets == [{"name": "api", "port": "80", "so_reuseport": False, "replace": False}]
    assert config.plugins == [
        {"name": "plugin:X", "use": "circus.plugins.flapping.Flapping", "priority": 4, "max_retry": "6"}
    ]


def test_missing_names_are_missing_attributes(write) -> None:
    assert not hasattr(get_config(write(TEXT)), "nosuch")
