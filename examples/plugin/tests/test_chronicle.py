import datetime

import pytest
from circus_chronicle.plugin import Chronicle

from circus.testing import wait_until

FRIDAY = datetime.datetime(2026, 1, 30, 17, 0, tzinfo=datetime.UTC)


def test_each_event_is_written(circusd, run_plugin, caplog):
    caplog.set_level("INFO")
    circusd.start()
    chronicle = run_plugin(Chronicle, ignore="gate, hook_success")

    [pid] = circusd.add("web", "sleep 60")
    circusd.kill(pid)
    reap = circusd.wait_for("reap", watcher="web", process_pid=pid)

    run_plugin.catch_up(chronicle)
    assert f"{reap.seq}: web reap" in caplog.messages
    assert "gate" not in caplog.text


@pytest.mark.parametrize("closing_hour,starts", [(16, False), (18, True)])
def test_nothing_starts_on_a_friday_afternoon(circusd, run_plugin, monkeypatch, closing_hour, starts):
    circusd.start(
        """
        [watcher:web]
        cmd = sleep 60
        autostart = False
        deploys_on_friday = no
        """
    )
    chronicle = run_plugin(Chronicle, closing_hour=closing_hour)
    monkeypatch.setattr(chronicle, "now", lambda: FRIDAY)

    circusd.call("start", name="web", waiting=True)
    assert len(circusd.pids("web")) == starts
    assert chronicle.refused == ([] if starts else ["web"])


def test_circusd_runs_it_as_it_is_installed(circusd):
    circusd.start(
        """
        [plugin:chronicle]
        ignore = spawn

        [watcher:web]
        cmd = sleep 60
        """
    )
    wait_until(lambda: "web start" in circusd.output(), "the log has the start")
    assert "web spawn" not in circusd.output()
    assert "chronicle" in circusd.ctl("plugins").stdout


def test_a_mistake_in_the_ini_file_is_found(circusd):
    with pytest.raises(AssertionError, match="closing_hour"):
        circusd.start("[plugin:chronicle]\nclosing_hour = five\n")
