from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.config import ini
from circus.config.faults import Report


def parse(text: str) -> tuple[dict[str, dict[str, str]], Report, dict]:
    report = Report()
    lines, places = ini.normalise(text, "x.ini", report)
    content = ini._parse(lines)
    return {section: content[section].dict() for section in content.sections}, report, places


# Whatever may stand in a value: no line ends, no blanks around it, no comment, and not both kinds of triple quotes.
_line = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\r"), max_size=40)
_value = (
    _line.map(str.strip)
    .filter(lambda text: ";" not in text and text != '""')
    .filter(lambda text: not ("'''" in text and '"""' in text))
)
_name = st.text(
    st.characters(whitelist_categories=("L", "N"), whitelist_characters="_.-\"#' "), min_size=1, max_size=12
)
_key = (
    _name.map(str.strip)
    .filter(lambda k: k and k[0] not in "#;[" and k.split()[0].lower() != "rem")
    .filter(lambda k: not ('"' in k and "'" in k))
)


@given(st.dictionaries(_key, _value, min_size=1), _name.map(str.strip).filter(bool))
def test_every_value_comes_back_as_it_was_written(options: dict[str, str], name: str) -> None:
    if '"' in name and "'" in name:
        return
    text = f"[watcher:{name}]\n" + "\n".join(f"{key} = {value}" for key, value in options.items())
    sections, report, places = parse(text)
    assert report.faults == []
    assert sections == {f"watcher:{name}": options}
    for number, key in enumerate(options, 2):
        assert places[f"watcher:{name}", key].line == number


@given(st.lists(_value.filter(bool), min_size=1, max_size=5))
def test_continued_values_come_back_as_lines(lines: list[str]) -> None:
    if "'''" in "".join(lines) and '"""' in "".join(lines):
        return
    sections, report, _ = parse("[a]\nkey = " + "\n  ".join(lines) + "\nnext=1")
    assert report.faults == []
    assert sections == {"a": {"key": "\n".join(lines), "next": "1"}}


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=300))
def test_no_text_whatever_breaks_the_reader(text: str) -> None:
    sections, report, _ = parse(text)
    assert all(fault.line >= 1 for fault in report.faults)
    assert all(isinstance(value, str) for options in sections.values() for value in options.values())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("value", "value"),
        ("a ; b", "a"),
        ("a;b", "a;b"),
        ("; all", "; all"),
        ('""', ""),
        ("''", "''"),
        ('"quoted"', '"quoted"'),
        ("x=y", "x=y"),
        ('it\'s # "fine"', 'it\'s # "fine"'),
        ("a, b, c", "a, b, c"),
        ("%Y %(x)s $HOME", "%Y %(x)s $HOME"),
        ('"""doc"""', '"""doc"""'),
        ("'''", "'''"),
        ("\\n", "\\n"),
    ],
)
def test_value(written: str, read: str) -> None:
    sections, report, _ = parse(f"[s]\nkey = {written}\n")
    assert sections == {"s": {"key": read}}
    assert report.faults == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[a]\njust text\nb = 1", 2, "is not an option"),
        ("a = 1\n[a]\nb = 1", 1, "before the first section"),
        ("[a]\nb = 1\n[c\nd = 2", 3, "is not a section"),
        ("[a]\n  b = 1", 2, "is not an option"),
        ("[a]\n= 1", 2, "is not an option"),
        ("[]\na = 1", 1, "is not a section"),
        ("[a]\nb = \"\"\" '''", 2, "both"),
    ],
)
def test_each_bad_line_is_one_fault(text: str, line: int, words: str) -> None:
    _, report, _ = parse(text)
    assert [fault.line for fault in report.faults] == [line]
    assert words in report.faults[0].message
    assert "accepted:" in report.faults[0].message


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "dos.ini"
    path.write_bytes(b"\xef\xbb\xbf[watcher:a]\r\ncmd = a\r\n  b\r\n")
    document = ini.read(str(path), Report())
    assert document.text["watcher:a"] == {"cmd": "a\nb"}


def test_missing_unreadable_and_binary_files_are_faults(tmp_path: Path) -> None:
    binary = tmp_path / "binary.ini"
    binary.write_bytes(b"[a]\nb = \xff\xfe")
    for path in (tmp_path / "missing.ini", tmp_path, binary):
        report = Report()
        ini.read(str(path), report)
        assert [(fault.file, fault.line) for fault in report.faults] == [(str(path), 0)]
        assert str(report.faults[0]).startswith(f"{path}: ")


def test_places_name_the_included_file(tmp_path: Path) -> None:
    (tmp_path / "main.ini").write_text("[circus]\ninclude = more.ini\n[watcher:a]\ncmd = a\n")
    (tmp_path / "more.ini").write_text("\n[watcher:a]\ncmd = b\nargs = c\n")
    document = ini.read(str(tmp_path / "main.ini"), Report())
    assert document.place("watcher:a", "cmd") == (str(tmp_path / "main.ini"), 4)
    assert document.place("watcher:a", "args") == (str(tmp_path / "more.ini"), 4)
    assert document.place("watcher:a", "absent") == (str(tmp_path / "main.ini"), 3)


def test_a_cycle_of_includes_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[circus]\ninclude = b.ini\n")
    (tmp_path / "b.ini").write_text("[circus]\ninclude = a.ini\n[watcher:b]\ncmd = b\n")
    report = Report()
    document = ini.read(str(tmp_path / "a.ini"), report)
    assert [(fault.file, fault.line) for fault in report.faults] == [(str(tmp_path / "b.ini"), 2)]
    assert "includes itself" in report.faults[0].message
    assert "watcher:b" in document.text


def test_a_file_that_two_patterns_match_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "main.ini").write_text("[circus]\ninclude = a.* *.part\n")
    (tmp_path / "a.part").write_text("[circus]\ninclude_dir = nowhere\n[watcher:a]\ncmd = a\n")
    report = Report()
    ini.read(str(tmp_path / "main.ini"), report)
    assert [Path(file).name for file in report.files] == ["main.ini", "a.part"]
    assert len(report.warnings) == 1


def test_includes_are_sorted_by_name_and_know_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUS_TEST_CONF", "conf")
    folder = tmp_path / "conf"
    folder.mkdir()
    for name in ("c", "a", "b"):
        (folder / f"{name}.ini").write_text(f"[watcher:w]\ncmd = {name}\n[watcher:{name}]\ncmd = {name}\n")
    (tmp_path / "main.ini").write_text("[circus]\ninclude = $(circus.env.circus_test_conf)/*.ini\n")
    report = Report()
    document = ini.read(str(tmp_path / "main.ini"), report)
    assert [Path(file).name for file in report.files] == ["main.ini", "a.ini", "b.ini", "c.ini"]
    assert document.text["watcher:w"]["cmd"] == "a"
