"""What a key is for, and the two operations that show whether it works: one makes a thing of a message, one checks it.

    ENCRYPT_DECRYPT       Encrypt       Decrypt       the message comes back
    SIGN_VERIFY           Sign          Verify        the signature is the message's
    GENERATE_VERIFY_MAC   GenerateMac   VerifyMac     the MAC is the message's
    KEY_AGREEMENT         nothing: there is nobody on the other side

One algorithm for each key spec. Sources: API model, KeyMetadata.KeyUsage; developer guide, "Key spec reference".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from byokd.facts.key import SYMMETRIC

PROBE_CONTEXT: Final[Mapping[str, str]] = {"byokd": "probe"}
"""The encryption context of probes, by which IAM and CloudTrail tell them from all other use of a key."""


class KeyUsage(StrEnum):
    """KeyMetadata.KeyUsage, as far as byokd can try a key of it."""

    ENCRYPT_DECRYPT = "ENCRYPT_DECRYPT"
    SIGN_VERIFY = "SIGN_VERIFY"
    GENERATE_VERIFY_MAC = "GENERATE_VERIFY_MAC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How a key of one spec and usage is tried."""

    usage: KeyUsage
    algorithm: str
    """EncryptionAlgorithm, SigningAlgorithm or MacAlgorithm."""

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
    }
)


def use_of(spec: str, usage: str) -> Use | None:
    """How a key of this spec and KeyUsage is tried; None where byokd knows no way."""
    if usage not in tuple(KeyUsage):
        return None
    algorithm = _ALGORITHMS[KeyUsage(usage)].get(spec)
    return None if algorithm is None else Use(usage=KeyUsage(usage), algorithm=algorithm)
