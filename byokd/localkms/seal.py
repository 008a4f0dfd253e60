"""Sealing: everything secret that leaves the process, in the state file or as an import token, is closed under one key.

The key lives in a file of its own beside the state (`<state>.key`, mode 0600), so that a copy of the state alone tells
nothing. That file is also the lock: whoever holds it open under flock owns the state, and the lock dies with the
process.

    purpose ─┐
    data ────┴▶ AES-256-GCM, random nonce ─▶ nonce ‖ ciphertext ‖ tag

The purpose is authenticated: a sealed material can't be passed off as a token, nor one key's as another's.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from byokd.localkms.errors import StateError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


class BrokenSealError(Exception):
    """What was to be opened was not sealed here for this purpose."""


class Seal:
    """Closes and opens data under one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, purpose: str, data: bytes) -> bytes:
        """The data, encrypted and bound to the purpose."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, purpose.encode())

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """The data that was closed for the purpose.

        Raises: BrokenSealError when it was not, was altered, or was closed under another key.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):  # ValueError: shorter than a nonce
            raise BrokenSealError(purpose) from None


class KeyFile:
    """The key file of a state, held open and locked."""

    def __init__(self, state: Path) -> None:
        """Lock the key file, making it first for a new state.

        Raises: StateError when another process holds it, when others than the owner can read it, when it is no key, or
        when the state exists without it.
        """
        self.path = state.with_name(f"{state.name}.key")
        if not self.path.exists() and state.exists() and state.stat().st_size:
            raise StateError(f"{state} exists, but its key file {self.path} is missing: it cannot be read.")
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{self.path} cannot be opened: {error.strerror}.") from error
        try:
            self._lock(state)
            self.key = self._read()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the state up to whoever wants it next."""
        os.close(self._descriptor)

    def _lock(self, state: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(f"{state} is in use by another local KMS; stop it or choose another state file.") from None

    def _read(self) -> bytes:
        if stat.S_IMODE(os.fstat(self._descriptor).st_mode) & 0o077:
            raise StateError(f"{self.path} is open to other users; it must have mode 0600.")
        key = os.pread(self._descriptor, KEY_BYTES + 1, 0)
        if not key:
            key = os.urandom(KEY_BYTES)
            os.pwrite(self._descriptor, key, 0)
            os.fsync(self._descriptor)
            _sync_directory(self.path.parent)
        if len(key) != KEY_BYTES:
            raise StateError(f"{self.path} is not a key file: {KEY_BYTES} bytes are expected.")
        return key


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
