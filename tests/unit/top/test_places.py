from __future__ import annotations

import pytest

from circus.top.places import Places

TOLD = {"pubsub_endpoint": "ipc:///told/pubsub", "stats_endpoint": "ipc:///told/stats"}


def test_circusd_tells_what_nobody_has_named() -> None:
    assert Places("ipc:///c").told(TOLD) == ("ipc:///told/pubsub", "ipc:///told/stats")
    assert Places("ipc:///c", "ipc:///p", "ipc:///s").told(TOLD) == ("ipc:///p", "ipc:///s")


def test_the_defaults_are_those_of_all_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUSCTL_ENDPOINT", "ipc:///env/endpoint")
    monkeypatch.setenv("CIRCUS_PUBSUB_ENDPOINT", "ipc:///env/pubsub")
    monkeypatch.setenv("CIRCUS_STATS_ENDPOINT", "ipc:///env/stats")
    assert Places().command_endpoint == "ipc:///env/endpoint"
    assert Places().told({}) == ("ipc:///env/pubsub", "ipc:///env/stats")


def test_commands_go_only_to_the_circusd_whose_statistics_are_read() -> None:
    assert Places().is_related(TOLD)
    assert Places(stats="ipc:///told/stats").is_related(TOLD)
    assert not Places(stats="tcp://127.0.0.1:5557").is_related(TOLD)
    assert Places("ipc:///c", stats="tcp://127.0.0.1:5557").is_related(TOLD)
