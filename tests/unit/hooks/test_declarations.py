"""What distributions declare checks itself, and reads the texts of files."""

from __future__ import annotations

import pytest

from circus.hooks import HookSpec, OptionSpec, PluginSpec
from circus.kinds import Memory


def test_a_plugin_reads_its_configuration() -> None:
    count = OptionSpec("count", "integer(min=1)", 3, doc="how many")
    url = OptionSpec("url", "text", doc="where", required=True)
    spec = PluginSpec("p", "package.module:P", options=(count, url), doc="A plugin.")
    assert spec.read({"url": "http://x", "other": "kept for the plugin"}) == {"count": 3, "url": "http://x"}
    assert spec.read({"url": "", "count": "7"}) == {"count": 7, "url": ""}
    with pytest.raises(ValueError, match=r"^count: 0 is out of range; accepted: a whole number of at least 1$"):
        spec.read({"url": "", "count": "0"})
    with pytest.raises(ValueError, match=r"^url is missing: where$"):
        spec.read({})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90", Memory(90.0, absolute=False)),
        ("2.5%", Memory(2.5, absolute=False)),
        ("512B", Memory(512.0, absolute=True)),
        ("250m", Memory(250 * 1024.0**2, absolute=True)),
        ("1.5 G", Memory(1.5 * 1024**3, absolute=True)),
    ],
)
def test_memory_is_percent_or_a_size(text: str, value: Memory) -> None:
    assert OptionSpec("m", "memory", doc="memory").read(text) == value


@pytest.mark.parametrize("text", ["", "-1", "much", "10X", "1e3", "10MB", "²"])
def test_other_texts_are_no_memory(text: str) -> None:
    with pytest.raises(ValueError, match="accepted: percent such as 90, or a size such as 250M"):
        OptionSpec("m", "memory", doc="memory").read(text)


def test_a_regular_expression_is_tried() -> None:
    spec = OptionSpec("r", "regex", doc="which")
    assert spec.read(r"web-\d+") == r"web-\d+"
    with pytest.raises(ValueError, match=r"'\(' is no regular expression: .*; accepted: one as Python writes them"):
        spec.read("(")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: PluginSpec("two words", "m:a", doc="d"), "no name of a plugin"),
        (lambda: PluginSpec("p", "m.a", doc="d"), "no path; write it as package.module:attribute"),
        (lambda: HookSpec("h", "m:a"), "doc is empty"),
        (lambda: OptionSpec("o", "integr", doc="d"), "is no type; accepted: .*; did you mean 'integer'"),
        (lambda: PluginSpec("p", "m:a", options=("o",), doc="d"), "'o' is no OptionSpec"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_shows_where_its_author_made_it(make, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()
