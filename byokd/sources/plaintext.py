"""The one place where plaintext material lives.

    reader ─▶ buffer ─▶ decode ─▶ material ─┬─▶ fingerprint, length, kind
              wiped               wiped     └─▶ ciphertext, if a public key is given

A byte source brings a reader, and never sees what becomes of what it read. Both buffers are wiped however the block
ends: done, refused or cancelled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from byokd.errors import MaterialInvalid
from byokd.facts.key import WrappingAlgorithm
from byokd.material.decode import Encoding, decode
from byokd.material.fingerprint import FingerprintKey
from byokd.material.private_key import kind_of
from byokd.material.secret import Secret, wipe
from byokd.material.wrap import wrap
from byokd.ports import MaterialProof, Sealed

MAX_BYTES: Final = 64 * 1024
"""Default bound of what a source may give, as it is written down. An RSA-4096 key in PKCS#8 has 2.4 KB."""

Reader = Callable[[memoryview], Awaitable[int]]
"""Fills a buffer from its start and returns how many bytes came. It may fill it to the brim, but must not keep it, and
must not touch it after it returned, raised or was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plaintext:
    """How a byte source's output is understood: its encoding, its bound, and the key that fingerprints it."""

    encoding: Encoding
    max_bytes: int
    """Most bytes accepted, before decoding."""
    fingerprint_key: FingerprintKey

    async def prove(self, reader: Reader) -> MaterialProof:
        """Read the material, recognise it, forget it. Raises MaterialInvalid, and what the reader raises."""
        async with self._material(reader) as material:
            return self._proof(material)

    async def seal(self, reader: Reader, *, public_key: bytes, algorithm: WrappingAlgorithm) -> Sealed:
        """Read the material, recognise it, wrap it, forget it.

        Raises: MaterialInvalid, what the reader raises, and BadAnswer if `public_key` is not one of KMS's kinds.
        """
        async with self._material(reader) as material:
            proof = self._proof(material)
            return Sealed(ciphertext=wrap(material, public_key=public_key, algorithm=algorithm), proof=proof)

    @asynccontextmanager
    async def _material(self, reader: Reader) -> AsyncIterator[Secret]:
        # One byte more than is allowed tells "too much" from "just enough".
        buffer = bytearray(self.max_bytes + 1)
        try:
            length = await reader(memoryview(buffer))
            if length > self.max_bytes:
                raise MaterialInvalid(f"the source gave more than the {self.max_bytes} bytes allowed")
            with decode(Secret(buffer, length), self.encoding) as material:
                yield material
        finally:
            wipe(buffer)

    def _proof(self, material: Secret) -> MaterialProof:
        return MaterialProof(
            fingerprint=self.fingerprint_key.of(material), length=len(material), kind=kind_of(material)
        )
