"""GenerateDataKey, GenerateDataKeyPair, their quiet twins, and GenerateRandom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from .kit import Kms
from .rules import rule
from .specimens import CURVES, RSA_BITS

pytestmark = rule("Encryption", "API GenerateDataKey")

CONTEXT = {"purpose": "test"}
EITHER = "Please specify either number of bytes or key spec."
ENVELOPE = {"KeyId", "KeyMaterialId", "ResponseMetadata"}


@pytest.mark.parametrize(
    ("wanted", "length"),
    [
        ({"KeySpec": "AES_128"}, 16),
        ({"KeySpec": "AES_256"}, 32),
        ({"NumberOfBytes": 1}, 1),
        ({"NumberOfBytes": 1024}, 1024),
    ],
)
async def test_a_data_key_has_the_wanted_length_and_decrypts(wanted: dict[str, Any], length: int, kms: Kms) -> None:
    """Both forms of GenerateDataKey make a fresh key each time, bound to the context; only one tells it."""
    key = await kms.create_key(Origin="AWS_KMS")
    material = (await kms.describe(key))["CurrentKeyMaterialId"]
    members = {"KeyId": key, "EncryptionContext": CONTEXT, **wanted}
    plain = await kms.call("generate_data_key", **members)
    quiet = await kms.call("generate_data_key_without_plaintext", **members)
    assert plain.keys() == ENVELOPE | {"CiphertextBlob", "Plaintext"}
    assert quiet.keys() == ENVELOPE | {"CiphertextBlob"}
    found = []
    for answer in (plain, quiet):
        assert (answer["KeyId"], answer["KeyMaterialId"]) == (key, material)
        bound = {"CiphertextBlob": answer["CiphertextBlob"]}
        found.append((await kms.call("decrypt", **bound, EncryptionContext=CONTEXT))["Plaintext"])
        assert (await kms.refused("decrypt", **bound)).code == "InvalidCiphertextException"
    assert found[0] == plain["Plaintext"]
    assert [len(each) for each in found] == [length, length]
    assert length < 16 or found[0] != found[1]


@pytest.mark.parametrize("operation", ["generate_data_key", "generate_data_key_without_plaintext"])
async def test_a_data_key_needs_one_length(operation: str, kms: Kms) -> None:
    """Neither or both of KeySpec and NumberOfBytes is refused, before the key's state is looked at."""
    key = await kms.create_key()
    for members in ({}, {"KeySpec": "AES_256", "NumberOfBytes": 32}):
        refused = await kms.refused(operation, KeyId=key, **members)
        assert (refused.code, refused.message) == ("ValidationException", EITHER)


def spec_of(private: object) -> str:
    """The spec of a private key."""
    match private:
        case rsa.RSAPrivateKey():
            return f"RSA_{private.key_size}"
        case ec.EllipticCurvePrivateKey():
            return next(spec for spec, curve in CURVES.items() if curve.name == private.curve.name)
        case ed25519.Ed25519PrivateKey():
            return "ECC_NIST_EDWARDS25519"
        case _:
            raise AssertionError(private)


@rule("Encryption", "API GenerateDataKeyPair")
@pytest.mark.parametrize("spec", ["RSA_2048", *CURVES, "ECC_NIST_EDWARDS25519"])
async def test_a_data_key_pair_belongs_together(spec: str, kms: Kms) -> None:
    """The plain and the encrypted private key of a pair are one, of the wanted spec, and its public key fits."""
    key = await kms.create_key(Origin="AWS_KMS")
    members = {"KeyId": key, "KeyPairSpec": spec, "EncryptionContext": CONTEXT}
    plain = await kms.call("generate_data_key_pair", **members)
    quiet = await kms.call("generate_data_key_pair_without_plaintext", **members)
    told = ENVELOPE | {"KeyPairSpec", "PrivateKeyCiphertextBlob", "PublicKey"}
    assert plain.keys() == told | {"PrivateKeyPlaintext"}
    assert quiet.keys() == told
    for answer in (plain, quiet):
        assert (answer["KeyId"], answer["KeyPairSpec"]) == (key, spec)
        bound = {"CiphertextBlob": answer["PrivateKeyCiphertextBlob"]}
        der = (await kms.call("decrypt", **bound, EncryptionContext=CONTEXT))["Plaintext"]
        assert (await kms.refused("decrypt", **bound)).code == "InvalidCiphertextException"
        assert der == answer.get("PrivateKeyPlaintext", der)
        private = load_der_private_key(der, password=None)
        assert spec_of(private) == spec
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert public == answer["PublicKey"]
    assert plain["PublicKey"] != quiet["PublicKey"]


@rule("Encryption", "API GenerateDataKeyPair")
async def test_larger_rsa_pairs_are_made_while_others_are_served(kms: Kms) -> None:
    """RSA_3072 and RSA_4096 pairs fit into a ciphertext, and others are answered while they are made."""
    key = await kms.create_key(Origin="AWS_KMS")
    larger = sorted(RSA_BITS.keys() - {"RSA_2048"})
    operation = "generate_data_key_pair_without_plaintext"
    making = [asyncio.create_task(kms.call(operation, KeyId=key, KeyPairSpec=spec)) for spec in larger]
    await kms.call(operation, KeyId=key, KeyPairSpec="ECC_NIST_P256")
    assert not all(task.done() for task in making)
    for spec, answer in zip(larger, await asyncio.gather(*making), strict=True):
        der = (await kms.call("decrypt", CiphertextBlob=answer["PrivateKeyCiphertextBlob"]))["Plaintext"]
        assert spec_of(load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)) == spec


@rule("Encryption", "API GenerateDataKeyPair")
async def test_a_pair_of_china_is_not_on_offer(kms: Kms) -> None:
    """SM2 exists in China Regions only; elsewhere it is unsupported."""
    key = await kms.create_key(Origin="AWS_KMS")
    assert (await kms.refused("generate_data_key_pair", KeyId=key, KeyPairSpec="SM2")).code == (
        "UnsupportedOperationException"
    )


@rule("Encryption", "API GenerateRandom")
@pytest.mark.parametrize("length", [1, 1024])
async def test_random_bytes_come_in_the_wanted_length(length: int, kms: Kms) -> None:
    """1 to 1024 bytes, and nothing else in the answer."""
    answer = await kms.call("generate_random", NumberOfBytes=length)
    assert answer.keys() == {"Plaintext", "ResponseMetadata"}
    assert len(answer["Plaintext"]) == length
    assert length == 1 or answer["Plaintext"] != (await kms.call("generate_random", NumberOfBytes=length))["Plaintext"]


@rule("Encryption", "API GenerateRandom")
async def test_random_bytes_are_refused_as_recorded(kms: Kms) -> None:
    """No length, a length out of bounds, and a custom key store, of which there are none."""
    problem = "1 validation error detected: Value '{}' at 'numberOfBytes' failed to satisfy constraint: {}"
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({}, "ValidationException", "NumberOfBytes is required."),
        (
            {"NumberOfBytes": 0},
            "ValidationException",
            problem.format(0, "Member must have value greater than or equal to 1"),
        ),
        (
            {"NumberOfBytes": 1025},
            "ValidationException",
            problem.format(1025, "Member must have value less than or equal to 1024"),
        ),
        ({"NumberOfBytes": 8, "CustomKeyStoreId": "cks-1234567890abcdef0"}, "CustomKeyStoreNotFoundException", ""),
    ]
    for members, code, message in cases:
        refused = await kms.refused("generate_random", **members)
        assert (refused.code, refused.message) == (code, message)
