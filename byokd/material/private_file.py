"""Reading files that nobody but byokd may read, as ssh reads a private key.

A path is opened first and judged afterwards, on the open file: what is judged is what is read. Symbolic links are
followed, because that is how Kubernetes publishes secrets. Opening never waits: a FIFO opens at once and is then
refused for not being a regular file.

An access control list changes what the mode says: its mask shows up as the group's bits. systemd gives credentials to a
service just so (root's file, mode 0440, one ACL entry for the service's user), so the list is read where there is one.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from byokd.errors import SourceUnreadable, SourceUnsafe

_ROOT: Final = 0
_ACL: Final = "system.posix_acl_access"
_ACL_VERSION: Final = 2
_USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x02, 0x04, 0x08, 0x10, 0x20
"""Entry tags of linux/posix_acl.h; the owner's own (0x01) is judged by who the owner is."""


def read_private(path: Path, into: memoryview) -> int:
    """Read a private file from its start and return how many bytes came; at most `len(into)`, the rest is not read.

    Raises: SourceUnreadable if the file is missing, forbidden or not a regular file; SourceUnsafe if it belongs to
    somebody else than root or this process's user, or anybody else could read or write it.
    """
    try:
        with _opened(path) as descriptor:
            filled = 0
            while filled < len(into) and (count := os.readv(descriptor, [into[filled:]])):
                filled += count
            return filled
    except (OSError, ValueError) as error:
        # ValueError: a NUL inside the path.
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a usable path"
        raise SourceUnreadable(f"cannot read {path}: {reason}") from error


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SourceUnreadable(f"cannot read {path}: not a regular file")
        if problem := exposure(found, _access_list(descriptor), me=os.geteuid()):
            raise SourceUnsafe(f"{path} is not private: {problem}")
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of a POSIX access control list."""

    tag: int
    permissions: int
    who: int


def exposure(found: os.stat_result, grants: tuple[Grant, ...], *, me: int) -> str:
    """Why a file is not private to user `me`, in words for a person; empty if it is."""
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in {_ROOT, me}:
        return f"it belongs to user {found.st_uid}; chown it to user {me} or root"
    if not grants:
        return f"its mode is {mode:04o}; chmod 600 it" if mode & 0o077 else ""
    mask = next((grant.permissions for grant in grants if grant.tag == _MASK), 0o7)
    for grant in grants:
        shared = grant.tag in {_GROUP_OBJ, _GROUP, _OTHER} or (grant.tag == _USER and grant.who not in {_ROOT, me})
        # The mask limits every entry but the owner's and the others'.
        if shared and (grant.permissions if grant.tag == _OTHER else grant.permissions & mask):
            return f"its access control list lets others in (mode {mode:04o}); setfacl --remove-all and chmod 600 it"
    return ""


def _access_list(descriptor: int) -> tuple[Grant, ...]:
    try:
        raw = os.getxattr(descriptor, _ACL)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP}:
            return ()
        raise
    return parse_access_list(raw)


def parse_access_list(raw: bytes) -> tuple[Grant, ...]:
    """The entries of the `system.posix_acl_access` attribute (linux/posix_acl_xattr.h): a version, then 8 bytes each.

    Raises: OSError (EINVAL) for a version that is not known here: a file that cannot be judged is not read.
    """
    if len(raw) % 8 != 4 or struct.unpack_from("<I", raw)[0] != _ACL_VERSION:
        raise OSError(errno.EINVAL, "unknown form of access control list")
    return tuple(Grant(*entry) for entry in struct.iter_unpack("<HHI", raw[4:]))
