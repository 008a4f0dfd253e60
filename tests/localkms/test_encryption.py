"""Encrypt, Decrypt and ReEncrypt under keys of both kinds, each checked a second time with `cryptography`."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from .kit import DAY, MATERIAL, OTHER_MATERIAL, Kms
from .rules import rule
from .specimens import FOREVER, imported_key, made_key, private_key

pytestmark = rule("Encryption", "API Encrypt")

ENCRYPT_DECRYPT = "ENCRYPT_DECRYPT"
LIMITS = {  # bytes of plaintext: the table in the API reference of Encrypt
    ("RSA_2048", "RSAES_OAEP_SHA_1"): 214,
    ("RSA_2048", "RSAES_OAEP_SHA_256"): 190,
    ("RSA_3072", "RSAES_OAEP_SHA_1"): 342,
    ("RSA_3072", "RSAES_OAEP_SHA_256"): 318,
    ("RSA_4096", "RSAES_OAEP_SHA_1"): 470,
    ("RSA_4096", "RSAES_OAEP_SHA_256"): 446,
}
CONTEXT = {"purpose": "test", "ärger": "größer"}
NO_CONTEXT = "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
WRONG_KEY = "The key ID in the request does not identify a CMK that can perform this operation."


def oaep(algorithm: str) -> padding.OAEP:
    """The padding of an algorithm."""
    digest = hashes.SHA1() if algorithm.endswith("_1") else hashes.SHA256()
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)


@pytest.mark.parametrize(("spec", "algorithm"), LIMITS)
async def test_rsa_encrypts_up_to_its_limit_here_and_elsewhere(spec: str, algorithm: str, kms: Kms) -> None:
    """RSAES-OAEP round-trips, opens with the imported private key, and refuses one byte more than AWS's table says."""
    key, private = await imported_key(kms, spec, ENCRYPT_DECRYPT), private_key(spec)
    assert isinstance(private, rsa.RSAPrivateKey)
    members = {"KeyId": key, "EncryptionAlgorithm": algorithm}
    plaintext = b"p" * LIMITS[spec, algorithm]
    answer = await kms.call("encrypt", Plaintext=plaintext, **members)
    blob = answer.pop("CiphertextBlob")
    assert (answer["KeyId"], answer["EncryptionAlgorithm"], len(blob)) == (key, algorithm, private.key_size // 8)
    assert private.decrypt(blob, oaep(algorithm)) == plaintext
    decrypted = await kms.call("decrypt", CiphertextBlob=blob, **members)
    assert (decrypted["Plaintext"], decrypted["KeyId"]) == (plaintext, key)
    assert decrypted["EncryptionAlgorithm"] == algorithm
    assert "KeyMaterialId" not in decrypted
    refused = await kms.refused("encrypt", Plaintext=plaintext + b"p", **members)
    assert (refused.code, refused.message) == (
        "ValidationException",
        f"Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {len(plaintext)} bytes.",
    )


@rule("Encryption", "API Decrypt")
async def test_what_was_encrypted_outside_under_the_public_key_decrypts(kms: Kms) -> None:
    """Whoever holds the public key can encrypt without the KMS, under a key that the KMS made as well."""
    key = await made_key(kms, "RSA_2048", ENCRYPT_DECRYPT)
    answer = await kms.call("get_public_key", KeyId=key)
    assert answer["EncryptionAlgorithms"] == ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
    public = load_der_public_key(answer["PublicKey"])
    assert isinstance(public, rsa.RSAPublicKey)
    for algorithm in answer["EncryptionAlgorithms"]:
        blob = public.encrypt(b"from outside", oaep(algorithm))
        decrypted = await kms.call("decrypt", KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm=algorithm)
        assert decrypted["Plaintext"] == b"from outside"


@rule("Encryption", "API Decrypt")
async def test_rsa_ciphertexts_that_do_not_decrypt_are_refused_without_a_message(kms: Kms) -> None:
    """Another hash, another key, damage, a wrong length, or no algorithm at all: InvalidCiphertextException."""
    key, other = await imported_key(kms, "RSA_2048", ENCRYPT_DECRYPT), await made_key(kms, "RSA_2048", ENCRYPT_DECRYPT)
    sha_256: dict[str, Any] = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    blob = (await kms.call("encrypt", Plaintext=b"x", **sha_256))["CiphertextBlob"]
    good: dict[str, Any] = sha_256 | {"CiphertextBlob": blob}
    bad: list[dict[str, Any]] = [
        good | {"EncryptionAlgorithm": "RSAES_OAEP_SHA_1"},
        good | {"KeyId": other},
        good | {"CiphertextBlob": blob[:-1] + bytes((blob[-1] ^ 1,))},
        good | {"CiphertextBlob": blob[:-1]},
        good | {"CiphertextBlob": blob + b"\0"},
        good | {"CiphertextBlob": b"\xff" * 256},
        good | {"CiphertextBlob": b"x"},
        {"KeyId": key, "CiphertextBlob": blob},  # read as a symmetric ciphertext
    ]
    for members in bad:
        refused = await kms.refused("decrypt", **members)
        assert (refused.code, refused.message) == ("InvalidCiphertextException", ""), members
    assert (await kms.call("decrypt", **good))["Plaintext"] == b"x"


async def test_terms_that_do_not_fit_the_key_are_refused(kms: Kms) -> None:
    """Algorithms are held to the key spec, contexts to symmetric keys, and an RSA ciphertext needs its key named."""
    symmetric, rsa_key = await kms.create_key(Origin="AWS_KMS"), await imported_key(kms, "RSA_2048", ENCRYPT_DECRYPT)
    blob = (await kms.call("encrypt", KeyId=symmetric, Plaintext=b"x"))["CiphertextBlob"]
    oaep_256 = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    context = {"EncryptionContext": {"a": "b"}}
    misfit = "Algorithm {} is incompatible with key spec {}."
    usage, validation = "InvalidKeyUsageException", "ValidationException"
    cases: list[tuple[str, dict[str, Any], str, str]] = [
        ("encrypt", {"KeyId": rsa_key}, usage, misfit.format("SYMMETRIC_DEFAULT", "RSA_2048")),
        ("encrypt", {"KeyId": symmetric} | oaep_256, usage, misfit.format("RSAES_OAEP_SHA_256", "SYMMETRIC_DEFAULT")),
        ("encrypt", {"KeyId": rsa_key, "EncryptionAlgorithm": "SM2PKE"}, usage, misfit.format("SM2PKE", "RSA_2048")),
        ("encrypt", {"KeyId": rsa_key} | oaep_256 | context, validation, NO_CONTEXT),
        ("decrypt", {"KeyId": symmetric} | oaep_256, usage, misfit.format("RSAES_OAEP_SHA_256", "SYMMETRIC_DEFAULT")),
        ("decrypt", {"KeyId": rsa_key} | oaep_256 | context, validation, NO_CONTEXT),
        ("decrypt", oaep_256, validation, "KeyId must not be null"),
        ("decrypt", {"KeyId": rsa_key}, "IncorrectKeyException", WRONG_KEY),
    ]
    for operation, members, code, message in cases:
        data = {"Plaintext": b"x"} if operation == "encrypt" else {"CiphertextBlob": blob}
        refused = await kms.refused(operation, **members, **data)
        assert (refused.code, refused.message) == (code, message), members


@pytest.mark.parametrize("length", [1, 4096])
async def test_symmetric_keys_encrypt_what_the_model_allows(length: int, kms: Kms) -> None:
    """1 to 4096 bytes, in any context, with or without the key named, by id, ARN or alias."""
    key = await kms.create_key(Origin="AWS_KMS")
    await kms.call("create_alias", AliasName="alias/a", TargetKeyId=key)
    members: dict[str, Any] = {"EncryptionContext": CONTEXT}
    blob = (await kms.call("encrypt", KeyId="alias/a", Plaintext=b"p" * length, **members))["CiphertextBlob"]
    names: list[dict[str, Any]] = [{}, {"KeyId": key}, {"KeyId": key.rpartition("/")[2]}, {"KeyId": "alias/a"}]
    for name in names:
        answer = await kms.call("decrypt", CiphertextBlob=blob, **members, **name)
        assert (answer["Plaintext"], answer["KeyId"]) == (b"p" * length, key)


@rule("Encryption", "API Decrypt")
async def test_any_flipped_byte_of_a_symmetric_ciphertext_is_refused(kms: Kms) -> None:
    """Header, material id, nonce, body and tag are all bound; where the flip names no key, nothing else is told."""
    key = await kms.create_key(Origin="AWS_KMS")
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    for place in range(0, len(blob), 7):
        flipped = blob[:place] + bytes((blob[place] ^ 1,)) + blob[place + 1 :]
        refused = await kms.refused("decrypt", CiphertextBlob=flipped)
        in_key_id = 2 <= place < 2 + blob[1]
        assert refused.code == ("AccessDeniedException" if in_key_id else "InvalidCiphertextException"), place
        assert in_key_id or refused.message == ""


@rule("Encryption", "API Decrypt")
async def test_a_missing_ciphertext_is_a_missing_member(kms: Kms) -> None:
    """The model cannot require CiphertextBlob, for a dry run may do without; every other call may not."""
    for operation, members in (("decrypt", {}), ("re_encrypt", {"DestinationKeyId": "alias/none"})):
        refused = await kms.refused(operation, **members)
        assert (refused.code, refused.message) == (
            "ValidationException",
            "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: "
            "Member must not be null",
        )


@rule("Encryption", "guide importing-keys-delete-key-material")
async def test_old_ciphertexts_survive_rotation_lapse_and_reimport(kms: Kms) -> None:
    """A ciphertext names its material, and decrypts whenever that very material is in the key, current or not."""
    key = await kms.create_key()
    old = await kms.import_material(key, MATERIAL, valid_for=DAY)
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"old"))["CiphertextBlob"]
    await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await kms.call("rotate_key_on_demand", KeyId=key)
    kms.clock.advance(DAY)
    lapsed = await kms.refused("decrypt", CiphertextBlob=blob)
    assert (lapsed.code, lapsed.message) == ("KMSInvalidStateException", f"{key} is pending import.")
    await kms.import_material(key, MATERIAL)
    answer = await kms.call("decrypt", CiphertextBlob=blob)
    assert (answer["Plaintext"], answer["KeyMaterialId"]) == (b"old", old)


@rule("Encryption", "API ReEncrypt")
async def test_re_encrypt_moves_between_keys_of_both_kinds(kms: Kms) -> None:
    """Symmetric to symmetric, to RSA and back: the answer names both keys, algorithms and materials."""
    one, two = await imported_key(kms, "SYMMETRIC_DEFAULT", ENCRYPT_DECRYPT), await kms.create_key(Origin="AWS_KMS")
    rsa_key = await imported_key(kms, "RSA_2048", ENCRYPT_DECRYPT)
    ids = {key: (await kms.describe(key)).get("CurrentKeyMaterialId") for key in (one, two, rsa_key)}
    blob = (await kms.call("encrypt", KeyId=one, Plaintext=b"moved", EncryptionContext=CONTEXT))["CiphertextBlob"]
    from_context: dict[str, Any] = {"SourceEncryptionContext": CONTEXT}
    for source, destination in ((one, two), (two, rsa_key), (rsa_key, one)):
        members: dict[str, Any] = {"CiphertextBlob": blob, "DestinationKeyId": destination, **from_context}
        told: dict[str, Any] = {"SourceKeyId": source, "KeyId": destination}
        for end, key in (("Source", source), ("Destination", destination)):
            algorithm = "RSAES_OAEP_SHA_256" if key == rsa_key else "SYMMETRIC_DEFAULT"
            told[f"{end}EncryptionAlgorithm"] = algorithm
            if key == rsa_key:
                members |= {f"{end}EncryptionAlgorithm": algorithm, f"{end}KeyId": key}
            else:
                told[f"{end}KeyMaterialId"] = ids[key]
        answer = await kms.call("re_encrypt", **members)
        blob, from_context = answer.pop("CiphertextBlob"), {}
        assert {name: value for name, value in answer.items() if name != "ResponseMetadata"} == told
    assert (await kms.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"moved"


@rule("Encryption", "API ReEncrypt")
async def test_re_encrypt_changes_the_context(kms: Kms) -> None:
    """Under one key, ReEncrypt replaces the context that a ciphertext is bound to."""
    key = await kms.create_key(Origin="AWS_KMS")
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x", EncryptionContext={"a": "1"}))["CiphertextBlob"]
    members: dict[str, Any] = {"CiphertextBlob": blob, "DestinationKeyId": key}
    contexts = {"SourceEncryptionContext": {"a": "1"}, "DestinationEncryptionContext": {"a": "2"}}
    moved = (await kms.call("re_encrypt", **members, **contexts))["CiphertextBlob"]
    assert (await kms.call("decrypt", CiphertextBlob=moved, EncryptionContext={"a": "2"}))["Plaintext"] == b"x"
    assert (await kms.refused("decrypt", CiphertextBlob=moved)).code == "InvalidCiphertextException"
    refused = await kms.refused("re_encrypt", **members)
    assert (refused.code, refused.message) == ("InvalidCiphertextException", "")


@rule("Encryption", "API ReEncrypt")
async def test_re_encrypt_refuses_what_decrypt_and_encrypt_would(kms: Kms) -> None:
    """A wrong source key, a destination that is not in, a plaintext that does not fit the destination."""
    source, other, empty = (
        await kms.create_key(Origin="AWS_KMS"),
        await kms.create_key(Origin="AWS_KMS"),
        await kms.create_key(),
    )
    rsa_key = await imported_key(kms, "RSA_2048", ENCRYPT_DECRYPT)
    blob = (await kms.call("encrypt", KeyId=source, Plaintext=b"p" * 191))["CiphertextBlob"]
    oaep_256 = {"DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"SourceKeyId": other, "DestinationKeyId": source}, "IncorrectKeyException", WRONG_KEY),
        ({"DestinationKeyId": empty}, "KMSInvalidStateException", f"{empty} is pending import."),
        (
            {"DestinationKeyId": rsa_key, **oaep_256},
            "ValidationException",
            "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes.",
        ),
        (
            {"DestinationKeyId": rsa_key},
            "InvalidKeyUsageException",
            "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.",
        ),
        (
            {"DestinationKeyId": rsa_key, "DestinationEncryptionContext": {"a": "b"}, **oaep_256},
            "ValidationException",
            NO_CONTEXT,
        ),
        (
            {"DestinationKeyId": source, "SourceEncryptionAlgorithm": "RSAES_OAEP_SHA_1"},
            "ValidationException",
            "SourceKeyId must not be null",
        ),
    ]
    for members, code, message in cases:
        refused = await kms.refused("re_encrypt", CiphertextBlob=blob, **members)
        assert (refused.code, refused.message) == (code, message), members


@rule("Encryption", "API ReEncrypt")
async def test_a_lost_source_key_is_told_by_its_state(kms: Kms) -> None:
    """ReEncrypt from a key whose material was deleted says so of the source."""
    key, other = await kms.create_key(), await kms.create_key(Origin="AWS_KMS")
    await kms.call("import_key_material", **await kms.import_terms(key), **FOREVER)
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    await kms.call("delete_imported_key_material", KeyId=key)
    refused = await kms.refused("re_encrypt", CiphertextBlob=blob, DestinationKeyId=other)
    assert (refused.code, refused.message) == ("KMSInvalidStateException", f"{key} is pending import.")
