"""A command line that is still being typed."""

from __future__ import annotations

import pytest

from circus.cli.typed import Typed


@pytest.mark.parametrize(
    ("line", "words", "prefix", "quote", "start"),
    [
        ("", [], "", "", 0),
        ("  sto", [], "sto", "", 2),
        ("stop ", ["stop"], "", "", 5),
        ("stop web\t--w", ["stop", "web"], "--w", "", 9),
        ("stop a\\ b", ["stop"], "a b", "", 5),
        ("stop 'a b", ["stop"], "a b", "'", 5),
        ("stop 'a b'", ["stop"], "a b", "", 5),
        ('stop "a\\"b" c', ["stop", 'a"b'], "c", "", 12),
        ("stop '' x", ["stop", ""], "x", "", 8),
        ("stop a\\", ["stop"], "a\\", "", 5),
    ],
)
def test_reading(line: str, words: list[str], prefix: str, quote: str, start: int) -> None:
    typed = Typed(line)
    assert (typed.words, typed.prefix, typed.quote, typed.start) == (words, prefix, quote, start)


@pytest.mark.parametrize(
    ("line", "at", "rest"),
    [
        ("stop g", 5, "größe\\ im\\ kasten"),
        ("stop ", 5, "größe\\ im\\ kasten"),
        ("stop größe\\ i", 12, "im\\ kasten"),
        ("stop 'größe i", 12, "im kasten"),
        ('stop "größe i', 12, "im kasten"),
        ("stop 'größe 'i", 12, None),
    ],
)
def test_writing(line: str, at: int, rest: str | None) -> None:
    assert Typed(line).rest("größe im kasten", at) == rest


def test_a_quotation_mark_within_quotes_is_escaped() -> None:
    assert Typed('stop "a').written('a"b') == '"a\\"b'
