"""Files as a source: which file a locator names, and which files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from byokd.errors import BadAnswer, MaterialInvalid, SourceUnreadable, SourceUnsafe
from byokd.facts.key import WrappingAlgorithm
from byokd.material.decode import Encoding
from byokd.sources.file import FileSource
from tests.kit.fake_source import FINGERPRINT_KEY, proof_of

MATERIAL = bytes(range(32))


def source(directory: Path | None, *, encoding: Encoding = Encoding.RAW, max_bytes: int = 64) -> FileSource:
    """A source over a directory, or over absolute paths."""
    return FileSource(
        "vault", directory=directory, encoding=encoding, fingerprint_key=FINGERPRINT_KEY, max_bytes=max_bytes
    )


def written(path: Path, content: bytes = MATERIAL) -> Path:
    """A private file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


async def test_relative(tmp_path: Path) -> None:
    """Locators are paths below the directory."""
    written(tmp_path / "eu" / "orders.key")
    assert await source(tmp_path).prove("eu/orders.key") == proof_of(MATERIAL)


async def test_absolute(tmp_path: Path) -> None:
    """Without a directory, locators are absolute paths."""
    path = written(tmp_path / "orders.key")
    assert await source(None).prove(str(path)) == proof_of(MATERIAL)


async def test_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    """A secret that Kubernetes mounts is reached through its links, and names that begin with two dots are names."""
    written(tmp_path / "..2026_03_01" / "orders.key")
    (tmp_path / "..data").symlink_to("..2026_03_01")
    (tmp_path / "orders.key").symlink_to("..data/orders.key")
    assert await source(tmp_path).prove("orders.key") == proof_of(MATERIAL)
    assert await source(tmp_path).prove("..data/orders.key") == proof_of(MATERIAL)


@pytest.mark.parametrize("locator", ["../orders.key", "eu/../../orders.key", "/etc/shadow", "", ".", "a\0b"])
async def test_outside(tmp_path: Path, locator: str) -> None:
    """A locator cannot climb out of the directory, even to a file that is there."""
    inside = tmp_path / "inside"
    inside.mkdir()
    written(tmp_path / "orders.key")
    with pytest.raises(SourceUnreadable):
        await source(inside).prove(locator)


async def test_relative_without_directory() -> None:
    """Where nothing says what a path is relative to, it is refused: a daemon's directory is no one's business."""
    with pytest.raises(SourceUnreadable, match="absolute"):
        await source(None).prove("orders.key")


async def test_exposed(tmp_path: Path) -> None:
    """A file that the group could read is refused, by mode and remedy."""
    written(tmp_path / "orders.key").chmod(0o640)
    with pytest.raises(SourceUnsafe, match="0640; chmod 600"):
        await source(tmp_path).prove("orders.key")


async def test_encoded(tmp_path: Path) -> None:
    """The encoding is the source's; the proof is of the material, not of how it is written."""
    written(tmp_path / "orders.hex", MATERIAL.hex().encode() + b"\n")
    assert await source(tmp_path, encoding=Encoding.HEX, max_bytes=80).prove("orders.hex") == proof_of(MATERIAL)


@pytest.mark.parametrize(("length", "taken"), [(64, True), (65, False), (4096, False)])
async def test_size_limit(tmp_path: Path, length: int, taken: bool) -> None:
    """A file may have just as many bytes as are allowed."""
    written(tmp_path / "orders.key", bytes(length))
    if taken:
        assert (await source(tmp_path).prove("orders.key")).length == length
    else:
        with pytest.raises(MaterialInvalid, match="64 bytes"):
            await source(tmp_path).prove("orders.key")


async def test_unusable_public_key(tmp_path: Path) -> None:
    """A public key that is none is KMS's fault, not the source's."""
    written(tmp_path / "orders.key")
    with pytest.raises(BadAnswer):
        await source(tmp_path).seal("orders.key", public_key=b"?", algorithm=WrappingAlgorithm.OAEP_SHA_256)
