from __future__ import annotations

import json
import logging
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from circus.cli import logs
from circus.cli.logs import configure
from circus.exc import CircusError

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d circus\[(\d+)\] \[([A-Z]+)\] (.*)\n")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Leave logging as pytest has set it up."""
    root, circus = logging.getLogger(), logging.getLogger("circus")
    before = root.handlers[:], root.level, circus.handlers[:], circus.level, circus.propagate
    yield
    for handler in root.handlers + circus.handlers:
        if handler not in before[0] + before[2]:
            handler.close()
    root.handlers[:], root.level, circus.handlers[:], circus.level, circus.propagate = before
    logs._installed.clear()


def refusal(level: str = "INFO", output: str = "-", config_file: str | None = None) -> str:
    with pytest.raises(CircusError) as caught:
        configure(level, output, config_file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_line(capfd: pytest.CaptureFixture[str]) -> None:
    configure("info").info("web ü %s", "started")
    out, err = capfd.readouterr()
    match = LINE.fullmatch(err)
    assert out == ""
    assert match
    assert match.groups() == (str(os.getpid()), "INFO", "web ü started")


@pytest.mark.parametrize("level", ["warning", "WARNING", "Warning"])
def test_levels(level: str, capfd: pytest.CaptureFixture[str]) -> None:
    logger = configure(level)
    logger.info("not this")
    logger.warning("but this")
    logger.getChild("child").error("and this")
    assert [match[1] for match in LINE.findall(capfd.readouterr().err)] == ["WARNING", "ERROR"]


def test_what_asyncio_has_to_say_gets_the_same_form(capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert LINE.fullmatch(capfd.readouterr().err)


def test_a_later_call_replaces_an_earlier_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    configure("info", str(tmp_path / "log")).info("here")
    assert capfd.readouterr().err == ""
    assert LINE.fullmatch((tmp_path / "log").read_text())


def test_a_file_that_was_moved_or_removed_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("older\n")
    logger = configure("info", str(path))
    logger.info("one")
    path.rename(tmp_path / "log.1")
    logger.info("two")
    path.unlink()
    logger.info("three")
    assert (tmp_path / "log.1").read_text().startswith("older\n")
    assert (tmp_path / "log.1").read_text().endswith("one\n")
    assert path.read_text().endswith("three\n")
    assert path.read_text().count("\n") == 1


def test_a_folder_that_comes_and_goes_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    logger = configure("info", str(folder / "log"))
    folder.rename(tmp_path / "away")
    logger.info("lost")
    logger.info("lost")
    folder.mkdir()
    logger.info("back")
    lines = LINE.findall((folder / "log").read_text())
    assert [(level, text) for _, level, text in lines] == [
        ("WARNING", "2 lines of this log could not be written and are lost"),
        ("INFO", "back"),
    ]


def test_a_full_disk_is_survived(capfd: pytest.CaptureFixture[str]) -> None:
    logger = configure("info", "/dev/full")
    logger.info("nowhere")
    assert capfd.readouterr().err == ""


def test_a_reader_who_does_not_read_stops_nothing() -> None:
    code = """
import os, sys
from circus.cli.logs import configure
logger = configure()
for number in range(5000):
    logger.info("%d %s", number, "x" * 100)
print("alive", flush=True)
sys.stdin.readline()
logger.info("last")
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "alive\n"
        read = 0
        while read < 4000:  # make room
            read += len(process.stderr.readline())
        _, rest = process.communicate("\n", timeout=30)
    assert process.returncode == 0
    assert re.search(r"\[WARNING\] \d+ lines of this log could not be written and are lost\n.*last\n$", rest)


def test_a_closed_standard_error_stops_nothing() -> None:
    code = "import os; os.close(2); from circus.cli.logs import configure; configure().info('x'); print('alive')"
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=30, check=True)
    assert run.stdout == b"alive\n"


def test_without_free_descriptors_the_log_goes_on(tmp_path: Path) -> None:
    logger = configure("info", str(tmp_path / "log"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    (tmp_path / "log").rename(tmp_path / "log.1")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        logger.info("lost, as the file cannot be opened again")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    logger.info("back")
    assert "1 lines" in (tmp_path / "log").read_text()


def test_a_planted_link_in_a_shared_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("target")
    tmp_path.chmod(0o1777)
    assert "symbolic link" in refusal(output=str(tmp_path / "log"))
    assert not (tmp_path / "target").exists()
    tmp_path.chmod(0o755)
    configure("info", str(tmp_path / "log")).info("followed")
    assert (tmp_path / "target").exists()


def test_an_output_that_failed_is_not_closed_at_the_end() -> None:
    code = """
import logging
from circus.cli.logs import configure
for output in ("/nonexistent/log", "syslog:///nonexistent/log"):
    try:
        configure("info", output)
    except Exception as exc:
        kept = exc.__context__.__traceback__
logging.raiseExceptions = True
logging.shutdown()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_syslog(kind: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log") if kind == "unix" else ("127.0.0.1", 0))
        server.settimeout(10)
        place = tmp_path / "log" if kind == "unix" else f"localhost:{server.getsockname()[1]}"
        configure("info", f"syslog://{place}?local3").error("ü")
        data = server.recv(4096).decode()
    # local3 is 19, err is 3
    assert re.fullmatch(rf"<{19 * 8 + 3}>[A-Z][a-z]{{2}} \d\d \S+ circus\[{os.getpid()}\] \[ERROR\] ü\0", data)


def test_a_syslog_that_was_started_again_is_found(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        logger = configure("info", f"syslog://{tmp_path / 'log'}")
    logger.info("lost")
    (tmp_path / "log").unlink()
    logger.info("lost")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(10)
        logger.info("back")
        assert b"2 lines" in server.recv(4096)
        assert server.recv(4096).endswith(b"back\0")
        server.settimeout(0)
        for _ in range(3000):  # and one that reads nothing stops nothing
            logger.info("more")
        assert server.recv(4096).endswith(b"more\0")


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("/nonexistent/log", "the folder /nonexistent does not exist"),
        ("/dev", "directory"),
        ("syslog:", "write syslog://"),
        ("syslog://", "write syslog://"),
        ("syslog://localhost:x", "not a port"),
        ("syslog://localhost:70000", "not a port"),
        ("syslog:///nonexistent/log", "No such file"),
        ("syslog:///dev/null?nosuch", "no facility 'nosuch'"),
    ],
)
def test_outputs_that_cannot_be(output: str, word: str) -> None:
    assert word in refusal(output=output)


def test_a_level_that_is_none() -> None:
    assert "critical, error, warning, info, debug" in refusal("loud")


INI = """
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys =
[logger_root]
level = INFO
handlers = file
[handler_file]
class = FileHandler
args = ({path!r},)
"""


@pytest.mark.parametrize("kind", ["ini", "json", "yaml", "yml"])
def test_logger_configuration(kind: str, tmp_path: Path) -> None:
    log, config = str(tmp_path / "log"), tmp_path / f"logging.{kind}"
    mapping = {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": log}},
        "root": {"level": "INFO", "handlers": ["file"]},
    }
    # JSON is YAML too.
    config.write_text(INI.format(path=log) if kind == "ini" else json.dumps(mapping))
    earlier = logging.getLogger("circus.earlier")
    configure("error", "-", str(config)).info("written")
    earlier.info("too")
    assert Path(log).read_text() == "written\ntoo\n"


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("x.ini", None, "No such file"),
        ("x.ini", "[loggers]\n", "formatters"),
        ("x.ini", "no section", "no section headers"),
        ("x.json", "{", "Expecting"),
        ("x.json", "[]", "no mapping"),
        ("x.json", '{"handlers": {"a": {"class": "nosuch.Handler"}}}', "nosuch"),
        ("x.yaml", "a: [", "expected"),
        ("x.txt", "", "must end in .ini, .json, .yaml or .yml"),
    ],
)
def test_logger_configurations_that_cannot_be(name: str, content: str | None, word: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    text = refusal(config_file=str(path))
    assert word in text
    assert str(path) in text


def test_yaml_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "x.yaml").write_text("version: 1")
    assert "pip install 'circus[yaml]'" in refusal(config_file=str(tmp_path / "x.yaml"))
