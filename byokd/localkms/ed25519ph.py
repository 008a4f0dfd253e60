"""Ed25519ph, the prehashed signatures of RFC 8032, which `cryptography` does not offer.

KMS names it ED25519_PH_SHA_512. It is Ed25519 over SHA-512 of the message, with a prefix (dom2) in every hash, so that
no signature of one kind passes for the other::

    dom2 = "SigEd25519 no Ed25519 collisions" ‖ 01 ‖ 00          prehash flag, empty context
    r    = SHA-512(dom2 ‖ second half of SHA-512(seed) ‖ SHA-512(message))
    R    = r·B          k = SHA-512(dom2 ‖ R ‖ A ‖ SHA-512(message))          S = r + k·a
    a signature R ‖ S is good when S·B = R + k·A

Plain integers do the arithmetic, as in the RFC's own sketch: a few milliseconds each, and not in constant time. That is
enough for a stand-in whose keys guard nothing; this code must not be used for anything else. The prefix is a
parameter, so that the same arithmetic without one can be held against a library's plain Ed25519.

Source: https://www.rfc-editor.org/rfc/rfc8032 (5.1), https://doi.org/10.6028/NIST.FIPS.186-5 (7.8).
"""

from __future__ import annotations

import hashlib
from typing import Final

DOM2: Final = b"SigEd25519 no Ed25519 collisions\x01\x00"
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE: Final = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, x·y = T/Z."""

NEUTRAL: Final[Point] = (0, 1, 1, 0)


def sign(seed: bytes, message: bytes) -> bytes:
    """The Ed25519ph signature (64 bytes) of a message under a private key, given as its 32 bytes (RFC 8032, 5.1.5)."""
    return sign_hashed(seed, hashlib.sha512(message).digest(), DOM2)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is the Ed25519ph one of the message under a public key, given as its 32 bytes."""
    return verify_hashed(public, hashlib.sha512(message).digest(), signature, DOM2)


def sign_hashed(seed: bytes, message: bytes, prefix: bytes) -> bytes:
    """A signature of what is hashed behind `prefix`: Ed25519ph with DOM2 and a prehash, Ed25519 with neither."""
    expanded = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(expanded[:KEY_BYTES], "little") & ((1 << 254) - 8) | (1 << 254)
    public = _compress(_times(scalar, BASE))
    nonce = _hash(prefix + expanded[KEY_BYTES:] + message)
    commitment = _compress(_times(nonce, BASE))
    challenge = _hash(prefix + commitment + public + message)
    return commitment + ((nonce + challenge * scalar) % ORDER).to_bytes(KEY_BYTES, "little")


def verify_hashed(public: bytes, message: bytes, signature: bytes, prefix: bytes) -> bool:
    """The counterpart of `sign_hashed`. A response S that is not reduced is refused, as RFC 8032 wants it."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    commitment, response = signature[:KEY_BYTES], int.from_bytes(signature[KEY_BYTES:], "little")
    key, point = _decompress(public), _decompress(commitment)
    if key is None or point is None or response >= ORDER:
        return False
    challenge = _hash(prefix + commitment + public + message)
    return _same(_times(response, BASE), _add(point, _times(challenge, key)))


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ORDER


def _add(p: Point, q: Point) -> Point:
    """The sum of two points; complete, so that doubling and the neutral element need no case of their own."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar: int, point: Point) -> Point:
    product = NEUTRAL
    while scalar:
        if scalar & 1:
            product = _add(product, point)
        point = _add(point, point)
        scalar >>= 1
    return product


def _same(p: Point, q: Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def _compress(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(KEY_BYTES, "little")


def _decompress(data: bytes) -> Point | None:
    """The point of 32 bytes; None when they are not the encoding of one."""
    sign_and_y = int.from_bytes(data, "little")
    y, odd = sign_and_y & ((1 << 255) - 1), sign_and_y >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and odd):
        return None
    x = P - x if x & 1 != odd else x
    return x, y, 1, x * y % P


def _base() -> Point:
    point = _decompress((4 * pow(5, -1, P) % P).to_bytes(KEY_BYTES, "little"))
    assert point is not None
    return point


BASE: Final = _base()
