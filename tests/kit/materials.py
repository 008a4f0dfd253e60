"""Material of every key spec that byokd renews. Private keys are made once for all tests: RSA takes a second."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from byokd.facts.kinds import KINDS, MaterialKind

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

CURVES: dict[str, ec.EllipticCurve] = {
    "ECC_NIST_P256": ec.SECP256R1(),
    "ECC_NIST_P384": ec.SECP384R1(),
    "ECC_NIST_P521": ec.SECP521R1(),
    "ECC_SECG_P256K1": ec.SECP256K1(),
}
PRIVATE = tuple(spec for spec, kind in KINDS.items() if kind.material is not MaterialKind.BYTES)
RAW = tuple(spec for spec in KINDS if spec not in PRIVATE)


@cache
def private_key(spec: str) -> PrivateKey:
    """The private key of an asymmetric spec; the same one in every test."""
    if spec.startswith("RSA_"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(spec.removeprefix("RSA_")))
    return ec.generate_private_key(CURVES[spec]) if spec in CURVES else ed25519.Ed25519PrivateKey.generate()


def material(spec: str) -> bytes:
    """Material of a spec, as KMS takes it."""
    if spec in RAW:
        return bytes(range(KINDS[spec].length))
    return private_key(spec).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def usage(spec: str) -> str:
    """A KeyUsage that CreateKey takes for the spec."""
    if spec == "SYMMETRIC_DEFAULT":
        return "ENCRYPT_DECRYPT"
    return "GENERATE_VERIFY_MAC" if spec.startswith("HMAC_") else "SIGN_VERIFY"
