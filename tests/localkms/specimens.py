"""Key material of every spec for the tests of cryptography, and keys that hold it.

The private keys here are made and serialized by `cryptography`, as a client would; byokd.localkms never sees the
objects, only PKCS #8. RSA keys are made once for all tests.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .kit import Kms

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

HMAC_BYTES = {"HMAC_224": 28, "HMAC_256": 32, "HMAC_384": 48, "HMAC_512": 64}
RSA_BITS = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
CURVES: dict[str, ec.EllipticCurve] = {
    "ECC_NIST_P256": ec.SECP256R1(),
    "ECC_NIST_P384": ec.SECP384R1(),
    "ECC_NIST_P521": ec.SECP521R1(),
    "ECC_SECG_P256K1": ec.SECP256K1(),
}
FOREVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


@cache
def private_key(spec: str) -> PrivateKey:
    """The private key of an asymmetric spec; the same one in every test."""
    if spec in RSA_BITS:
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS[spec])
    return ec.generate_private_key(CURVES[spec]) if spec in CURVES else ed25519.Ed25519PrivateKey.generate()


def material(spec: str) -> bytes:
    """Material of a spec, as it would be wrapped for an import."""
    if spec == "SYMMETRIC_DEFAULT":
        return bytes(range(32))
    if spec in HMAC_BYTES:
        return bytes(range(HMAC_BYTES[spec]))
    return private_key(spec).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def wrapping_of(spec: str) -> str:
    """A wrapping algorithm that AWS takes for a spec, under any wrapping key."""
    return "RSAES_OAEP_SHA_256" if spec in HMAC_BYTES or spec == "SYMMETRIC_DEFAULT" else "RSA_AES_KEY_WRAP_SHA_256"


async def imported_key(kms: Kms, spec: str, usage: str, **members: Any) -> str:
    """The ARN of an Enabled key that holds the material of its spec."""
    key = await kms.create_key(KeySpec=spec, KeyUsage=usage, **members)
    terms = await kms.import_terms(key, material(spec), wrapping_of(spec))
    await kms.call("import_key_material", **terms, **FOREVER)
    return key


async def made_key(kms: Kms, spec: str, usage: str) -> str:
    """The ARN of a key whose material the KMS made itself."""
    return await kms.create_key(KeySpec=spec, KeyUsage=usage, Origin="AWS_KMS")
