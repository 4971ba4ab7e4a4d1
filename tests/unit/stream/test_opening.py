"""Opening files for output."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from circus.stream.opening import Owner, find_owner, open_append

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root gives files away")


def test_a_file_that_is_there_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    descriptor = open_append(str(path), Owner(), 0o600)
    before = stat.S_IMODE(path.stat().st_mode)
    path.write_text("")
    os.write(descriptor, b"new\n")
    os.close(descriptor)
    # A hole would show that the place of writing is not always the end.
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new\n", before)


def test_a_new_file_has_the_mode_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        os.close(open_append(str(tmp_path / "asked"), Owner(), 0o664))
        os.close(open_append(str(tmp_path / "default"), Owner()))
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"asked": 0o664, "default": 0o600}


@needs_root
def test_a_new_file_belongs_to_its_owner_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    path = tmp_path / "log"
    os.close(open_append(str(path), find_owner("nobody")))
    assert (path.stat().st_uid, path.stat().st_gid) == (nobody.pw_uid, nobody.pw_gid)
    os.close(open_append(str(path), find_owner("root:root")))
    assert path.stat().st_uid == nobody.pw_uid


def test_an_owner_is_a_user_and_perhaps_a_group() -> None:
    root = pwd.getpwnam("root")
    assert find_owner("") == Owner()
    assert find_owner("root") == find_owner("0") == Owner(0, root.pw_gid)
    assert find_owner("root:7") == Owner(0, 7)
    assert find_owner(":7") == Owner(-1, 7)
    assert find_owner("123456") == Owner(123456, -1)
    for text, message in {"no-such-user": "no user 'no-such-user'", "root:no-such": "no group 'no-such'"}.items():
        with pytest.raises(ValueError, match=message):
            find_owner(text)


def test_a_link_of_our_own_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "log")
    os.close(open_append(str(tmp_path / "link"), Owner()))
    assert (tmp_path / "log").exists()


def test_a_file_to_which_a_link_leads_is_created_with_the_mode_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("log")
    os.close(open_append(str(tmp_path / "link"), Owner(), 0o600))
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"):
        open_append(str(tmp_path / "loop"), Owner())


@needs_root
def test_a_link_that_somebody_else_has_planted_is_not_followed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    (shared / "theirs").symlink_to(secret)
    os.lchown(shared / "theirs", 65534, 65534)
    (shared / "ours").symlink_to(secret)
    shared.chmod(0o1777)
    with pytest.raises(PermissionError, match="a link that somebody else may have planted is not followed"):
        open_append(str(shared / "theirs"), Owner())
    # In a folder of this mode nobody else can change a link of ours; without the sticky bit anybody can.
    os.close(open_append(str(shared / "ours"), Owner()))
    shared.chmod(0o777)
    with pytest.raises(PermissionError):
        open_append(str(shared / "ours"), Owner())


def test_a_pipe_without_a_reader_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device"):
        open_append(str(tmp_path / "pipe"), Owner())


def test_what_cannot_be_opened_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing/log"):
        open_append(str(tmp_path / "missing" / "log"), Owner())
    with pytest.raises(IsADirectoryError):
        open_append(str(tmp_path), Owner())
