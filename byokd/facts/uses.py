"""What a key is for, and the two operations that show whether it works: one makes a thing of a message, one checks it.

    ENCRYPT_DECRYPT       Encrypt       Decrypt       the message comes back
    SIGN_VERIFY           Sign          Verify        the signature is the message's
    GENERATE_VERIFY_MAC   GenerateMac   VerifyMac     the MAC is the message's
    KEY_AGREEMENT         DeriveSharedSecret   GetPublicKey   the other side derives the same

One algorithm for each key spec. Sources: API model, KeyMetadata.KeyUsage; developer guide, "Key spec reference".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from byokd.facts.key import SYMMETRIC

PROBE_CONTEXT: Final[Mapping[str, str]] = {"byokd": "probe"}
"""The encryption context of probes, by which IAM and CloudTrail tell them from all other use of a key."""


class KeyUsage(StrEnum):
    """KeyMetadata.KeyUsage."""

    ENCRYPT_DECRYPT = "ENCRYPT_DECRYPT"
    SIGN_VERIFY = "SIGN_VERIFY"
    GENERATE_VERIFY_MAC = "GENERATE_VERIFY_MAC"
    KEY_AGREEMENT = "KEY_AGREEMENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How a key of one spec and usage is tried."""

    spec: str
    usage: KeyUsage
    algorithm: str
    """EncryptionAlgorithm, SigningAlgorithm, MacAlgorithm or KeyAgreementAlgorithm."""

    @property
    def makes(self) -> str:
        """The operation that makes something of a message."""
        return _OPERATIONS[self.usage][0]

    @property
    def checks(self) -> str:
        """The operation that checks it."""
        return _OPERATIONS[self.usage][1]


_OPERATIONS: Final[Mapping[KeyUsage, tuple[str, str]]] = MappingProxyType(
    {
        KeyUsage.ENCRYPT_DECRYPT: ("Encrypt", "Decrypt"),
        KeyUsage.SIGN_VERIFY: ("Sign", "Verify"),
        KeyUsage.GENERATE_VERIFY_MAC: ("GenerateMac", "VerifyMac"),
        KeyUsage.KEY_AGREEMENT: ("DeriveSharedSecret", "GetPublicKey"),
    }
)

_ALGORITHMS: Final[Mapping[KeyUsage, Mapping[str, str]]] = MappingProxyType(
    {
        KeyUsage.ENCRYPT_DECRYPT: {
            SYMMETRIC: SYMMETRIC,
            "RSA_2048": "RSAES_OAEP_SHA_256",
            "RSA_3072": "RSAES_OAEP_SHA_256",
            "RSA_4096": "RSAES_OAEP_SHA_256",
        },
        KeyUsage.SIGN_VERIFY: {
            "RSA_2048": "RSASSA_PSS_SHA_256",
            "RSA_3072": "RSASSA_PSS_SHA_256",
            "RSA_4096": "RSASSA_PSS_SHA_256",
            "ECC_NIST_P256": "ECDSA_SHA_256",
            "ECC_NIST_P384": "ECDSA_SHA_384",
            "ECC_NIST_P521": "ECDSA_SHA_512",
            "ECC_SECG_P256K1": "ECDSA_SHA_256",
            "ECC_NIST_EDWARDS25519": "ED25519_SHA_512",
        },
        KeyUsage.GENERATE_VERIFY_MAC: {f"HMAC_{bits}": f"HMAC_SHA_{bits}" for bits in (224, 256, 384, 512)},
        KeyUsage.KEY_AGREEMENT: dict.fromkeys(("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"), "ECDH"),
    }
)


def use_of(spec: str, usage: str) -> Use | None:
    """How a key of this spec and KeyUsage is tried; None where byokd knows no way."""
    if usage not in tuple(KeyUsage):
        return None
    algorithm = _ALGORITHMS[KeyUsage(usage)].get(spec)
    return None if algorithm is None else Use(spec=spec, usage=KeyUsage(usage), algorithm=algorithm)


@lru_cache(maxsize=64)
def usages_of(spec: str) -> tuple[KeyUsage, ...]:
    """What a key of this spec may be made for; it is for one of them, for life. Source: API model, CreateKey.KeyUsage.

    Empty for specs that byokd does not know.
    """
    return tuple(usage for usage, algorithms in _ALGORITHMS.items() if spec in algorithms)
