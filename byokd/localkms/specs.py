"""Every kind of KMS key on offer: what it may be used for, by which algorithms, and what its material is.

One row per key spec; nothing about specs is written down anywhere else. Material has one of two forms, and
`Material.secret` always holds it in that form::

    SYMMETRIC_DEFAULT, HMAC_*   raw bytes of exactly `size` bytes
    RSA_*, ECC_*                a private key as PKCS #8 DER, with a modulus of `size` bits or on the curve `curve`

Sources: API reference of CreateKey (KeySpec, KeyUsage) and KeyMetadata; the guide's "Key spec reference",
https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html. Specs that AWS has and that are
not here (ML_DSA_*, and SM2 in China) are refused as unsupported.

This file must not know keys, requests or storage.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PUBLIC_EXPONENT: Final = 65537


class KeySpec(StrEnum):
    """The key specs on offer, as the API spells them."""

    SYMMETRIC_DEFAULT = "SYMMETRIC_DEFAULT"
    HMAC_224 = "HMAC_224"
    HMAC_256 = "HMAC_256"
    HMAC_384 = "HMAC_384"
    HMAC_512 = "HMAC_512"
    RSA_2048 = "RSA_2048"
    RSA_3072 = "RSA_3072"
    RSA_4096 = "RSA_4096"
    ECC_NIST_P256 = "ECC_NIST_P256"
    ECC_NIST_P384 = "ECC_NIST_P384"
    ECC_NIST_P521 = "ECC_NIST_P521"
    ECC_SECG_P256K1 = "ECC_SECG_P256K1"
    ECC_NIST_EDWARDS25519 = "ECC_NIST_EDWARDS25519"


class KeyUsage(StrEnum):
    """What a key is for. It has exactly one use, for life."""

    ENCRYPT_DECRYPT = "ENCRYPT_DECRYPT"
    SIGN_VERIFY = "SIGN_VERIFY"
    GENERATE_VERIFY_MAC = "GENERATE_VERIFY_MAC"
    KEY_AGREEMENT = "KEY_AGREEMENT"


class Kind(StrEnum):
    """The families of specs: what the rules of import and rotation tell apart."""

    SYMMETRIC = "symmetric"
    HMAC = "HMAC"
    RSA = "RSA"
    ECC = "ECC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One row of the table."""

    name: KeySpec
    kind: Kind
    algorithms: Mapping[KeyUsage, tuple[str, ...]]
    """The uses that a key of this spec may be made for and, for each, the algorithms it offers, in AWS's order."""
    size: int = 0
    """Length of raw material in bytes, or of the modulus in bits. 0 for curves."""
    curve: type[ec.EllipticCurve] | None = field(default=None)
    """The named curve of an ECC spec; None for Ed25519, which has no parameters, and for the others."""

    @property
    def raw(self) -> bool:
        """Whether material is raw bytes; otherwise it is PKCS #8 DER."""
        return self.kind in (Kind.SYMMETRIC, Kind.HMAC)

    @property
    def rotates(self) -> bool:
        """Whether a key may own several materials and rotate. All others own one for life."""
        return self.kind is Kind.SYMMETRIC

    @property
    def default_usage(self) -> KeyUsage | None:
        """The use of a key made without KeyUsage; None: it must be said ("required" but for symmetric encryption)."""
        return KeyUsage.ENCRYPT_DECRYPT if self.kind is Kind.SYMMETRIC else None


RSA_ENCRYPTION: Final = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
RSA_SIGNING: Final = (
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
)
EDDSA: Final = ("ED25519_SHA_512", "ED25519_PH_SHA_512")


def _hmac(name: KeySpec, size: int, algorithm: str) -> Spec:
    return Spec(name=name, kind=Kind.HMAC, size=size, algorithms={KeyUsage.GENERATE_VERIFY_MAC: (algorithm,)})


def _rsa(name: KeySpec, bits: int) -> Spec:
    uses = {KeyUsage.ENCRYPT_DECRYPT: RSA_ENCRYPTION, KeyUsage.SIGN_VERIFY: RSA_SIGNING}
    return Spec(name=name, kind=Kind.RSA, size=bits, algorithms=uses)


def _ecc(name: KeySpec, curve: type[ec.EllipticCurve], signing: str, *agreement: str) -> Spec:
    uses = {KeyUsage.SIGN_VERIFY: (signing,)} | ({KeyUsage.KEY_AGREEMENT: agreement} if agreement else {})
    return Spec(name=name, kind=Kind.ECC, curve=curve, algorithms=uses)


SPECS: Final[Mapping[KeySpec, Spec]] = MappingProxyType(
    {
        row.name: row
        for row in (
            Spec(
                name=KeySpec.SYMMETRIC_DEFAULT,  # AES-256 everywhere but in China
                kind=Kind.SYMMETRIC,
                size=32,
                algorithms={KeyUsage.ENCRYPT_DECRYPT: ("SYMMETRIC_DEFAULT",)},
            ),
            _hmac(KeySpec.HMAC_224, 28, "HMAC_SHA_224"),
            _hmac(KeySpec.HMAC_256, 32, "HMAC_SHA_256"),
            _hmac(KeySpec.HMAC_384, 48, "HMAC_SHA_384"),
            _hmac(KeySpec.HMAC_512, 64, "HMAC_SHA_512"),
            _rsa(KeySpec.RSA_2048, 2048),
            _rsa(KeySpec.RSA_3072, 3072),
            _rsa(KeySpec.RSA_4096, 4096),
            _ecc(KeySpec.ECC_NIST_P256, ec.SECP256R1, "ECDSA_SHA_256", "ECDH"),
            _ecc(KeySpec.ECC_NIST_P384, ec.SECP384R1, "ECDSA_SHA_384", "ECDH"),
            _ecc(KeySpec.ECC_NIST_P521, ec.SECP521R1, "ECDSA_SHA_512", "ECDH"),
            _ecc(KeySpec.ECC_SECG_P256K1, ec.SECP256K1, "ECDSA_SHA_256"),
            Spec(
                name=KeySpec.ECC_NIST_EDWARDS25519,
                kind=Kind.ECC,
                algorithms={KeyUsage.SIGN_VERIFY: EDDSA},
            ),
        )
    }
)


def fresh_secret(spec: KeySpec) -> bytes:
    """New random material for a key of Origin AWS_KMS, in the form of `Material.secret`.

    At once for all but RSA, which takes 0.04 s (2048) to 2 s (4096) of a core, without the GIL: call it in a thread.
    """
    row = SPECS[spec]
    if row.raw:
        return os.urandom(row.size)
    return pkcs8(fresh_private_key(row))


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def fresh_private_key(row: Spec) -> PrivateKey:
    """A new private key of an RSA or ECC spec. Slow for RSA, as `fresh_secret` says."""
    if row.kind is Kind.RSA:
        return rsa.generate_private_key(public_exponent=PUBLIC_EXPONENT, key_size=row.size)
    return ed25519.Ed25519PrivateKey.generate() if row.curve is None else ec.generate_private_key(row.curve())


def pkcs8(private: PrivateKey) -> bytes:
    """A private key as PKCS #8 DER."""
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
