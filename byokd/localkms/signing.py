"""Signing algorithms: what each makes of a message, a digest and a private key.

    RSASSA_PSS_SHA_x          MGF1 with the same hash, salt as long as the digest           RAW, DIGEST
    RSASSA_PKCS1_V1_5_SHA_x   RFC 8017                                                      RAW, DIGEST
    ECDSA_SHA_x               DER of r and s (RFC 3279)                                     RAW, DIGEST
    ED25519_SHA_512           pure Ed25519 over the message                                 RAW
    ED25519_PH_SHA_512        Ed25519ph over SHA-512 of the message, itself a digest        DIGEST

RAW means that the message is hashed as part of signing, DIGEST that it is already; a digest has the length that the
algorithm's hash gives. Of ED25519_PH_SHA_512 the API reference says that KMS hashes the digest once more.
EXTERNAL_MU belongs to ML-DSA, which is not on offer, and so fits no algorithm here.

Source: API reference of Sign and Verify, parameters MessageType and SigningAlgorithm; recorded answers. This file must
not know key states or usages; whoever calls it has made sure that the algorithm is one of the key's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from byokd.localkms import ed25519ph
from byokd.localkms.arithmetic import off_the_loop
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.specs import PrivateKey

Hash = hashes.HashAlgorithm | Prehashed

HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "SHA_256": hashes.SHA256(),
    "SHA_384": hashes.SHA384(),
    "SHA_512": hashes.SHA512(),
}

ED25519: Final = "ED25519_SHA_512"
ED25519_PH: Final = "ED25519_PH_SHA_512"


def check_message(algorithm: str, message: bytes, message_type: str) -> None:
    """Let a message of a type pass an algorithm.

    Raises: Refusal with ValidationException when they do not go together, or for a digest of the wrong length.
    """
    fits = {ED25519: ("RAW",), ED25519_PH: ("DIGEST",)}.get(algorithm, ("RAW", "DIGEST"))
    if message_type not in fits:
        raise Refusal(Fault.VALIDATION, f"Message type {message_type} is incompatible with algorithm {algorithm}.")
    if message_type == "DIGEST" and len(message) != _hash(algorithm).digest_size:
        raise Refusal(Fault.VALIDATION, f"Digest is invalid length for algorithm {algorithm}.")


async def signature(private: PrivateKey, algorithm: str, message: bytes, message_type: str) -> bytes:
    """The signature of a message that `check_message` let pass. What is slow happens in a thread."""
    match private:
        case RSAPrivateKey():
            scheme, digest = _padding(algorithm), _prepared(algorithm, message_type)
            return await off_the_loop(private.sign, message, scheme, digest)
        case EllipticCurvePrivateKey():
            return private.sign(message, ECDSA(_prepared(algorithm, message_type)))
        case Ed25519PrivateKey() if algorithm == ED25519_PH:
            return await off_the_loop(ed25519ph.sign, private.private_bytes_raw(), message)
        case Ed25519PrivateKey():
            return private.sign(message)


async def is_signature(private: PrivateKey, algorithm: str, message: bytes, message_type: str, given: bytes) -> bool:
    """Whether what was given is a signature of the message, of whatever form or length it is."""
    match private:
        case RSAPrivateKey():
            rsa = private.public_key()
            return _holds(lambda: rsa.verify(given, message, _padding(algorithm), _prepared(algorithm, message_type)))
        case EllipticCurvePrivateKey():
            ec = private.public_key()
            return _holds(lambda: ec.verify(given, message, ECDSA(_prepared(algorithm, message_type))))
        case Ed25519PrivateKey() if algorithm == ED25519_PH:
            public = private.public_key().public_bytes_raw()
            return await off_the_loop(ed25519ph.verify, public, message, given)
        case Ed25519PrivateKey():
            ed = private.public_key()
            return _holds(lambda: ed.verify(given, message))


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except InvalidSignature:
        return False
    return True


def _hash(algorithm: str) -> hashes.HashAlgorithm:
    return HASHES[algorithm[-len("SHA_512") :]]


def _prepared(algorithm: str, message_type: str) -> Hash:
    return Prehashed(_hash(algorithm)) if message_type == "DIGEST" else _hash(algorithm)


def _padding(algorithm: str) -> padding.AsymmetricPadding:
    if algorithm.startswith("RSASSA_PSS_"):
        return padding.PSS(mgf=padding.MGF1(_hash(algorithm)), salt_length=padding.PSS.DIGEST_LENGTH)
    return padding.PKCS1v15()
