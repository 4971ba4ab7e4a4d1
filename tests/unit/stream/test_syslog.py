"""Output in syslog, by real sockets that stand for it."""

from __future__ import annotations

import errno
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from circus.stream import Loss, Source, SyslogStream, syslog
from circus.stream.base import HELD_BACK, PROMPTLY, SLOWLY
from circus.stream.syslog import SyslogStream as Stream
from tests.support import wait_until

OUT = Source("web", 1, 42, "stdout")
ERR = Source("web", 1, 42, "stderr")


class Server:
    """What listens at a path, as /dev/log does."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.start()

    def start(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self.path)

    def stop(self) -> None:
        self.socket.close()
        Path(self.path).unlink(missing_ok=True)

    def messages(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(1 << 18))
            except BlockingIOError:
                return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "log")
    yield server
    server.stop()


def opened(address: str, **options: str) -> Stream:
    stream = SyslogStream(address, **options)
    stream.open()
    return stream


def test_each_line_is_a_message(server: Server) -> None:
    stream = opened(server.path)
    stream.write(OUT, b"one\n\xff two\n")
    stream.write(ERR, memoryview(b"three"))
    assert not stream.flush()
    stream.close()
    first, second, third = server.messages()
    assert re.fullmatch(rb"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d web\[42\]: one", first)
    assert second.endswith(b": \xff two")
    assert third.startswith(b"<27>")
    assert third.endswith(b": three")


def test_facility_and_ident(server: Server) -> None:
    stream = opened(server.path, facility="LOCAL7", ident="my app: [x]")
    stream.write(OUT, b"one\n")
    stream.close()
    (message,) = server.messages()
    assert re.fullmatch(rb"<190>.{15} my_app___x_\[42\]: one", message)


def test_a_long_line_goes_in_pieces_that_cut_no_character(server: Server) -> None:
    stream = opened(server.path)
    text = "äö€😀" * 5000
    stream.write(OUT, text.encode() + b"\nshort\n")
    messages = []
    while stream.flush() or len(messages) < 3:
        messages += server.messages()
    messages += server.messages()
    stream.close()
    texts = [message.partition(b": ")[2].decode() for message in messages]
    assert "".join(texts[:-1]) == text
    assert texts[-1] == "short"
    assert all(len(message) <= 8192 for message in messages)


def test_nothing_waits_for_a_slow_service(server: Server) -> None:
    stream = opened(server.path)
    for number in range(500):
        stream.write(OUT, b"%d\n" % number)
    assert stream.flush()
    received = [server.socket.recv(1 << 16)]
    stream.write(OUT, b"500\n")  # there is room now, but not for this one

    def all_there() -> bool:
        received.extend(server.messages())
        return not stream.flush()

    wait_until(all_there)
    received += server.messages()
    assert [int(message.rpartition(b" ")[2]) for message in received] == list(range(501))
    assert stream.take_losses() == {}
    stream.close()


def test_what_is_too_much_is_dropped_and_counted(server: Server) -> None:
    stream = opened(server.path)
    line = b"x" * 999 + b"\n"
    for _ in range(2000):
        stream.write(OUT, line)
    received: list[bytes] = []

    def all_there() -> bool:
        received.extend(server.messages())
        return not stream.flush()

    wait_until(all_there)
    received += server.messages()
    (loss,) = stream.take_losses().values()
    assert loss.lines + len(received) == 2000
    assert loss.bytes == loss.lines * len(line)
    assert "slow" in loss.reason
    assert len(received) * 1100 > HELD_BACK
    stream.close()


def test_a_service_that_restarts_gets_what_came_meanwhile(server: Server) -> None:
    stream = opened(server.path)
    server.stop()
    stream.write(OUT, b"one\n")
    assert stream.flush()
    server.start()
    assert not stream.flush()
    stream.write(OUT, b"two\n")
    stream.close()
    assert [message[-3:] for message in server.messages()] == [b"one", b"two"]


def test_a_service_that_takes_nothing_is_asked_less_and_less_often(server: Server) -> None:
    stream = opened(server.path)
    server.stop()
    stream.write(OUT, b"one\n")
    waits = [stream.flush() for _ in range(10)]
    assert waits[:3] == [PROMPTLY, 2 * PROMPTLY, 4 * PROMPTLY]
    assert waits[-1] == SLOWLY
    server.start()
    assert stream.flush() == 0
    server.stop()
    stream.write(OUT, b"two\n")
    assert stream.flush() == PROMPTLY
    stream.close()


def test_what_is_still_held_back_at_the_end_is_counted_as_lost(server: Server) -> None:
    stream = opened(server.path)
    server.stop()
    stream.write(OUT, b"one\ntwo\n")
    stream.write(ERR, b"three\n")
    stream.close()
    gone = "the log service is gone: No such file or directory"
    assert stream.take_losses() == {OUT: Loss(8, 2, gone), ERR: Loss(6, 1, gone)}


def test_no_syslog_is_an_error_at_the_start(tmp_path: Path, server: Server) -> None:
    with pytest.raises(FileNotFoundError, match="there is no syslog") as raised:
        opened(str(tmp_path / "nothing"))
    assert raised.value.filename == str(tmp_path / "nothing")
    server.socket.close()
    with pytest.raises(OSError, match="there is no syslog"):
        opened(server.path)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_another_machine(family: socket.AddressFamily, host: str) -> None:
    try:
        probe = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        pytest.skip(f"this machine has no {family.name}")
    with probe as receiver:
        receiver.bind((host, 0))
        receiver.settimeout(20)
        stream = opened(f"{f'[{host}]' if ':' in host else host}:{receiver.getsockname()[1]}")
        stream.write(OUT, b"one\n" + b"x" * 3000 + b"\n")
        wait_until(lambda: not stream.flush())
        messages = [receiver.recv(1 << 16) for _ in range(3)]
        stream.close()
    name = socket.gethostname().partition(".")[0].encode()
    assert re.fullmatch(rb"<30>.{15} " + re.escape(name) + rb" web\[42\]: one", messages[0])
    assert len(messages[1]) == 2048


def test_a_host_that_is_not_found_is_an_error_of_each_write(monkeypatch: pytest.MonkeyPatch) -> None:
    known = False

    def lookup(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, 0, 0, "", receiver.getsockname())]

    monkeypatch.setattr(syslog.socket, "getaddrinfo", lookup)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        stream = opened("nowhere.invalid:514")

        def refused() -> bool:
            try:
                stream.write(OUT, b"one\n")
            except OSError as error:
                assert "the host of syslog is not found: Name or service not known" in str(error)
                return True
            return False

        wait_until(refused)
        known = True
        monkeypatch.setattr(syslog.time, "monotonic", lambda: later)
        later = time.perf_counter() + 1e9

        def written() -> bool:
            try:
                stream.write(OUT, b"two\n")
            except OSError:
                return False
            return not stream.flush()

        wait_until(written)
        texts = [receiver.recv(1 << 16)]
        stream.close()
    assert b"web[42]: " in texts[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "loghost"}, "no address of syslog; accepted: the whole path of a socket, or HOST:PORT"),
        ({"address": "loghost:0"}, "no address"),
        ({"address": ":514"}, "no address"),
        ({"facility": "locl0"}, "'locl0' is unknown; accepted: .*did you mean 'local0'"),
    ],
)
def test_wrong_options(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SyslogStream(**options)


def test_a_message_that_cannot_be_sent_is_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog, "_LOCAL_LIMIT", 1 << 20)
    stream = opened(server.path)
    with pytest.raises(OSError) as raised:
        stream.write(OUT, b"x" * (1 << 20))
    assert raised.value.errno == errno.EMSGSIZE
    stream.write(OUT, b"one\n")
    stream.close()
    assert len(server.messages()) == 1
