"""Every kind of imported key: what its material is, and how AWS lets that be wrapped. Data, and nothing else.

One row per key spec. Sources: API model (GetParametersForImport, `WrappingAlgorithm` and `WrappingKeySpec`); developer
guide, "Importing key material", requirements and step 3. Where they leave something open, the row says what byokd takes
it to be, and `docs/kms.md` how sure that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Final, Literal

from byokd.facts.key import SYMMETRIC, WrappingAlgorithm, WrappingKeySpec

CHINA: Final = "aws-cn"
"""The partition of the China Regions, as their ARNs name it."""


class MaterialKind(StrEnum):
    """What a source's material is, as far as it shows by itself; a private key by the spec that takes it."""

    BYTES = "bytes"
    """Raw bytes, for symmetric and HMAC keys: any bytes that are no private key."""
    RSA_2048 = "RSA_2048"
    RSA_3072 = "RSA_3072"
    RSA_4096 = "RSA_4096"
    ECC_NIST_P256 = "ECC_NIST_P256"
    ECC_NIST_P384 = "ECC_NIST_P384"
    ECC_NIST_P521 = "ECC_NIST_P521"
    ECC_SECG_P256K1 = "ECC_SECG_P256K1"
    ECC_NIST_EDWARDS25519 = "ECC_NIST_EDWARDS25519"


class Auto(StrEnum):
    """A policy's word for a wrapping that byokd is to choose."""

    AUTO = "auto"


AUTO: Final = Auto.AUTO

AlgorithmWanted = WrappingAlgorithm | Literal[Auto.AUTO]
KeySpecWanted = WrappingKeySpec | Literal[Auto.AUTO]

NO_KEY: Final = frozenset[WrappingKeySpec]()
ANY_KEY: Final = frozenset(WrappingKeySpec)
LONGER: Final = ANY_KEY - {WrappingKeySpec.RSA_2048}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyKind:
    """One row of the table."""

    material: MaterialKind
    length: int = 0
    """Exact length of raw bytes; of no meaning for private keys."""
    oaep: frozenset[WrappingKeySpec] = ANY_KEY
    """Under which wrapping keys the material may come as RSAES_OAEP_SHA_*."""
    rsa_aes: frozenset[WrappingKeySpec] = ANY_KEY
    """Under which it may come as RSA_AES_KEY_WRAP_SHA_*."""

    def takes(self, material: MaterialKind, length: int) -> bool:
        """Whether material of that kind, and of that length in bytes, is of the kind that this key takes."""
        return material is self.material and (material is not MaterialKind.BYTES or length == self.length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """One pair of GetParametersForImport."""

    algorithm: WrappingAlgorithm
    key_spec: WrappingKeySpec

    def __str__(self) -> str:
        return f"{self.algorithm} under {self.key_spec}"


PREFERENCE: Final = tuple(
    Wrapping(algorithm=algorithm, key_spec=key_spec)
    for algorithm, key_spec in product(
        (
            WrappingAlgorithm.OAEP_SHA_256,
            WrappingAlgorithm.RSA_AES_SHA_256,
            WrappingAlgorithm.OAEP_SHA_1,
            WrappingAlgorithm.RSA_AES_SHA_1,
        ),
        (WrappingKeySpec.RSA_4096, WrappingKeySpec.RSA_3072, WrappingKeySpec.RSA_2048),
    )
)
"""Every pair there is, best first (docs/decisions): the stronger hash, the simpler layout, the longest key."""


def _bytes(length: int) -> KeyKind:
    """Raw material. RSA_AES_KEY_WRAP is for private keys alone (API model), and was seen to be refused for these."""
    return KeyKind(material=MaterialKind.BYTES, length=length, rsa_aes=NO_KEY)


KINDS: Final[Mapping[str, KeyKind]] = MappingProxyType(
    {
        SYMMETRIC: _bytes(32),
        # Where the guide disagrees with itself on HMAC lengths, the strict reading: exactly the spec's.
        "HMAC_224": _bytes(28),
        "HMAC_256": _bytes(32),
        "HMAC_384": _bytes(48),
        "HMAC_512": _bytes(64),
        "RSA_2048": KeyKind(material=MaterialKind.RSA_2048, oaep=NO_KEY),
        "RSA_3072": KeyKind(material=MaterialKind.RSA_3072, oaep=NO_KEY),
        "RSA_4096": KeyKind(material=MaterialKind.RSA_4096, oaep=NO_KEY),
        "ECC_NIST_P256": KeyKind(material=MaterialKind.ECC_NIST_P256),
        "ECC_NIST_P384": KeyKind(material=MaterialKind.ECC_NIST_P384),
        "ECC_NIST_P521": KeyKind(material=MaterialKind.ECC_NIST_P521, oaep=LONGER),
        "ECC_SECG_P256K1": KeyKind(material=MaterialKind.ECC_SECG_P256K1),
        # No text speaks of importing these; taken to be like the other curves (C).
        "ECC_NIST_EDWARDS25519": KeyKind(material=MaterialKind.ECC_NIST_EDWARDS25519),
    }
)
"""By key spec. Not here, hence not renewed: ML_DSA_*, whose import AWS does not support, and SM2."""


def _in_china(spec: str, kind: KeyKind) -> KeyKind:
    """China Regions have no RSA_AES_KEY_WRAP (guide, step 3), and symmetric keys of 128 bits (API model, KeySpec)."""
    return KeyKind(
        material=kind.material, length=16 if spec == SYMMETRIC else kind.length, oaep=kind.oaep, rsa_aes=NO_KEY
    )


KINDS_IN_CHINA: Final[Mapping[str, KeyKind]] = MappingProxyType(
    {spec: _in_china(spec, kind) for spec, kind in KINDS.items()}
)
"""By key spec, in China Regions. Their SM2 key spec and SM2PKE wrapping need ciphers that byokd does not have."""


def kinds_in(partition: str) -> Mapping[str, KeyKind]:
    """The table of a partition, by key spec."""
    return KINDS_IN_CHINA if partition == CHINA else KINDS


@lru_cache(maxsize=256)
def ways(kind: KeyKind) -> tuple[Wrapping, ...]:
    """Every pair under which AWS takes material of a kind, best first; none where byokd cannot bring it in."""
    oaep = (WrappingAlgorithm.OAEP_SHA_1, WrappingAlgorithm.OAEP_SHA_256)
    return tuple(
        each for each in PREFERENCE if each.key_spec in (kind.oaep if each.algorithm in oaep else kind.rsa_aes)
    )


def describe(material: MaterialKind, length: int) -> str:
    """Material in words, without revealing it."""
    return f"{length} bytes" if material is MaterialKind.BYTES else f"an {material} private key (PKCS #8)"


def misfit(spec: str, kind: KeyKind, material: MaterialKind, length: int) -> str:
    """What is wrong with material for a key of a spec, in a sentence; empty where it fits."""
    if kind.takes(material, length):
        return ""
    taken = describe(kind.material, kind.length)
    return f"the source gives {describe(material, length)}; a key of spec {spec} takes {taken}"
