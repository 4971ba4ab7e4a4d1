"""Whether output can go where streams say, and what their options may be."""

from __future__ import annotations

import os
import pwd
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.config import check
from circus.config.loader import load
from circus.config.places import place_problems, require_places
from circus.config.schema import WatcherSettings
from circus.config.streams import for_programs
from circus.exc import ConfigError, MessageError

Write = Callable[..., str]
WATCHER = "[watcher:w]\ncmd = w\n"


def stream(**options: str) -> str:
    """The options of a stdout_stream; the class is written ``kind``."""
    options = {"class": options.pop("kind", "FileStream"), **options}
    return WATCHER + "".join(f"stdout_stream.{name} = {value}\n" for name, value in options.items())


@pytest.mark.parametrize(
    ("text", "option", "words"),
    [
        (stream(kind="FileStrem"), "stdout_stream.class", ["no stream 'FileStrem'", "did you mean 'FileStream'"]),
        (stream(), "stdout_stream.class", ["FileStream needs filename", "stdout_stream.filename = the file"]),
        (stream(kind="WatchedFileStream", filename='""'), "stdout_stream.class", ["needs filename"]),
        (stream(filename="x", owner="nobody-here"), "stdout_stream.owner", ["no user 'nobody-here'"]),
        (stream(filename="x", owner="root:none-here"), "stdout_stream.owner", ["no group 'none-here'"]),
        (stream(filename="x", mode="rw-r"), "stdout_stream.mode", ["not a file's mode", "octal number from 0 to 7777"]),
        (stream(filename="x", mode="900"), "stdout_stream.mode", ["not a file's mode"]),
        (stream(filename="x", max_bytes="1M"), "stdout_stream.max_bytes", ["not a whole number"]),
        (
            stream(kind="TimedRotatingFileStream", filename="x", rotate_when="W7"),
            "stdout_stream.rotate_when",
            ["'W7' is unknown", "W6, midnight"],
        ),
        (stream(kind="syslog", facility="locl0"), "stdout_stream.facility", ["'locl0'", "did you mean 'local0'"]),
        (stream(kind="syslog", address="loghost"), "stdout_stream.address", ["no address", "HOST:PORT"]),
        (stream(kind="QueueStream"), "stdout_stream.class", ["is for programs", "accepted: FileStream, "]),
        (stream(kind="stdout"), "stdout_stream.class", ["stdout is for stderr_stream alone", "accepted: FileStream"]),
        (
            WATCHER + "stderr_stream.class = stdout\n",
            "stderr_stream.class",
            ["there is no stdout_stream", "accepted: stdout_stream.class beside it"],
        ),
        (
            WATCHER + "close_child_stdout = yes\nstdout_stream.class = StdoutStream\nstderr_stream.class = stdout\n",
            "stderr_stream.class",
            ["as that is closed", "accepted: close_child_stderr = True"],
        ),
        (WATCHER + "stderr_stream.max_bytes = 3\n", "stderr_stream.max_bytes", ["the stream has no class"]),
    ],
)
def test_fault_of_an_option(write: Write, text: str, option: str, words: list[str]) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as raised:
        load(path)
    (fault,) = raised.value.faults
    assert (fault.section, fault.option) == ("watcher:w", option)  # type: ignore[attr-defined]
    assert "accepted: " in fault.message  # type: ignore[attr-defined]
    assert all(word in fault.message for word in words), fault.message  # type: ignore[attr-defined]
    assert str(raised.value).startswith(f"{path}:")


def place_fault(write: Write, text: str) -> tuple[str, str]:
    ((fault,), warnings) = check(write(text))
    assert warnings == []
    assert "accepted: " in fault.message
    return fault.option, fault.message


def test_a_folder_that_is_missing(write: Write, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "file").touch()
    option, message = place_fault(write, stream(filename=f"{tmp_path}/lgos/$(circus.wid)/x.log"))
    assert option == "stdout_stream.filename"
    assert f"there is no folder {tmp_path}/lgos/1;" in message
    assert "did you mean 'logs'" in message
    assert f"{tmp_path}/file is no folder" in place_fault(write, stream(filename=f"{tmp_path}/file/x.log"))[1]
    assert f"{tmp_path}/file is no folder" in place_fault(write, stream(filename=f"{tmp_path}/file/more/x.log"))[1]
    assert "is a folder" in place_fault(write, stream(kind="JSONStream", filename=f"{tmp_path}/logs"))[1]
    load(write(stream(filename=f"{tmp_path}/lgos/x.log")))  # such as on another machine


def test_variables_count(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "w-1"
    folder.mkdir()
    name = "$(circus.env.HERE)/$(circus.name)-((circus.wid))/x"
    assert check(write(f"[env]\nHERE = {tmp_path}\n{stream(filename=name)}")) == ([], [])
    assert check(write(stream(filename="/nowhere/$(circus.sockets.web)/x")))[0] == [], "known when a process starts"


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody can look into."""
    with tempfile.TemporaryDirectory(prefix="circus-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def as_nobody(public: Path) -> Iterator[Callable[..., list[tuple[str, str]]]]:
    """Tell faults and warnings of a stream as a user who may do little finds them."""

    def found(kind: str, file: str, **options: str) -> list[tuple[str, str]]:
        given = {"class": kind, "filename": f"{public}/{file}", **options}
        problems = place_problems(WatcherSettings(name="w", cmd="w", stdout_stream=given), "stdout_stream")
        return [(f"{option} {'fault' if is_fault else 'warning'}", text) for option, text, is_fault in problems]

    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    yield found
    os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files that another user may not write to")
def test_a_folder_or_file_without_permission(public: Path, request: pytest.FixtureRequest) -> None:
    (public / "theirs").touch()
    (public / "open").touch()
    (public / "open").chmod(0o666)
    find = request.getfixturevalue("as_nobody")
    ((what, text),) = find("FileStream", "new")
    assert what == "stdout_stream.filename fault"
    assert text.startswith(f"the user nobody may not create files in {public}; accepted: ")
    ((what, text),) = find("FileStream", "theirs")
    assert what == "stdout_stream.filename fault"
    assert text.startswith(f"the user nobody may not write to {public}/theirs; accepted: ")
    assert find("FileStream", "open", max_bytes="0") == []
    for options in ({"kind": "TimedRotatingFileStream"}, {"kind": "FileStream", "max_bytes": "9"}):
        ((what, text),) = find(file="open", **options)
        assert what == "stdout_stream.filename warning"
        assert "may not create files" in text
    ((what, text),) = find("FileStream", "open", owner="root")
    assert what == "stdout_stream.owner fault"
    assert "may not give files to root, only root may" in text
    assert find("FileStream", "open", owner="nobody") == []


@pytest.mark.parametrize("kind", ["syslog", "journald"])
def test_no_service(write: Write, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "socket"
    option, message = place_fault(write, stream(kind=kind, address=str(path)))
    assert option == "stdout_stream.address"
    assert f"there is no {kind} at {path}: No such file or directory; accepted: the path of a socket" in message
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(path))
        assert check(write(stream(kind=kind, address=str(path)))) == ([], [])
    assert "Connection refused" in place_fault(write, stream(kind=kind, address=str(path)))[1]


def test_another_machine_is_not_asked(write: Write) -> None:
    assert check(write(stream(kind="syslog", address="nowhere.invalid:514"))) == ([], [])


def test_streams_that_differ_write_to_one_file(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "x"
    first = f"[watcher:a]\ncmd = a\nstdout_stream.filename = {file}\nstdout_stream.max_bytes = 9\n"
    same = first.replace("watcher:a", "watcher:b").replace(str(file), f"{tmp_path}/./x")
    same += "stdout_stream.backup_count = 0\nstdout_stream.class = circus.stream:FileStream\n"
    assert check(write(first + same)) == ([], [])
    assert (
        check(write((first + same.replace("= 9", "= 10")).replace(str(tmp_path), "/dev").replace("/x", "/null")))[1]
        == []
    )
    other = same.replace("= 9", "= 10") + "stderr_stream.class = stdout\n"
    faults, (warning,) = check(write(first + other))
    assert faults == []
    assert (warning.section, warning.option) == ("watcher:b", "stdout_stream.filename")
    assert f"[watcher:a] stdout_stream writes to {file} too, with another max_bytes; accepted: " in warning.message
    (fault,), _ = check(write(first + other), strict=True)
    assert fault.message == warning.message


def test_stderr_goes_where_stdout_does(write: Write, tmp_path: Path) -> None:
    text = stream(filename=f"{tmp_path}/x") + "stderr_stream.class = stdout\n"
    assert check(write(text), strict=True) == ([], [])


def test_commands_are_refused() -> None:
    options: dict[str, Any] = {"stdout_stream": {"filename": "/nowhere/x"}}
    settings = WatcherSettings.from_options("w", "w", options)
    with pytest.raises(MessageError, match=r"'stdout_stream.filename': there is no folder /nowhere; accepted: "):
        require_places(settings, options)
    require_places(settings, ["numprocesses"])  # what was there before is not looked at
    for options, words in (
        ({"stderr_stream": {"class": "stdout"}}, "stderr cannot go where stdout does"),
        ({"stdout_stream.class": "stdout"}, "stdout is for stderr_stream alone"),
    ):
        with pytest.raises(MessageError, match=words):
            WatcherSettings.from_options("w", "w", options)


def test_a_queue_is_for_programs() -> None:
    settings = WatcherSettings.from_options("w", "w", {"stderr_stream": {"class": "circus.stream:QueueStream"}})
    assert not list(for_programs("stdout_stream", {"class": "./mine.py:QueueStream"}))
    assert not list(for_programs("stdout_stream", {"class": "mine.QueueStream"}))
    with pytest.raises(MessageError, match=r"'stderr_stream.class': QueueStream is for programs"):
        require_places(settings, ["stderr_stream.class"])
