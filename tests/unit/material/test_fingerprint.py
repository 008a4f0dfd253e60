"""Fingerprints, and the file that their key lives in."""

from __future__ import annotations

import hashlib
import hmac
import stat
from pathlib import Path

import pytest

from byokd.errors import SourceUnreadable, SourceUnsafe
from byokd.material.fingerprint import FingerprintKey
from byokd.material.secret import Secret

KEY = bytes(range(32))


def fingerprint(key: FingerprintKey, material: bytes = b"material") -> str:
    """The fingerprint of some material."""
    return key.of(Secret(bytearray(material)))


def test_construction() -> None:
    """A fingerprint is HMAC-SHA-256 over domain and material; recorded ones must stay valid in every version."""
    expected = hmac.new(KEY, b"byokd/material-fingerprint/v1\x00material", hashlib.sha256).hexdigest()
    assert fingerprint(FingerprintKey(KEY)) == expected


def test_other_key_other_fingerprint() -> None:
    """Fingerprints under different keys say nothing about each other."""
    assert fingerprint(FingerprintKey(KEY)) != fingerprint(FingerprintKey(KEY[::-1]))


def test_redacted() -> None:
    """The key does not show itself."""
    assert repr(FingerprintKey(KEY)) == "<FingerprintKey>"


def test_created_once(tmp_path: Path) -> None:
    """The first start makes a private file, and later ones read the same key from it."""
    path = tmp_path / "fingerprint.key"
    made = FingerprintKey.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert (
        fingerprint(FingerprintKey.load_or_create(path)) == fingerprint(FingerprintKey.load(path)) == fingerprint(made)
    )
    assert [each.name for each in tmp_path.iterdir()] == ["fingerprint.key"]


def test_never_replaced(tmp_path: Path) -> None:
    """A file that is there is never written to, whatever is in it."""
    path = tmp_path / "fingerprint.key"
    path.touch(mode=0o600)
    with pytest.raises(SourceUnreadable, match="0 bytes"):
        FingerprintKey.load_or_create(path)
    assert path.read_bytes() == b""


def test_missing(tmp_path: Path) -> None:
    """Loading does not create: a lost key must be noticed, not replaced."""
    with pytest.raises(SourceUnreadable, match="No such file"):
        FingerprintKey.load(tmp_path / "fingerprint.key")


def test_nowhere_to_create(tmp_path: Path) -> None:
    """A directory that does not exist is told, with the path."""
    with pytest.raises(SourceUnreadable, match="absent"):
        FingerprintKey.load_or_create(tmp_path / "absent" / "fingerprint.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601], ids="{:04o}".format)
def test_loose_mode(tmp_path: Path, mode: int) -> None:
    """A key that others could read or write is not used."""
    path = tmp_path / "fingerprint.key"
    path.write_bytes(KEY)
    path.chmod(mode)
    with pytest.raises(SourceUnsafe, match=f"{mode:04o}; chmod 600"):
        FingerprintKey.load(path)


@pytest.mark.parametrize("length", [31, 1025], ids="{} bytes".format)
def test_wrong_size(tmp_path: Path, length: int) -> None:
    """A file that is too short or too long to be the key is refused."""
    path = tmp_path / "fingerprint.key"
    path.touch(mode=0o600)
    path.write_bytes(bytes(length))
    with pytest.raises(SourceUnreadable, match="no fingerprint key"):
        FingerprintKey.load(path)
