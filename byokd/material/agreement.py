"""The other side of a key agreement, by which a KMS key that derives shared secrets is tried.

    peer(message) ── public key ─▶ DeriveSharedSecret ─▶ secret
          └───── with the KMS key's public key (GetPublicKey) ─▶ the same secret, or the key is not right

The peer's key pair comes from the message alone, so that nothing has to be kept between the two calls. Whoever knows
the message knows the peer: a probe's secret protects nothing, and says nothing about the key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from byokd.errors import BadAnswer

_CURVES: Final[Mapping[str, ec.EllipticCurve]] = MappingProxyType(
    {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1()}
)


def peer_public_key(message: bytes, spec: str) -> bytes:
    """The peer's public key on the curve of a key spec, as DER SubjectPublicKeyInfo."""
    public = _peer(message, _CURVES[spec]).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def agrees(secret: bytes, message: bytes, spec: str, public_key: bytes) -> bool:
    """Whether the peer derives this secret with the owner of `public_key` (DER, as GetPublicKey gives it).

    Raises: BadAnswer where that is no public key.
    """
    curve = _CURVES[spec]
    try:
        public = load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadAnswer("GetPublicKey: the answer has no usable PublicKey") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != curve.name:
        return False
    return hmac.compare_digest(_peer(message, curve).exchange(ec.ECDH(), public), secret)


def _peer(message: bytes, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    # 31 bytes: below the order of every curve, which ECDH wants of a private key; its strength is of no matter here.
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(message).digest()[:31]) + 1, curve)
