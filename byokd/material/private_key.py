"""Telling a private key from raw bytes, and one kind of private key from another.

KMS takes private keys as PKCS #8 in DER, not encrypted, and nothing else (developer guide, "Importing key material",
requirements). Other forms of the same key are everyday mistakes, and each has a shape of its own:

    PKCS #8             SEQUENCE { INTEGER 0 or 1, SEQUENCE { OID, … }, OCTET STRING, … }
    PKCS #8 encrypted   SEQUENCE { SEQUENCE { OID, … }, OCTET STRING }
    PKCS #1 (RSA)       SEQUENCE { INTEGER 0 or 1, eight INTEGERs, … }
    SEC 1 (ECC)         SEQUENCE { INTEGER 1, OCTET STRING, … }
    a public key        SEQUENCE { SEQUENCE { OID, … }, BIT STRING }

What has none of these shapes to the last byte is raw bytes. Random bytes of the length of a symmetric or HMAC key have
one by chance less than once in 2^40. No text here quotes what was read.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from byokd.errors import MaterialInvalid
from byokd.facts.kinds import MaterialKind
from byokd.material.secret import Secret

CONVERT: Final = "convert it with `openssl pkcs8 -topk8 -nocrypt -inform DER -outform DER`"

_INTEGER, _BIT_STRING, _OCTETS, _OID, _SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30
_PKCS1_INTEGERS: Final = 9
_LENGTH_BYTES_MAX: Final = 3
_PEM: Final = b"-----BEGIN "
_CURVES: Final = {
    "secp256r1": MaterialKind.ECC_NIST_P256,
    "secp384r1": MaterialKind.ECC_NIST_P384,
    "secp521r1": MaterialKind.ECC_NIST_P521,
    "secp256k1": MaterialKind.ECC_SECG_P256K1,
}
_MODULI: Final = {2048: MaterialKind.RSA_2048, 3072: MaterialKind.RSA_3072, 4096: MaterialKind.RSA_4096}


def kind_of(material: Secret) -> MaterialKind:
    """What material is.

    Raises: MaterialInvalid if it is a key in a form, of a size or on a curve that KMS does not take; the text says
    which, and the way out.
    """
    if material.view[: len(_PEM)] == memoryview(_PEM):
        raise MaterialInvalid('the source gave PEM text; set encoding = "pem" for the source')
    version, tags = _outline(material.view)
    if version in (0, 1) and tags[:3] == (_INTEGER, _SEQUENCE, _OCTETS):
        return _private_key(material)
    if version in (0, 1) and tags[:_PKCS1_INTEGERS] == (_INTEGER,) * _PKCS1_INTEGERS:
        raise MaterialInvalid(f"the source gave a private key in PKCS #1 form, not PKCS #8; {CONVERT}")
    if version == 1 and tags[:2] == (_INTEGER, _OCTETS):
        raise MaterialInvalid(f"the source gave a private key in SEC 1 form, not PKCS #8; {CONVERT}")
    if tags == (_SEQUENCE, _OCTETS):
        raise MaterialInvalid(f"the source gave an encrypted private key; {CONVERT}")
    if tags == (_SEQUENCE, _BIT_STRING):
        raise MaterialInvalid("the source gave a public key; KMS takes the private one")
    return MaterialKind.BYTES


def _private_key(material: Secret) -> MaterialKind:
    """The kind of a PKCS #8 private key. An RSA key's primes are not proven: that takes 250 ms, and KMS does it."""
    try:
        with material.immutable() as der:
            key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm:
        key = None
    except (ValueError, TypeError, InternalError):
        # The cause is left out: what it tells about the content is nobody's business.
        raise MaterialInvalid(
            f"the source gave a private key that does not parse; write it anew, or {CONVERT}"
        ) from None
    match key:
        case rsa.RSAPrivateKey():
            kind, what = _MODULI.get(key.key_size), f"an RSA key of {key.key_size} bits; KMS takes 2048, 3072 and 4096"
        case ec.EllipticCurvePrivateKey():
            kind, what = _CURVES.get(key.curve.name), f"a key on the curve {key.curve.name}, which KMS does not take"
        case ed25519.Ed25519PrivateKey():
            return MaterialKind.ECC_NIST_EDWARDS25519
        case _:
            kind, what = None, "a private key that is neither RSA nor on a curve that KMS takes"
    if kind is None:
        raise MaterialInvalid(f"the source gave {what}")
    return kind


def _outline(der: memoryview) -> tuple[int, tuple[int, ...]]:
    """The value of the first member, where that is a one-byte INTEGER (else -1), and the tags of all members.

    No tags where this is not one SEQUENCE from the first byte to the last.
    """
    outer = _members(der)
    if len(outer) != 1 or outer[0][0] != _SEQUENCE:
        return -1, ()
    inner = _members(outer[0][1])
    if not inner:
        return -1, ()
    tag, content = inner[0]
    if tag == _SEQUENCE and next(iter(_members(content)), (0,))[0] != _OID:
        return -1, ()
    version = content[0] if tag == _INTEGER and len(content) == 1 else -1
    return version, tuple(tag for tag, _ in inner)


def _members(der: memoryview) -> list[tuple[int, memoryview]]:
    """Tag and content of each value in a row of DER values; none where they do not fill it exactly."""
    found, at = [], 0
    while at + 2 <= len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length > 0x80:  # so many bytes of length follow; 0x80 itself is BER, of indefinite length
            size, at = length - 0x80, at + length - 0x80
            if size > _LENGTH_BYTES_MAX:
                return []
            length = int.from_bytes(der[at - size : at])
        elif length == 0x80:
            return []
        if at + length > len(der):
            return []
        found.append((tag, der[at : at + length]))
        at += length
    return found if at == len(der) else []
