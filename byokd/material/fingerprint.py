"""Recognising material without keeping it.

A fingerprint is HMAC-SHA-256 of the material under a key that lives beside the state database and nowhere in it. It is
keyed because some material has little to guess (a password typed as hex): who steals the database alone cannot test
guesses against it. The domain prefix keeps the key from answering for anything else.

Losing the key makes every recorded fingerprint meaningless, so a daemon that has fingerprints on record must `load` it
and stop if it is gone; only a first start may create it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from byokd.errors import SourceUnreadable
from byokd.facts.ledger import Fingerprint
from byokd.material.private_file import read_private
from byokd.material.secret import Secret, wipe

_DOMAIN: Final = b"byokd/material-fingerprint/v1\x00"
KEY_BYTES_MIN: Final = 32
KEY_BYTES_MAX: Final = 1024
"""A longer file is some other file, named by mistake."""


class FingerprintKey:
    """A key that names material. Shows itself to nobody."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes | bytearray) -> None:
        if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
            raise ValueError(f"a fingerprint key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes")
        self._key = bytes(key)

    def __repr__(self) -> str:
        return "<FingerprintKey>"

    def of(self, material: Secret) -> Fingerprint:
        """The fingerprint of material: 64 hex digits, the same for the same bytes for ever."""
        mac = hmac.new(self._key, _DOMAIN, hashlib.sha256)
        mac.update(material.view)
        return Fingerprint(mac.hexdigest())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key from its file.

        Raises: SourceUnreadable if it is missing, unreadable or not of 32 to 1024 bytes; SourceUnsafe if others than
        byokd's user and root can read it.
        """
        buffer = bytearray(KEY_BYTES_MAX + 1)
        try:
            length = read_private(path, memoryview(buffer))
            if not KEY_BYTES_MIN <= length <= KEY_BYTES_MAX:
                raise SourceUnreadable(
                    f"{path} is no fingerprint key: it has {length} bytes, not {KEY_BYTES_MIN} to {KEY_BYTES_MAX}"
                )
            return cls(buffer[:length])
        finally:
            wipe(buffer)

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Read the key, or make one of 32 random bytes with mode 0600 where there is no file yet.

        The file appears whole and on disk, or not at all; of two processes that create it at once, both use the
        winner's.

        Raises: as `load`; SourceUnreadable if the file cannot be created.
        """
        if not os.path.lexists(path):
            try:
                _publish(path, os.urandom(KEY_BYTES_MIN))
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                raise SourceUnreadable(f"cannot create the fingerprint key {path}: {reason}") from error
        return cls.load(path)


def _publish(path: Path, content: bytes) -> None:
    """Write a file beside its place, then link it there: a link does not replace what another process put first."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
