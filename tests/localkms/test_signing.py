"""Sign and Verify: every algorithm of every spec, verified a second time with `cryptography`, and what is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key

from byokd.localkms import ed25519ph

from .kit import Kms
from .rules import rule
from .specimens import imported_key, made_key, private_key

pytestmark = rule("Signatures, MACs and shared secrets", "API Sign")

RSA_ALGORITHMS = [f"RSASSA_{scheme}_SHA_{bits}" for scheme in ("PSS", "PKCS1_V1_5") for bits in (256, 384, 512)]
PAIRS = [
    *[("RSA_2048", algorithm) for algorithm in RSA_ALGORITHMS],
    ("RSA_3072", "RSASSA_PSS_SHA_384"),
    ("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_512"),
    ("ECC_NIST_P256", "ECDSA_SHA_256"),
    ("ECC_NIST_P384", "ECDSA_SHA_384"),
    ("ECC_NIST_P521", "ECDSA_SHA_512"),
    ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
    ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"),
    ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512"),
]
MESSAGE = b"to be signed"
HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def digest(algorithm: str, message: bytes = MESSAGE) -> bytes:
    """The digest that goes with an algorithm."""
    return hashlib.new(f"sha{algorithm[-3:]}", message).digest()


def types_of(algorithm: str) -> list[str]:
    """The message types that an algorithm takes."""
    return {"ED25519_SHA_512": ["RAW"], "ED25519_PH_SHA_512": ["DIGEST"]}.get(algorithm, ["RAW", "DIGEST"])


def sent(algorithm: str, message_type: str) -> dict[str, Any]:
    """The members that give the message to an operation."""
    message = MESSAGE if message_type == "RAW" else digest(algorithm)
    return {"Message": message, "MessageType": message_type, "SigningAlgorithm": algorithm}


def verify_outside(public_der: bytes, algorithm: str, signature: bytes) -> None:
    """Verify with `cryptography` and the public key alone. Raises: InvalidSignature."""
    public, digests = load_der_public_key(public_der), HASHES[algorithm[-3:]]
    match public:
        case rsa.RSAPublicKey() if "PSS" in algorithm:
            scheme = padding.PSS(mgf=padding.MGF1(digests), salt_length=digests.digest_size)
            public.verify(signature, MESSAGE, scheme, digests)
        case rsa.RSAPublicKey():
            public.verify(signature, MESSAGE, padding.PKCS1v15(), digests)
        case ec.EllipticCurvePublicKey():
            public.verify(signature, MESSAGE, ec.ECDSA(digests))
        case ed25519.Ed25519PublicKey() if algorithm == "ED25519_SHA_512":
            public.verify(signature, MESSAGE)
        case ed25519.Ed25519PublicKey():
            # The library has no Ed25519ph; what this test leans on is held against RFC 8032 in test_ed25519ph.py.
            if not ed25519ph.verify(public.public_bytes_raw(), digest(algorithm), signature):
                raise InvalidSignature
        case _:
            raise AssertionError(public)


@pytest.mark.parametrize(("spec", "algorithm"), PAIRS)
async def test_a_signature_verifies_here_and_elsewhere(spec: str, algorithm: str, kms: Kms) -> None:
    """Each algorithm signs a message and its digest alike; KMS and `cryptography` verify both, under either type."""
    key = await imported_key(kms, spec, "SIGN_VERIFY")
    public = await kms.call("get_public_key", KeyId=key)
    for made_as in types_of(algorithm):
        answer = await kms.call("sign", KeyId=key, **sent(algorithm, made_as))
        assert (answer["KeyId"], answer["SigningAlgorithm"]) == (key, algorithm)
        verify_outside(public["PublicKey"], algorithm, answer["Signature"])
        for read_as in types_of(algorithm):
            members = {**sent(algorithm, read_as), "Signature": answer["Signature"]}
            verified = await kms.call("verify", KeyId=key, **members)
            assert (verified["KeyId"], verified["SignatureValid"]) == (key, True)
            assert verified["SigningAlgorithm"] == algorithm


@pytest.mark.parametrize(("spec", "algorithm"), [("RSA_2048", RSA_ALGORITHMS[0]), PAIRS[8], PAIRS[-2]])
async def test_a_key_that_the_kms_made_signs_too(spec: str, algorithm: str, kms: Kms) -> None:
    """A key of Origin AWS_KMS signs under the public key that it gives out."""
    key = await made_key(kms, spec, "SIGN_VERIFY")
    public = await kms.call("get_public_key", KeyId=key)
    answer = await kms.call("sign", KeyId=key, Message=MESSAGE, SigningAlgorithm=algorithm)
    verify_outside(public["PublicKey"], algorithm, answer["Signature"])


@rule("Signatures, MACs and shared secrets", "API Verify")
async def test_a_signature_made_outside_with_the_imported_key_verifies(kms: Kms) -> None:
    """The key is the very one that was imported: what its owner signs elsewhere, Verify accepts."""
    key, private = await imported_key(kms, "ECC_NIST_P384", "SIGN_VERIFY"), private_key("ECC_NIST_P384")
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    signature = private.sign(MESSAGE, ec.ECDSA(hashes.SHA384()))
    members = {"Message": MESSAGE, "SigningAlgorithm": "ECDSA_SHA_384", "Signature": signature}
    assert (await kms.call("verify", KeyId=key, **members))["SignatureValid"]


async def test_a_pss_signature_has_a_salt_as_long_as_its_digest(kms: Kms) -> None:
    """RSASSA_PSS means a salt of the digest's length; a signature with another salt is not one of this algorithm."""
    key, private = await imported_key(kms, "RSA_2048", "SIGN_VERIFY"), private_key("RSA_2048")
    assert isinstance(private, rsa.RSAPrivateKey)
    for salt, good in ((32, True), (20, False), (222, False)):
        scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
        signature = private.sign(digest("256"), scheme, Prehashed(hashes.SHA256()))
        members = {"Message": MESSAGE, "SigningAlgorithm": "RSASSA_PSS_SHA_256", "Signature": signature}
        if good:
            assert (await kms.call("verify", KeyId=key, **members))["SignatureValid"]
        else:
            assert (await kms.refused("verify", KeyId=key, **members)).code == "KMSInvalidSignatureException"


@rule("Signatures, MACs and shared secrets", "API Verify")
@pytest.mark.parametrize(("spec", "algorithm"), [PAIRS[0], PAIRS[3], *PAIRS[8:]])
async def test_a_signature_that_does_not_verify_is_refused_without_a_message(
    spec: str, algorithm: str, kms: Kms
) -> None:
    """Another message, another signature, another form or length: KMSInvalidSignatureException, and nothing more."""
    key = await imported_key(kms, spec, "SIGN_VERIFY")
    members = sent(algorithm, types_of(algorithm)[-1])
    signature = (await kms.call("sign", KeyId=key, **members))["Signature"]
    other = bytes(len(members["Message"]))
    bad: list[dict[str, Any]] = [
        {"Message": other, "Signature": signature},
        {"Signature": signature[:-1] + bytes((signature[-1] ^ 1,))},
        {"Signature": bytes((signature[0] ^ 1,)) + signature[1:]},
        {"Signature": signature[:-1]},
        {"Signature": signature + b"\0"},
        {"Signature": b"\0"},
        {"Signature": b"a" * 6144},
        {"Signature": b"\xff" * len(signature)},
    ]
    for change in bad:
        refused = await kms.refused("verify", KeyId=key, **(members | change))
        assert (refused.code, refused.message) == ("KMSInvalidSignatureException", ""), change
    assert (await kms.call("verify", KeyId=key, **members, Signature=signature))["SignatureValid"]


@rule("Signatures, MACs and shared secrets", "API Verify")
async def test_another_keys_signature_is_refused(kms: Kms) -> None:
    """A signature is bound to the key that made it, also between two keys of one spec."""
    one, two = await made_key(kms, "ECC_NIST_P256", "SIGN_VERIFY"), await made_key(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    members = sent("ECDSA_SHA_256", "RAW")
    signature = (await kms.call("sign", KeyId=one, **members))["Signature"]
    refused = await kms.refused("verify", KeyId=two, **members, Signature=signature)
    assert (refused.code, refused.message) == ("KMSInvalidSignatureException", "")


REFUSED: list[tuple[str, str, str, bytes, str, str]] = [
    *[
        (
            spec,
            algorithm,
            "DIGEST",
            bytes(length),
            "ValidationException",
            f"Digest is invalid length for algorithm {algorithm}.",
        )
        for spec, algorithm, length in (
            ("RSA_2048", "RSASSA_PSS_SHA_256", 31),
            ("RSA_2048", "RSASSA_PSS_SHA_384", 32),
            ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_512", 48),
            ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", 64),
            ("ECC_NIST_P256", "ECDSA_SHA_256", 33),
            ("ECC_NIST_P521", "ECDSA_SHA_512", 4096),
            ("ECC_SECG_P256K1", "ECDSA_SHA_256", 1),
            ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", 32),
        )
    ],
    *[
        (
            spec,
            algorithm,
            message_type,
            bytes(64),
            "ValidationException",
            f"Message type {message_type} is incompatible with algorithm {algorithm}.",
        )
        for spec, algorithm, message_type in (
            ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "DIGEST"),
            ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "RAW"),
            ("ECC_NIST_P521", "ECDSA_SHA_512", "EXTERNAL_MU"),
            ("RSA_2048", "RSASSA_PSS_SHA_512", "EXTERNAL_MU"),
        )
    ],
    *[
        (
            spec,
            algorithm,
            "DIGEST",  # of a wrong length, too: the algorithm is looked at first
            b"x",
            "InvalidKeyUsageException",
            f"Algorithm {algorithm} is incompatible with key spec {spec}.",
        )
        for spec, algorithm in (
            ("RSA_2048", "ECDSA_SHA_256"),
            ("RSA_2048", "ED25519_SHA_512"),
            ("ECC_NIST_P256", "ECDSA_SHA_384"),
            ("ECC_NIST_P384", "RSASSA_PSS_SHA_384"),
            ("ECC_SECG_P256K1", "ECDSA_SHA_512"),
            ("ECC_NIST_EDWARDS25519", "ECDSA_SHA_512"),
            ("ECC_NIST_P256", "SM2DSA"),
            ("RSA_2048", "ML_DSA_SHAKE_256"),
        )
    ],
]


@pytest.mark.parametrize("operation", ["sign", "verify"])
async def test_a_message_or_algorithm_that_does_not_fit_is_refused(operation: str, kms: Kms) -> None:
    """Digest lengths, message types and algorithms are held to the key's spec, on signing and on verifying alike."""
    keys = {spec: await imported_key(kms, spec, "SIGN_VERIFY") for spec in sorted({case[0] for case in REFUSED})}
    for spec, algorithm, message_type, message, code, told in REFUSED:
        members = {"Message": message, "MessageType": message_type, "SigningAlgorithm": algorithm}
        if operation == "verify":
            members["Signature"] = b"x"
        refused = await kms.refused(operation, KeyId=keys[spec], **members)
        assert (refused.code, refused.message) == (code, told)


@pytest.mark.parametrize("length", [1, 4096])
async def test_messages_of_any_length_within_the_limits_are_signed(length: int, kms: Kms) -> None:
    """A raw message has 1 to 4096 bytes, also for Ed25519, which hashes it twice."""
    key = await imported_key(kms, "ECC_NIST_EDWARDS25519", "SIGN_VERIFY")
    members = {"KeyId": key, "Message": b"m" * length, "SigningAlgorithm": "ED25519_SHA_512"}
    signature = (await kms.call("sign", **members))["Signature"]
    assert (await kms.call("verify", **members, Signature=signature))["SignatureValid"]
    beyond = {0: "greater than or equal to 1", 4097: "less than or equal to 4096"}
    for wrong, limit in beyond.items():
        refused = await kms.refused("sign", **(members | {"Message": b"m" * wrong}))
        assert refused.message == (
            f"1 validation error detected: Value at 'message' failed to satisfy constraint: "
            f"Member must have length {limit}"
        )
