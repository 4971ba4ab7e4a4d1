from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.config.schema import WatcherSettings
from circus.config.variables import (
    environment_lookup,
    expand,
    expand_environment,
    process_lookup,
    sockets_named,
    uses_old_wid,
)

_text = st.text(st.characters(blacklist_categories=("Cs",)), max_size=60)
_plain = _text.filter(lambda text: "$" not in text and "(" not in text and ")" not in text)
_name = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,10}", fullmatch=True)


@given(_text)
def test_what_is_not_known_stays(text: str) -> None:
    assert expand(text, lambda name: None) == text
    assert expand_environment(text) == text


@given(
    _plain, _name, _text, _plain, st.sampled_from(["$(circus.{})", "((circus.{}))", "$(CIRCUS.{})", "((Circus.{}))"])
)
def test_a_known_variable_is_replaced_once(before: str, name: str, value: str, after: str, form: str) -> None:
    assert expand(before + form.format(name) + after, {name: value}.get) == before + value + after


@given(_plain, st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True), _text)
def test_environment_values_know_the_shell_s_forms(before: str, name: str, value: str) -> None:
    layers = ({name: value}, {name: "beneath"})
    assert expand_environment(f"{before}${{{name}}}{before}", *layers) == before + value + before
    assert expand_environment(f"{before}${name} {before}", *layers) == f"{before}{value} {before}"
    assert expand_environment(f"$(circus.env.{name.swapcase()})", {name: value}) == value


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("--fd $(circus.sockets.web) ((circus.sockets.WEB))", "--fd 7 7"),
        ("$(circus.wid)/((CIRCUS.WID))/$WID/$WIDTH", "3/3/3/$WIDTH"),
        ("$(circus.env.own) $(circus.env.OWN)", "yes yes"),
        ("$(circus.env.CIRCUS_TEST_OUTER)", "outer"),
        ("$(circus.numprocesses) $(circus.working_dir) $(circus.name)", "4 /tmp app"),
        ("$(circus.stop_signal) $(circus.Graceful_Timeout)", "15 30.0"),
        ("$(circus.nosuch) $(circus.extra) $(circus.sockets.db) $(circus.uid)",) * 2,
        ("$(circus.as_options) $(other.wid) $(wid)",) * 2,
        ("plain", "plain"),
    ],
)
def test_at_the_spawn(text: str, expanded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUS_TEST_OUTER", "outer")
    settings = WatcherSettings(name="app", cmd="x", numprocesses=4, working_dir="/tmp", env={"OWN": "yes"})
    assert expand(text, process_lookup(settings, 3, {"web": 7})) == expanded


def test_the_spelling_of_a_name_comes_before_the_order_of_layers() -> None:
    lookup = environment_lookup({"path": "own"}, {"PATH": "outer"})
    assert lookup("env.PATH") == "outer"
    assert lookup("ENV.path") == "own"
    assert lookup("env.Path") == "own"
    assert lookup("wid") is None


def test_sockets_and_old_wid_are_recognised() -> None:
    assert sockets_named("a $(circus.sockets.Web) ((CIRCUS.SOCKETS.api)) $(circus.wid)") == {"web", "api"}
    assert uses_old_wid("a $WID")
    assert not uses_old_wid("a $WIDTH $(circus.wid)")
