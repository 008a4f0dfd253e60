"""DeriveSharedSecret: every NIST curve against `cryptography`, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from .kit import Kms
from .rules import rule
from .specimens import CURVES, PrivateKey, imported_key, made_key, private_key

pytestmark = rule("Signatures, MACs and shared secrets", "API DeriveSharedSecret")

NIST = ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"]
FIELD_BYTES = {"ECC_NIST_P256": 32, "ECC_NIST_P384": 48, "ECC_NIST_P521": 66}


def public_der(private: PrivateKey) -> bytes:
    """The SubjectPublicKeyInfo of a private key."""
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("spec", NIST)
async def test_both_sides_derive_the_same_secret(spec: str, kms: Kms) -> None:
    """An imported key, a key that the KMS made and a key outside agree two by two, on the raw x-coordinate."""
    one, two = await imported_key(kms, spec, "KEY_AGREEMENT"), await made_key(kms, spec, "KEY_AGREEMENT")
    keys = {key: (await kms.call("get_public_key", KeyId=key)) for key in (one, two)}
    assert keys[one]["KeyAgreementAlgorithms"] == ["ECDH"]

    async def derived(key: str, public: bytes) -> bytes:
        answer = await kms.call("derive_shared_secret", KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=public)
        origin = "EXTERNAL" if key == one else "AWS_KMS"
        assert (answer["KeyId"], answer["KeyAgreementAlgorithm"], answer["KeyOrigin"]) == (key, "ECDH", origin)
        secret: bytes = answer["SharedSecret"]
        return secret

    within = await derived(one, keys[two]["PublicKey"])
    assert within == await derived(two, keys[one]["PublicKey"])
    assert len(within) == FIELD_BYTES[spec]

    outside, inside = ec.generate_private_key(CURVES[spec]), private_key(spec)
    their_public = load_der_public_key(keys[two]["PublicKey"])
    assert isinstance(their_public, ec.EllipticCurvePublicKey)
    assert isinstance(inside, ec.EllipticCurvePrivateKey)
    assert within == inside.exchange(ec.ECDH(), their_public)
    assert await derived(one, public_der(outside)) == outside.exchange(ec.ECDH(), inside.public_key())


async def test_only_a_public_key_on_the_same_curve_will_do(kms: Kms) -> None:
    """Another curve, another kind of key, a point off the curve, or garbage: ValidationException without a message."""
    key = await imported_key(kms, "ECC_NIST_P256", "KEY_AGREEMENT")
    good = public_der(ec.generate_private_key(ec.SECP256R1()))
    bad = [
        b"InvalidPublicKey",  # recorded
        *(
            public_der(private_key(spec))
            for spec in ("ECC_NIST_P384", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "RSA_2048")
        ),
        good[:-1] + bytes((good[-1] ^ 1,)),
        good[:-1],
        good + b"\0",
        good[-65:],  # the bare point
    ]
    members = {"KeyId": key, "KeyAgreementAlgorithm": "ECDH"}
    for public in bad:
        refused = await kms.refused("derive_shared_secret", **members, PublicKey=public)
        assert (refused.code, refused.message) == ("ValidationException", "")
    assert len((await kms.call("derive_shared_secret", **members, PublicKey=good))["SharedSecret"]) == 32
