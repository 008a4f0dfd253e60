"""What every `ports.Source` promises: the fake, the simulator's, files, and a command."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import PublicFormat

from byokd.errors import MaterialInvalid, SourceUnreadable
from byokd.facts.key import WrappingAlgorithm
from byokd.material.decode import Encoding
from byokd.ports import Source
from byokd.sources.command import CommandSource
from byokd.sources.file import FileSource
from tests.kit.fake_source import FINGERPRINT_KEY, FakeSource, proof_of
from tests.sim.doors import SimSource

MATERIAL = b"Seven wise men built the bridge."
LOCATOR = "orders.key"


class Place(Protocol):
    """A source, and where its materials lie."""

    source: Source

    def put(self, material: bytes) -> None: ...
    def take_away(self) -> None: ...


class Memory:
    """`FakeSource`, or another one in memory."""

    def __init__(self, fake: FakeSource) -> None:
        self.fake = fake
        self.source: Source = self.fake

    def put(self, material: bytes) -> None:
        self.fake.materials[LOCATOR] = material

    def take_away(self) -> None:
        del self.fake.materials[LOCATOR]


class Directory:
    """A source that reads files of a directory, in one way or another."""

    def __init__(self, directory: Path, source: Source) -> None:
        self.file = directory / LOCATOR
        self.source = source

    def put(self, material: bytes) -> None:
        self.file.touch(mode=0o600)
        self.file.write_bytes(material)

    def take_away(self) -> None:
        self.file.unlink()


@pytest.fixture(params=["fake", "sim", "file", "command"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each implementation in turn, with nothing in it."""
    match request.param:
        case "file":
            files = FileSource("test", directory=tmp_path, encoding=Encoding.RAW, fingerprint_key=FINGERPRINT_KEY)
            return Directory(tmp_path, files)
        case "command":
            argv = ["cat", f"{tmp_path}/{{locator}}"]
            command = CommandSource("test", argv=argv, encoding=Encoding.RAW, fingerprint_key=FINGERPRINT_KEY)
            return Directory(tmp_path, command)
        case "sim":
            return Memory(SimSource())
        case _:
            return Memory(FakeSource())


@pytest.fixture(scope="module")
def public_key() -> bytes:
    """A wrapping key such as KMS gives."""
    key = rsa.generate_private_key(65537, 2048).public_key()
    return key.public_bytes(KeyEncoding.DER, PublicFormat.SubjectPublicKeyInfo)


async def test_proof(place: Place) -> None:
    """A proof tells fingerprint and length, the same at every asking and from every source."""
    place.put(MATERIAL)
    assert await place.source.prove(LOCATOR) == await place.source.prove(LOCATOR) == proof_of(MATERIAL)


@pytest.mark.parametrize("algorithm", list(WrappingAlgorithm))
async def test_seal(place: Place, public_key: bytes, algorithm: WrappingAlgorithm) -> None:
    """Sealing proves as well, and the ciphertext shows nothing of the material."""
    place.put(MATERIAL)
    sealed = await place.source.seal(LOCATOR, public_key=public_key, algorithm=algorithm)
    assert sealed.proof == proof_of(MATERIAL)
    assert MATERIAL not in sealed.ciphertext
    assert MATERIAL.hex().encode() not in sealed.ciphertext


async def test_changed_material(place: Place) -> None:
    """Other bytes have another fingerprint, if only by one bit."""
    place.put(MATERIAL)
    before = await place.source.prove(LOCATOR)
    place.put(bytes([MATERIAL[0] ^ 1]) + MATERIAL[1:])
    assert (await place.source.prove(LOCATOR)).fingerprint != before.fingerprint


async def test_missing_material(place: Place) -> None:
    """Material that was taken away is unreadable, not invalid: it may come back."""
    place.put(MATERIAL)
    place.take_away()
    with pytest.raises(SourceUnreadable):
        await place.source.prove(LOCATOR)


async def test_empty_material(place: Place, public_key: bytes) -> None:
    """Nothing is not material."""
    place.put(b"")
    with pytest.raises(MaterialInvalid):
        await place.source.prove(LOCATOR)
    with pytest.raises(MaterialInvalid):
        await place.source.seal(LOCATOR, public_key=public_key, algorithm=WrappingAlgorithm.OAEP_SHA_256)
