"""A `Source` in memory. Its ciphertext is a note that only `FakeKms` reads: nothing is encrypted, nothing costs RSA.

The note holds the fingerprint, the length and the public key that it was sealed under, and no material.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from functools import lru_cache

import orjson

from byokd.errors import MaterialInvalid, SourceError, SourceUnreadable
from byokd.facts.key import WrappingAlgorithm
from byokd.facts.kinds import MaterialKind
from byokd.facts.ledger import Fingerprint
from byokd.material.fingerprint import FingerprintKey
from byokd.material.private_key import kind_of
from byokd.material.secret import Secret
from byokd.ports import MaterialProof, Sealed

FINGERPRINT_KEY = FingerprintKey(b"fingerprints of the test fleet..")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a fake ciphertext says."""

    public_key: str
    algorithm: str
    fingerprint: str
    length: int
    kind: MaterialKind


def sealed(proof: MaterialProof, *, public_key: bytes, algorithm: WrappingAlgorithm) -> Sealed:
    """Seal material of which only the proof is known."""
    note = {
        "public_key": hashlib.sha256(public_key).hexdigest(),
        "algorithm": algorithm.value,
        "fingerprint": proof.fingerprint,
        "length": proof.length,
        "kind": proof.kind.value,
    }
    return Sealed(ciphertext=orjson.dumps(note), proof=proof)


@lru_cache(maxsize=8)  # whoever is on the way of an import asks
def unsealed(ciphertext: bytes) -> Note | None:
    """Read a note; None if it is not one."""
    try:
        note = orjson.loads(ciphertext)
        return Note(**(note | {"kind": MaterialKind(note["kind"])}))
    except (ValueError, TypeError, KeyError):
        return None


def proof_of(material: bytes) -> MaterialProof:
    """The proof of some material under the key of the kit."""
    secret = Secret(bytearray(material))
    return MaterialProof(
        fingerprint=Fingerprint(FINGERPRINT_KEY.of(secret)), length=len(material), kind=kind_of(secret)
    )


class FakeSource:
    """Materials by locator, with a switch for everything that can happen to a source."""

    def __init__(self, materials: dict[str, bytes] | None = None) -> None:
        self.materials: dict[str, bytes] = dict(materials or {})
        """Change an entry and the material has changed; delete it and it is missing."""
        self.failing: dict[str, SourceError] = {}
        """Locators that raise, until taken out."""
        self.gates: dict[str, asyncio.Event] = {}
        """Locators that wait until their event is set, until taken out."""
        self.calls: list[tuple[str, str]] = []
        """What was asked, oldest first: (`prove` or `seal`, locator)."""

    async def prove(self, locator: str) -> MaterialProof:
        """See `ports.Source`."""
        self.calls.append(("prove", locator))
        return await self._proof(locator)

    async def seal(self, locator: str, *, public_key: bytes, algorithm: WrappingAlgorithm) -> Sealed:
        """See `ports.Source`."""
        self.calls.append(("seal", locator))
        return sealed(await self._proof(locator), public_key=public_key, algorithm=algorithm)

    async def _proof(self, locator: str) -> MaterialProof:
        if gate := self.gates.get(locator):
            await gate.wait()
        if error := self.failing.get(locator):
            raise error
        if locator not in self.materials:
            raise SourceUnreadable(f"{locator} is missing")
        if not self.materials[locator]:
            raise MaterialInvalid("the source gave no material at all")
        return proof_of(self.materials[locator])
