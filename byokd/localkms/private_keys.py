"""Imported private keys: whether the bytes are one of the wanted spec, and the one form in which it is kept.

The guide asks for PKCS #8 in BER or DER, RSA keys of exactly two primes, and elliptic curves by name, never by explicit
parameters
(https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-conceptual.html#importing-keys-material-requirements).
No other container is taken: cryptography would also read PKCS #1 and SEC 1, so the header is looked at first::

    SEQUENCE { INTEGER version, SEQUENCE { OID algorithm, [OID curve | NULL] }, OCTET STRING key ... }

What is accepted is written again in OpenSSL's own way, so that one key has one KeyMaterialId, whatever optional parts
its file had. This file must not let a byte of a key into an error.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from byokd.localkms.ber import NotBerError, der
from byokd.localkms.specs import Kind, Spec, pkcs8

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
OID: Final = 0x06


def canonical(sent: bytes, row: Spec) -> bytes | None:
    """The private key as it is kept, from PKCS #8 as a client sends it. Takes up to 5 ms, mostly without the GIL.

    None unless it is a sound private key of the spec. No cause is told: it could tell something of the key.
    """
    try:
        private = _loaded(der(sent), named_curve=row.curve is not None)
    except NotBerError:
        return None
    match private:
        case rsa.RSAPrivateKey():
            fits = row.kind is Kind.RSA and private.key_size == row.size and _sound(private)
        case ec.EllipticCurvePrivateKey():
            fits = row.curve is not None and isinstance(private.curve, row.curve)
        case ed25519.Ed25519PrivateKey():
            fits = row.kind is Kind.ECC and row.curve is None
        case _:
            return None
    return pkcs8(private) if fits else None


def _loaded(document: bytes, *, named_curve: bool) -> object:
    """What PKCS #8 holds. The library's own proof of RSA primes takes 250 ms and holds the GIL: see `_sound`."""
    try:
        if _is_pkcs8(document, named_curve=named_curve):
            return load_der_private_key(document, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm, IndexError, InternalError):
        return None  # InternalError: an Ed448 key of 32 bytes, which the library leaves to OpenSSL to be surprised at
    return None


def _sound(private: rsa.RSAPrivateKey) -> bool:
    """Whether the numbers belong together.

    The sizes and congruences are computed. That p and q are prime is shown by signing: for a composite factor, a random
    message would have to be its own image under e·d, which is a Fermat test that random composites do not pass.
    """
    numbers = private.private_numbers()
    p, q, d = numbers.p, numbers.q, numbers.d
    e, n = numbers.public_numbers.e, numbers.public_numbers.n
    if p * q != n or p == q or e < 3 or e % 2 == 0:
        return False
    if (e * d) % (p - 1) != 1 or (e * d) % (q - 1) != 1:
        return False
    if numbers.dmp1 != d % (p - 1) or numbers.dmq1 != d % (q - 1) or (numbers.iqmp * q) % p != 1:
        return False
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
    try:
        signature = private.sign(b"", scheme, hashes.SHA256())  # salted, so the message represented is a random one
        private.public_key().verify(signature, b"", scheme, hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_pkcs8(der: bytes, *, named_curve: bool) -> bool:
    """Whether the outer layers are those of PKCS #8, with a curve given by its name."""
    tag, start, end = _element(der, 0)
    if tag != SEQUENCE or end != len(der):
        return False
    version, _, start = _element(der, start)
    algorithm, inner, _ = _element(der, start)
    if version != INTEGER or algorithm != SEQUENCE:
        return False
    oid, _, parameters = _element(der, inner)
    return oid == OID and (not named_curve or der[parameters] == OID)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """The tag of the DER element at an offset, where its content starts, and where it ends. Raises: IndexError."""
    length, start = der[at + 1], at + 2
    if length >= 0x80:
        octets = length - 0x80
        length, start = int.from_bytes(der[start : start + octets]), start + octets
    return der[at], start, start + length
