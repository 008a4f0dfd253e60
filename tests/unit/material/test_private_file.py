"""Who may read a private file, and what becomes of the others."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import pytest

from byokd.errors import SourceUnreadable, SourceUnsafe
from byokd.material.private_file import Grant, exposure, parse_access_list, read_private

ME, SOMEBODY = 1000, 1001
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


def found(mode: int, owner: int = ME) -> os.stat_result:
    """What fstat says of a regular file."""
    return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, owner, owner, 32, 0, 0, 0))


def grants(*, user: int = ME, named: int = 4, group: int = 0, named_group: int = 0, mask: int = 4, other: int = 0):
    """An access control list in which one user and one group are named."""
    return (
        Grant(USER_OBJ, 4, 0xFFFFFFFF),
        Grant(USER, named, user),
        Grant(GROUP_OBJ, group, 0xFFFFFFFF),
        Grant(GROUP, named_group, 50),
        Grant(MASK, mask, 0xFFFFFFFF),
        Grant(OTHER, other, 0xFFFFFFFF),
    )


@pytest.mark.parametrize(
    ("stat_result", "acl"),
    [
        pytest.param(found(0o600), (), id="mine alone"),
        pytest.param(found(0o400, owner=0), (), id="root's alone"),
        pytest.param(found(0o440, owner=0), grants(), id="root's, and a list that lets me in: a systemd credential"),
        pytest.param(found(0o440), grants(user=0), id="mine, and a list that lets root in"),
        pytest.param(found(0o640), grants(user=SOMEBODY, named=4, mask=0), id="a list whose mask takes it all back"),
    ],
)
def test_private(stat_result, acl) -> None:
    """A file is private if only root and byokd's user can read or write it."""
    assert exposure(stat_result, acl, me=ME) == ""


@pytest.mark.parametrize(
    ("stat_result", "acl", "told"),
    [
        pytest.param(found(0o600, owner=SOMEBODY), (), "belongs to user 1001", id="somebody else's"),
        pytest.param(found(0o644), (), "0644; chmod 600", id="all may read"),
        pytest.param(found(0o620), (), "0620; chmod 600", id="the group may write"),
        pytest.param(found(0o440), grants(user=SOMEBODY), "access control list", id="a list names somebody"),
        pytest.param(found(0o440), grants(group=4), "access control list", id="a list lets the group in"),
        pytest.param(found(0o440), grants(named_group=4), "access control list", id="a list names a group"),
        pytest.param(found(0o444), grants(other=4), "access control list", id="a list lets all in"),
        pytest.param(found(0o404), grants(other=4, mask=0), "access control list", id="the mask does not bind others"),
    ],
)
def test_exposed(stat_result, acl, told: str) -> None:
    """Whoever else is let in, by mode or by list, makes the file unsafe, and the text says what to do."""
    assert told in exposure(stat_result, acl, me=ME)


def test_access_list_as_the_kernel_writes_it() -> None:
    """The attribute is a version and entries of tag, permissions and id, little-endian."""
    raw = struct.pack("<I", 2) + struct.pack("<HHI", USER, 4, ME) + struct.pack("<HHI", MASK, 7, 0xFFFFFFFF)
    assert parse_access_list(raw) == (Grant(USER, 4, ME), Grant(MASK, 7, 0xFFFFFFFF))


@pytest.mark.parametrize("raw", [b"", b"\x03\x00\x00\x00", b"\x02\x00\x00\x00\x01"], ids=["empty", "version 3", "cut"])
def test_unknown_access_list(raw: bytes) -> None:
    """A list that cannot be understood is an error, not an empty list."""
    with pytest.raises(OSError, match="access control list"):
        parse_access_list(raw)


def private(path: Path, content: bytes = b"content") -> Path:
    """A file of mode 0600."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def test_read(tmp_path: Path) -> None:
    """The content lands at the buffer's start; what does not fit is not read."""
    buffer = bytearray(10)
    assert read_private(private(tmp_path / "file"), memoryview(buffer)) == 7
    assert buffer == b"content\0\0\0"
    assert read_private(tmp_path / "file", memoryview(buffer)[:3]) == 3


def test_links_are_followed_and_their_targets_judged(tmp_path: Path) -> None:
    """A link to a private file is read, one to a public file is not: only the file that was opened counts."""
    buffer = bytearray(10)
    target = private(tmp_path / "target")
    link = tmp_path / "link"
    link.symlink_to(target)
    assert read_private(link, memoryview(buffer)) == 7
    target.chmod(0o644)
    with pytest.raises(SourceUnsafe):
        read_private(link, memoryview(buffer))


def test_fifo(tmp_path: Path) -> None:
    """A FIFO without a writer does not hang byokd: it is no regular file."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(SourceUnreadable, match="regular"):
        read_private(tmp_path / "fifo", memoryview(bytearray(10)))


@pytest.mark.parametrize("name", ["absent", "direc\0tory", "."], ids=["missing", "NUL in the path", "a directory"])
def test_unreadable(tmp_path: Path, name: str) -> None:
    """Whatever cannot be read is told with its path."""
    with pytest.raises(SourceUnreadable, match="cannot read"):
        read_private(tmp_path / name, memoryview(bytearray(10)))
