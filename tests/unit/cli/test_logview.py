"""How output is shown: of one process as it is, of several in whole lines."""

from __future__ import annotations

import json

from circus.cli.joining import Dead, Delivery, End, Piece, Process, Skipped
from circus.cli.logview import View, skipped_text

WEB = Process("web", 1, 100, 5.0)
NEW_WEB = Process("web", 1, 101, 6.0)
SECOND = Process("web", 2, 102, 5.0)
DB = Process("database", 1, 103, 5.0)


def out(view: View, *deliveries: Delivery) -> bytes:
    return b"".join(map(view.show, deliveries))


def several(**options: bool) -> View:
    view = View(**options)
    for process in (WEB, SECOND, DB):
        assert view.expect(process) == b""
    return view


def test_one_process_passes_into_a_pipe_as_it_is() -> None:
    data = b"\x1b]0;x\x07 50%\r\xff\x00 no end"
    view = View()
    assert out(view, Piece(WEB, "stdout", data), Piece(WEB, "stderr", b"!")) == data + b"!"
    assert view.close() == b""


def test_what_follows_another_process_begins_a_line() -> None:
    view = View()
    assert out(view, Piece(WEB, "stdout", b"fatal"), Piece(NEW_WEB, "stdout", b"hello\n")) == b"fatal\nhello\n"
    assert out(view, Piece(NEW_WEB, "stdout", b"cut"), Skipped(NEW_WEB, 5)) == b"cut\n"
    assert out(view, Piece(NEW_WEB, "stdout", b"last"), Dead(NEW_WEB)) == b"last\n"


def test_several_processes_have_lines_of_their_own() -> None:
    view = several()
    assert (
        out(view, Piece(WEB, "stdout", b"one\ntw"), Piece(DB, "stderr", b"oh\n")) == b"web.1 | one\ndatabase.1 ! oh\n"
    )
    assert (
        out(view, Piece(SECOND, "stdout", b"\xff\n"), Piece(WEB, "stdout", b"o\nth")) == b"web.2 | \xff\nweb.1 | two\n"
    )
    assert out(view, End(WEB, "stderr"), End(WEB, "stdout"), Piece(DB, "stdout", b"x")) == b"web.1 | th\n"
    assert view.close() == b"database.1 | x\n"


def test_a_second_process_that_comes_later_ends_the_line() -> None:
    view = View()
    assert out(view, Piece(WEB, "stdout", b"as it is\nhalf")) == b"as it is\nhalf"
    assert (
        out(view, Piece(DB, "stdout", b"new\n"), Piece(WEB, "stdout", b" more\n"))
        == b"\ndatabase.1 | new\nweb.1 |  more\n"
    )


def test_a_line_that_does_not_end_is_not_held_for_ever() -> None:
    view = several()
    long = b"x" * (64 << 10)
    assert out(view, Piece(WEB, "stdout", long), Piece(WEB, "stdout", b"y\n")) == b"web.1 | " + long + b"\nweb.1 | y\n"


def test_skipping_ends_the_lines_of_that_process() -> None:
    view = several()
    pieces = [Piece(WEB, "stdout", b"cut"), Piece(DB, "stdout", b"wh"), Skipped(WEB, 9), Piece(DB, "stdout", b"ole\n")]
    assert out(view, *pieces) == b"web.1 | cut\ndatabase.1 | whole\n"


def test_a_terminal_shows_colours_alone_and_pads() -> None:
    view = several(terminal=True)
    line = Piece(WEB, "stdout", b"\x1b[31mred\x1b]0;x\x07\r\n")
    assert out(view, line) == b"web.1      | \x1b[31mred^[]0;x^G\x1b[0m\n"


def test_each_watcher_has_a_colour() -> None:
    view = several(terminal=True, coloured=True)
    assert out(view, Piece(WEB, "stdout", b"a\n"), Piece(SECOND, "stdout", b"b\n"), Piece(DB, "stderr", b"c\n")) == (
        b"\x1b[36mweb.1     \x1b[0m \x1b[36m|\x1b[0m a\n"
        b"\x1b[36mweb.2     \x1b[0m \x1b[36m|\x1b[0m b\n"
        b"\x1b[32mdatabase.1\x1b[0m \x1b[31m!\x1b[0m c\n"
    )


def test_one_watcher_needs_no_colour() -> None:
    view = View(terminal=True, coloured=True)
    view.expect(WEB)
    view.expect(SECOND)
    assert (
        out(view, Piece(WEB, "stdout", b"a\n"), Piece(WEB, "stderr", b"b\n"))
        == b"web.1 | a\nweb.1 \x1b[31m!\x1b[0m b\n"
    )


def test_one_process_on_a_terminal() -> None:
    view = View(terminal=True, coloured=True)
    assert out(view, Piece(WEB, "stdout", b"50%\r100%")) == b"50%\r100%"
    assert out(view, Piece(WEB, "stderr", b" oh\nno")) == b"\x1b[31m oh\x1b[0m\n\x1b[31mno\x1b[0m"
    assert out(view, Piece(WEB, "stderr", b"\x1b[33mown")) == b"\x1b[33mown"
    assert view.close() == b"\x1b[0m\n"
    assert out(view, Piece(WEB, "stderr", b"\x1b")) == b""
    assert view.close() == b"^[\n"


def test_lines_as_objects() -> None:
    view = View(as_json=True)
    shown = out(view, Piece(WEB, "stdout", b"a\xff\nrest"), End(WEB, "stdout"))
    assert [json.loads(line) for line in shown.splitlines()] == [
        {"watcher": "web", "wid": 1, "pid": 100, "stream": "stdout", "text": text} for text in ("a\udcff", "rest")
    ]


def test_the_size_of_what_is_missing_can_be_read() -> None:
    assert skipped_text(Skipped(WEB, 12345)) == "(12,345 bytes of web.1 were skipped)"
    assert skipped_text(Skipped(WEB, 1)) == "(1 byte of web.1 was skipped)"
