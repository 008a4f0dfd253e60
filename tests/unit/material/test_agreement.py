"""The other side of a key agreement: it derives what KMS derives, of the same message alone."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from byokd.errors import BadAnswer
from byokd.material.agreement import agrees, peer_public_key
from tests.kit.materials import private_key

SPECS = ("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521")


def public_key(spec: str) -> bytes:
    """The public key of the spec's private key, as GetPublicKey gives it."""
    return private_key(spec).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("spec", SPECS)
def test_both_sides_agree(spec: str) -> None:
    """On a secret of this message, with this key; another message, key or bit makes another one."""
    private, peer = private_key(spec), load_der_public_key(peer_public_key(b"one", spec))
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(peer, ec.EllipticCurvePublicKey)
    secret = private.exchange(ec.ECDH(), peer)
    assert agrees(secret, b"one", spec, public_key(spec))
    assert not agrees(secret, b"two", spec, public_key(spec))
    assert not agrees(secret[:-1] + bytes([secret[-1] ^ 1]), b"one", spec, public_key(spec))


def test_a_key_on_another_curve_agrees_with_nobody() -> None:
    """Neither does one that is no public key, which is an answer that cannot be used."""
    assert not agrees(b"x", b"one", "ECC_NIST_P256", public_key("ECC_NIST_P384"))
    assert not agrees(b"x", b"one", "ECC_NIST_P256", public_key("ECC_NIST_EDWARDS25519"))
    with pytest.raises(BadAnswer):
        agrees(b"x", b"one", "ECC_NIST_P256", b"no key")
