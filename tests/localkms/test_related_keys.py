"""Multi-Region keys at work: what one key of a family made, its relatives accept, and nobody else does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from .kit import MATERIAL, OTHER_MATERIAL, Kms
from .rules import rule
from .specimens import FOREVER, imported_key, material, wrapping_of

THERE = "us-east-1"
OVERVIEW = "guide multi-region-keys-overview"
FAMILIES = "Multi-Region keys"


@pytest.fixture
def away(kms: Kms) -> Kms:
    """A client of the same server in another Region."""
    return Kms(kms.url, kms.clock, region=THERE)


async def family(kms: Kms, away: Kms, spec: str, usage: str) -> tuple[str, str]:
    """The ARNs of an imported primary here and of its replica away, which holds the same material."""
    primary = await imported_key(kms, spec, usage, MultiRegion=True)
    await kms.call("replicate_key", KeyId=primary, ReplicaRegion=THERE)
    replica = primary.replace(kms.region, THERE)
    terms = await away.import_terms(replica, material(spec), wrapping_of(spec))
    await away.call("import_key_material", **terms, **FOREVER)
    return primary, replica


Use = Callable[[Kms, str, Kms, str], Awaitable[None]]


async def sign_and_verify(one: Kms, key: str, other: Kms, relative: str) -> None:
    """A signature verifies under the relative, which gives out the same public key."""
    members: dict[str, Any] = {"Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = (await one.call("sign", KeyId=key, **members))["Signature"]
    assert (await other.call("verify", KeyId=relative, **members, Signature=signature))["SignatureValid"]
    public = [await each.call("get_public_key", KeyId=arn) for each, arn in ((one, key), (other, relative))]
    assert public[0]["PublicKey"] == public[1]["PublicKey"]


async def authenticate(one: Kms, key: str, other: Kms, relative: str) -> None:
    """A MAC verifies under the relative."""
    members: dict[str, Any] = {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
    mac = (await one.call("generate_mac", KeyId=key, **members))["Mac"]
    assert (await other.call("verify_mac", KeyId=relative, **members, Mac=mac))["MacValid"]


async def encrypt_under_rsa(one: Kms, key: str, other: Kms, relative: str) -> None:
    """An RSA ciphertext decrypts under the relative."""
    members = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    blob = (await one.call("encrypt", KeyId=key, Plaintext=b"p", **members))["CiphertextBlob"]
    assert (await other.call("decrypt", KeyId=relative, CiphertextBlob=blob, **members))["Plaintext"] == b"p"


async def encrypt(one: Kms, key: str, other: Kms, relative: str) -> None:
    """A ciphertext, a data key and a re-encryption decrypt under the relative, named or not, and tell its ARN."""
    blobs = [
        (await one.call("encrypt", KeyId=key, Plaintext=b"p"))["CiphertextBlob"],
        (await one.call("generate_data_key_without_plaintext", KeyId=key, NumberOfBytes=8))["CiphertextBlob"],
    ]
    blobs.append((await one.call("re_encrypt", CiphertextBlob=blobs[0], DestinationKeyId=key))["CiphertextBlob"])
    for blob in blobs:
        for name in ({}, {"KeyId": relative}):
            assert (await other.call("decrypt", CiphertextBlob=blob, **name))["KeyId"] == relative
    moved = await other.call("re_encrypt", CiphertextBlob=blobs[0], DestinationKeyId=relative)
    assert (moved["SourceKeyId"], moved["KeyId"]) == (relative, relative)
    assert moved["SourceKeyMaterialId"] == moved["DestinationKeyMaterialId"]


USES: list[tuple[str, str, Use]] = [
    ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", encrypt),
    ("RSA_2048", "ENCRYPT_DECRYPT", encrypt_under_rsa),
    ("ECC_NIST_P256", "SIGN_VERIFY", sign_and_verify),
    ("HMAC_256", "GENERATE_VERIFY_MAC", authenticate),
]


@rule(FAMILIES, OVERVIEW)
@pytest.mark.parametrize(("spec", "usage", "use"), USES, ids=[use.__name__ for _, _, use in USES])
async def test_related_keys_are_interchangeable(spec: str, usage: str, use: Use, kms: Kms, away: Kms) -> None:
    """What one key of a family encrypted, signed or authenticated, its relative decrypts or verifies, both ways."""
    primary, replica = await family(kms, away, spec, usage)
    await use(kms, primary, away, replica)
    await use(away, replica, kms, primary)


@rule(FAMILIES, OVERVIEW)
async def test_each_relative_needs_its_own_material(kms: Kms, away: Kms) -> None:
    """A replica that lost its material cannot decrypt what its primary still can, until it is imported there again."""
    primary, replica = await family(kms, away, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    blob = (await kms.call("encrypt", KeyId=primary, Plaintext=b"p"))["CiphertextBlob"]
    await away.call("delete_imported_key_material", KeyId=replica)
    refused = await away.refused("decrypt", CiphertextBlob=blob)
    assert (refused.code, refused.message) == ("KMSInvalidStateException", f"{replica} is pending import.")
    assert (await kms.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"p"
    await away.import_material(replica, material("SYMMETRIC_DEFAULT"))
    assert (await away.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"p"


@rule(FAMILIES, "API ImportKeyMaterial")
async def test_ciphertexts_of_every_material_decrypt_under_a_relative(kms: Kms, away: Kms) -> None:
    """After a rotation of the family, the old and the new ciphertexts of one key decrypt under the other."""
    primary, replica = await family(kms, away, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    assert material("SYMMETRIC_DEFAULT") == MATERIAL
    before = (await kms.call("encrypt", KeyId=primary, Plaintext=b"before"))["CiphertextBlob"]
    await kms.import_material(primary, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await away.import_material(replica, OTHER_MATERIAL, ImportType="EXISTING_KEY_MATERIAL")
    await kms.call("rotate_key_on_demand", KeyId=primary)
    after = (await kms.call("encrypt", KeyId=primary, Plaintext=b"after"))["CiphertextBlob"]
    answers = [await away.call("decrypt", CiphertextBlob=blob) for blob in (before, after)]
    assert [answer["Plaintext"] for answer in answers] == [b"before", b"after"]
    assert answers[0]["KeyMaterialId"] != answers[1]["KeyMaterialId"]


@rule(FAMILIES, OVERVIEW)
async def test_nobody_else_decrypts_in_another_region(kms: Kms, away: Kms) -> None:
    """A ciphertext names its key alone: a single-Region key with the same bytes, here or elsewhere, is another key."""
    key, elsewhere = await kms.create_key(), await away.create_key()
    await kms.import_material(key)
    await away.import_material(elsewhere)
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"p"))["CiphertextBlob"]
    assert (await away.refused("decrypt", CiphertextBlob=blob)).code == "AccessDeniedException"
    assert (await away.refused("decrypt", CiphertextBlob=blob, KeyId=elsewhere)).code == "IncorrectKeyException"
    assert (await away.refused("decrypt", CiphertextBlob=blob, KeyId=key)).message == f"Invalid arn {kms.region}"
