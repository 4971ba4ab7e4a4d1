"""Joining what was kept with what comes: each byte once and in order, and what is missing is counted."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from circus.cli.joining import Dead, Delivery, End, Joiner, Piece, Process, Skipped

WEB = Process("web", 1, 100, 5.0)


def piece(offset: int, text: str, stream: str = "stdout", process: Process = WEB, **more: Any) -> dict[str, Any]:
    return {**process._asdict(), "stream": stream, "offset": offset, "data": text, **more}


def reply(*pieces: tuple[int, str], offset: int, boot: str = "a", alive: bool = True) -> dict[str, Any]:
    told = [{"stream": "stdout", "offset": begin, "data": text} for begin, text in pieces]
    return {"boot": boot, "logs": [{**WEB._asdict(), "alive": alive, "offset": offset, "pieces": told}]}


def shown(deliveries: list[Delivery]) -> list[bytes | int | str]:
    def one(delivery: Delivery) -> bytes | int | str:
        match delivery:
            case Piece(data=data):
                return data
            case Skipped(size=size):
                return size
        return type(delivery).__name__

    return [one(delivery) for delivery in deliveries]


def test_the_first_reply_is_the_beginning() -> None:
    joiner = Joiner()
    assert shown(joiner.reply(reply((50, "b\n"), (60, "d\n"), offset=62), live=False)) == [b"b\n", b"d\n"]
    assert joiner.take(piece(62, "held\n")) == []
    assert shown(joiner.reply(reply((60, "d\n"), (62, "hel"), offset=65), live=True)) == [b"hel", b"d\n"]
    assert shown(joiner.take(piece(67, "next"))) == [b"next"]
    assert shown(joiner.take(piece(80, "later"))) == [9, b"later"]
    assert shown(joiner.take(piece(90, "", end=True))) == [5, "End"]
    assert joiner.take(piece(70, "old")) == []


def test_a_process_that_begins_is_shown_from_its_beginning() -> None:
    joiner = Joiner()
    joiner.reply({"boot": "a", "logs": []}, live=True)
    other = WEB._replace(started=6.0)
    assert shown(joiner.take(piece(0, "first"))) == [b"first"]
    assert shown(joiner.take(piece(0, "another with the same number", process=other))) == [
        b"another with the same number"
    ]


def test_a_lost_connection_is_made_up_for() -> None:
    joiner = Joiner()
    joiner.reply(reply(offset=10), live=True)
    joiner.lost()
    assert joiner.take(piece(90, "too early")) == []
    assert shown(joiner.reply(reply((30, "kept\n"), offset=35), live=True)) == [20, b"kept\n", 55, b"too early"]


def test_another_daemon_has_other_processes() -> None:
    joiner = Joiner()
    joiner.reply(reply((0, "before"), offset=6), live=True)
    joiner.lost()
    assert shown(joiner.reply(reply((0, "after"), offset=5, boot="b", alive=False), live=True)) == [b"after", "Dead"]
    assert joiner.boot == "b"


def test_the_dead_are_told_of_where_they_are_shown() -> None:
    joiner = Joiner()
    assert joiner.reply(reply((0, "x"), offset=1, alive=False), live=False)[-1] == Dead(WEB)
    assert joiner.reply(reply((0, "x"), offset=1, alive=False), live=True) == []


def test_without_following_nothing_more_comes() -> None:
    joiner = Joiner(last=True)
    assert shown(joiner.reply(reply((0, "x"), offset=1), live=False)) == [b"x", "End", "End"]


def test_bytes_come_as_they_were() -> None:
    joiner = Joiner()
    joiner.reply({"boot": "a", "logs": []}, live=True)
    assert joiner.take(piece(0, "caf\u00e9 \udcff")) == [Piece(WEB, "stdout", b"caf\xc3\xa9 \xff")]
    assert shown(joiner.take(piece(7, "\udcc3"))) == [b"\xc3"]
    assert joiner.take(piece(8, "", end=True, stream="stderr")) == [End(WEB, "stderr")]


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=30),
    st.lists(st.sampled_from(["take", "lose", "reply", "reconnect"]), min_size=30, max_size=30),
    st.integers(0, 40),
)
def test_whatever_is_lost_each_byte_is_there_once_or_counted(sizes: list[int], fates: list[str], kept: int) -> None:
    """A process writes; messages arrive or not, connections break, and replies tell the last ``kept`` bytes."""
    written = b""
    joiner = Joiner()
    deliveries = joiner.reply(reply(offset=0), live=True)

    def tell() -> list[Delivery]:
        begin = max(0, len(written) - kept)
        return joiner.reply(reply((begin, written[begin:].decode()), offset=len(written)), live=True)

    for size, fate in zip(sizes, fates, strict=False):
        data = bytes(97 + (len(written) + number) % 26 for number in range(size))
        message = piece(len(written), data.decode())
        written += data
        if fate == "reconnect":
            joiner.lost()
        if fate in ("take", "reconnect"):
            deliveries += joiner.take(message)
        if fate in ("reply", "reconnect"):
            deliveries += tell()
    deliveries += tell()
    at = 0
    for delivery in deliveries:
        if isinstance(delivery, Piece):
            assert written[at : at + len(delivery.data)] == delivery.data
            at += len(delivery.data)
        elif isinstance(delivery, Skipped):
            at += delivery.size
    assert at == len(written)
