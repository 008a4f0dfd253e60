"""What every cryptographic operation has in common: usages, key states, dry runs, Nitro enclaves, ways to name a key.

One row per operation says which key it wants and what a request needs; the tests send each row against every kind of
key, in every state. A case is added to all of them by adding its row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from byokd.localkms.operations import OPERATIONS
from byokd.localkms.states import CRYPTOGRAPHY

from .kit import Kms
from .rules import rule
from .specimens import imported_key, made_key, private_key

MODEL = ServiceModel(Loader().load_service_model("kms", "service-2"), "kms")
KINDS = {  # one spec for each usage, and a second kind of key that encrypts
    "ENCRYPT_DECRYPT": "SYMMETRIC_DEFAULT",
    "SIGN_VERIFY": "ECC_NIST_P256",
    "GENERATE_VERIFY_MAC": "HMAC_256",
    "KEY_AGREEMENT": "ECC_NIST_P384",
}
MESSAGE = {"Message": b"m"}
ECDSA = {"SigningAlgorithm": "ECDSA_SHA_256"}
HMAC = {"MacAlgorithm": "HMAC_SHA_256"}


def peer() -> bytes:
    """A public key to agree with."""
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


Needs = Callable[[Kms, str], Awaitable[dict[str, Any]]]


async def ciphertext(kms: Kms, key: str) -> dict[str, Any]:
    """What Decrypt needs of an Enabled key."""
    return {"CiphertextBlob": (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]}


async def from_another(kms: Kms, key: str) -> dict[str, Any]:
    """What ReEncrypt needs to put something under the key."""
    return {**await ciphertext(kms, await kms.create_key(Origin="AWS_KMS")), "DestinationKeyId": key}


async def signature(kms: Kms, key: str) -> dict[str, Any]:
    """What Verify needs of an Enabled key."""
    return {**MESSAGE, **ECDSA, "Signature": (await kms.call("sign", KeyId=key, **MESSAGE, **ECDSA))["Signature"]}


async def mac(kms: Kms, key: str) -> dict[str, Any]:
    """What VerifyMac needs of an Enabled key."""
    return {**MESSAGE, **HMAC, "Mac": (await kms.call("generate_mac", KeyId=key, **MESSAGE, **HMAC))["Mac"]}


def these(**members: Any) -> Needs:
    """Members that need no key."""

    async def needs(_kms: Kms, _key: str) -> dict[str, Any]:
        return members

    return needs


ROWS: dict[str, tuple[str, Needs]] = {
    "Encrypt": ("ENCRYPT_DECRYPT", these(Plaintext=b"x")),
    "Decrypt": ("ENCRYPT_DECRYPT", ciphertext),
    "ReEncrypt": ("ENCRYPT_DECRYPT", from_another),
    "GenerateDataKey": ("ENCRYPT_DECRYPT", these(KeySpec="AES_256")),
    "GenerateDataKeyWithoutPlaintext": ("ENCRYPT_DECRYPT", these(NumberOfBytes=7)),
    "GenerateDataKeyPair": ("ENCRYPT_DECRYPT", these(KeyPairSpec="ECC_NIST_P256")),
    "GenerateDataKeyPairWithoutPlaintext": ("ENCRYPT_DECRYPT", these(KeyPairSpec="ECC_NIST_P256")),
    "Sign": ("SIGN_VERIFY", these(**MESSAGE, **ECDSA)),
    "Verify": ("SIGN_VERIFY", signature),
    "GenerateMac": ("GENERATE_VERIFY_MAC", these(**MESSAGE, **HMAC)),
    "VerifyMac": ("GENERATE_VERIFY_MAC", mac),
    "DeriveSharedSecret": ("KEY_AGREEMENT", these(KeyAgreementAlgorithm="ECDH", PublicKey=peer())),
}
DUMMIES: dict[str, dict[str, Any]] = {  # in place of what only the right key could make
    "Decrypt": {"CiphertextBlob": b"x", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
    "Verify": {**MESSAGE, **ECDSA, "Signature": b"x"},
    "VerifyMac": {**MESSAGE, **HMAC, "Mac": b"x"},
}


def snake(operation: str) -> str:
    """An operation's name in boto3."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")


def member(operation: str) -> str:
    """The member that names the key whose usage and state are asked for."""
    return "DestinationKeyId" if operation == "ReEncrypt" else "KeyId"


async def enabled(kms: Kms, operation: str) -> tuple[str, dict[str, Any]]:
    """An imported key that the operation can use, and a request that succeeds with it."""
    usage, needs = ROWS[operation]
    key = await imported_key(kms, KINDS[usage], usage)
    return key, {**await needs(kms, key), member(operation): key}


def test_every_cryptographic_operation_has_its_row() -> None:
    """No operation joins the key-state table's cryptographic row, or leaves the server, without notice here."""
    assert set(ROWS) == set(CRYPTOGRAPHY)
    assert set(ROWS) < set(OPERATIONS)


@rule("Keys and their states", "guide key-state")
@pytest.mark.parametrize("operation", ROWS)
async def test_an_operation_admits_enabled_keys_only(operation: str, kms: Kms) -> None:
    """In each key state the operation succeeds, or is refused as the developer guide's table says."""
    key, request = await enabled(kms, operation)
    await kms.call(snake(operation), **request)
    refusals = []
    for change, members in (
        ("disable_key", {}),
        ("enable_key", {}),
        ("delete_imported_key_material", {}),
        ("schedule_key_deletion", {"PendingWindowInDays": 7}),
    ):
        await kms.call(change, KeyId=key, **members)
        if change == "enable_key":
            await kms.call(snake(operation), **request)
        else:
            refusals.append(await kms.refused(snake(operation), **request))
    assert [(refused.code, refused.message) for refused in refusals] == [
        ("DisabledException", f"{key} is disabled."),
        ("KMSInvalidStateException", f"{key} is pending import."),
        ("KMSInvalidStateException", f"{key} is pending deletion."),
    ]


async def test_a_key_that_the_kms_made_is_admitted_alike(kms: Kms) -> None:
    """Keys of Origin AWS_KMS serve every operation, and are refused when disabled."""
    keys = {usage: await made_key(kms, spec, usage) for usage, spec in KINDS.items()}
    requests = {}
    for operation, (usage, needs) in ROWS.items():
        requests[operation] = {**await needs(kms, keys[usage]), member(operation): keys[usage]}
        await kms.call(snake(operation), **requests[operation])
    for key in keys.values():
        await kms.call("disable_key", KeyId=key)
    for operation, request in requests.items():
        assert (await kms.refused(snake(operation), **request)).code == "DisabledException", operation


@rule("Keys and their states", "API InvalidKeyUsageException")
async def test_a_key_made_for_another_use_is_refused(kms: Kms) -> None:
    """Each operation against a key of every other usage: InvalidKeyUsageException, in the recorded words."""
    keys = {usage: await made_key(kms, spec, usage) for usage, spec in KINDS.items()}
    for operation, (wanted, needs) in ROWS.items():
        request = DUMMIES.get(operation) or await needs(kms, "")
        for usage in KINDS.keys() - {wanted}:
            refused = await kms.refused(snake(operation), **request | {member(operation): keys[usage]})
            assert (refused.code, refused.message) == (
                "InvalidKeyUsageException",
                f"{keys[usage]} key usage is {usage} which is not valid for {operation}.",
            )


async def test_the_usage_is_looked_at_before_the_state_and_the_state_before_the_algorithm(kms: Kms) -> None:
    """The order in which the service was seen to refuse a request that breaks two rules."""
    key = await made_key(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    await kms.call("disable_key", KeyId=key)
    usage = await kms.refused("encrypt", KeyId=key, Plaintext=b"x")
    state = await kms.refused("sign", KeyId=key, **MESSAGE, SigningAlgorithm="ECDSA_SHA_384")
    assert (usage.code, state.code) == ("InvalidKeyUsageException", "DisabledException")


@rule("Encryption", "API GenerateDataKey")
@pytest.mark.parametrize("operation", ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair"])
async def test_rsa_keys_protect_no_data_keys(operation: str, kms: Kms) -> None:
    """A data key is encrypted under a symmetric key only, though RSA keys have the same usage."""
    key = await imported_key(kms, "RSA_2048", "ENCRYPT_DECRYPT")
    refused = await kms.refused(snake(operation), KeyId=key, **await ROWS[operation][1](kms, key))
    assert (refused.code, refused.message) == (
        "InvalidKeyUsageException",
        "You cannot generate a data key with an asymmetric CMK",
    )


DRY_RUNS = [name for name in ROWS if "DryRun" in MODEL.operation_model(name).input_shape.members]


def test_dry_runs_are_tried_of_every_operation_that_has_them() -> None:
    """The API has DryRun on every operation here."""
    assert set(DRY_RUNS) == set(ROWS)


@rule("Requests", "guide testing-permissions")
@pytest.mark.parametrize("operation", DRY_RUNS)
async def test_a_dry_run_of_what_would_succeed_says_so(operation: str, kms: Kms) -> None:
    """With DryRun a good request gets DryRunOperationException, in the recorded words; with false, its answer."""
    key, request = await enabled(kms, operation)
    refused = await kms.refused(snake(operation), **request, DryRun=True)
    assert (refused.code, refused.message) == (
        "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.",
    )
    await kms.call(snake(operation), **request, DryRun=False)
    await kms.call("disable_key", KeyId=key)
    assert (await kms.refused(snake(operation), **request, DryRun=True)).code == "DisabledException"


@rule("Requests", "guide testing-permissions")
async def test_a_dry_run_finds_what_would_fail(kms: Kms) -> None:
    """DryRun asks whether the request would succeed: a bad ciphertext, signature, MAC or public key would not."""
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "Decrypt": ({"CiphertextBlob": b"garbage"}, "InvalidCiphertextException"),
        "ReEncrypt": ({"CiphertextBlob": b"garbage"}, "InvalidCiphertextException"),
        "Verify": ({"Signature": b"garbage"}, "KMSInvalidSignatureException"),
        "VerifyMac": ({"Mac": b"garbage"}, "KMSInvalidMacException"),
        "DeriveSharedSecret": ({"PublicKey": b"garbage"}, "ValidationException"),
        "Sign": ({"MessageType": "DIGEST"}, "ValidationException"),
    }
    for operation, (change, code) in cases.items():
        _, request = await enabled(kms, operation)
        assert (await kms.refused(snake(operation), **request | change, DryRun=True)).code == code, operation


@rule("Requests", "API Decrypt")
async def test_a_dry_run_can_do_without_a_ciphertext(kms: Kms) -> None:
    """IGNORE_CIPHERTEXT asks for the key alone, which must be named; without DryRun it says nothing."""
    key, rsa_key = (
        await made_key(kms, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        await made_key(kms, "RSA_2048", "ENCRYPT_DECRYPT"),
    )
    ignoring: dict[str, Any] = {"DryRun": True, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}
    oaep = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    good: list[tuple[str, dict[str, Any]]] = [
        ("decrypt", {"KeyId": key}),
        ("decrypt", {"KeyId": key, "CiphertextBlob": b"garbage"}),
        ("decrypt", {"KeyId": rsa_key, **oaep}),
        ("re_encrypt", {"SourceKeyId": key, "DestinationKeyId": key}),
    ]
    for operation, members in good:
        assert (await kms.refused(operation, **members, **ignoring)).code == "DryRunOperationException"
    for operation, members in (("decrypt", {}), ("re_encrypt", {"DestinationKeyId": key})):
        assert (await kms.refused(operation, **members, **ignoring)).code == "ValidationException"
    assert (await kms.refused("decrypt", KeyId=key, **ignoring | {"DryRun": False})).code == "ValidationException"
    await kms.call("disable_key", KeyId=key)
    assert (await kms.refused("decrypt", KeyId=key, **ignoring)).code == "DisabledException"


RECIPIENTS = [
    name for name in (*ROWS, "GenerateRandom") if "Recipient" in MODEL.operation_model(name).input_shape.members
]


@rule("Requests", "API Decrypt")
@pytest.mark.parametrize("operation", RECIPIENTS)
async def test_nitro_enclaves_are_not_answered(operation: str, kms: Kms) -> None:
    """A Recipient is refused by each operation that has one, and not passed over: its caller expects no plaintext."""
    request = {"NumberOfBytes": 8} if operation == "GenerateRandom" else (await enabled(kms, operation))[1]
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x"}
    refused = await kms.refused(snake(operation), **request, Recipient=recipient)
    assert (refused.code, refused.message) == ("UnsupportedOperationException", "Recipient is not supported.")


@rule("Names, aliases and tags", "API Encrypt")
@pytest.mark.parametrize("operation", ROWS)
async def test_a_key_is_named_by_id_arn_alias_or_alias_arn(operation: str, kms: Kms) -> None:
    """Cryptographic operations take all four, and answer the key ARN whichever it was."""
    key, request = await enabled(kms, operation)
    await kms.call("create_alias", AliasName="alias/a", TargetKeyId=key)
    prefix, _, identity = key.rpartition("key/")
    for name in (key, identity, "alias/a", f"{prefix}alias/a"):
        answer = await kms.call(snake(operation), **request | {member(operation): name})
        assert answer["KeyId"] == key
    missing = await kms.refused(snake(operation), **request | {member(operation): "alias/none"})
    assert (missing.code, missing.message) == ("NotFoundException", f"Alias {prefix}alias/none is not found.")


PUBLIC = [("RSA_2048", "SIGN_VERIFY"), ("RSA_4096", "ENCRYPT_DECRYPT"), ("ECC_NIST_P521", "KEY_AGREEMENT")]


@rule("Signatures, MACs and shared secrets", "API GetPublicKey")
@pytest.mark.parametrize(
    ("spec", "usage"), [*PUBLIC, ("ECC_SECG_P256K1", "SIGN_VERIFY"), ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY")]
)
async def test_the_public_key_follows_from_the_imported_private_key(spec: str, usage: str, kms: Kms) -> None:
    """GetPublicKey answers the SubjectPublicKeyInfo of the imported key, and the algorithms that DescribeKey tells."""
    key = await imported_key(kms, spec, usage)
    answer = await kms.call("get_public_key", KeyId=key)
    expected = private_key(spec).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert answer["PublicKey"] == expected
    assert (answer["KeyId"], answer["KeySpec"], answer["KeyUsage"]) == (key, spec, usage)
    assert answer["CustomerMasterKeySpec"] == spec
    described = await kms.describe(key)
    lists = {"EncryptionAlgorithms", "SigningAlgorithms", "KeyAgreementAlgorithms", "MacAlgorithms"}
    assert {name: answer[name] for name in lists & answer.keys()} == {
        name: described[name] for name in lists & described.keys()
    }


@rule("Keys and their states", "API GetPublicKey")
async def test_public_keys_are_given_out_by_state(kms: Kms) -> None:
    """Enabled and Disabled keys give theirs, others tell their state; a key without one is unsupported."""
    key = await imported_key(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    await kms.call("disable_key", KeyId=key)
    assert (await kms.call("get_public_key", KeyId=key))["KeyId"] == key
    told = []
    for change in ("delete_imported_key_material", "schedule_key_deletion"):
        await kms.call(change, KeyId=key)
        told.append((await kms.refused("get_public_key", KeyId=key)).message)
    assert told == [f"{key} is pending import.", f"{key} is pending deletion."]
    for usage in ("ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC"):
        refused = await kms.refused("get_public_key", KeyId=await made_key(kms, KINDS[usage], usage))
        assert (refused.code, refused.message) == ("UnsupportedOperationException", "")


async def test_missing_members_are_told_without_what_is_sensitive(kms: Kms) -> None:
    """Every required member that is missing is named; of a Message or Plaintext not even that it is null."""
    problems = {
        f"{value} at '{label}' failed to satisfy constraint: Member must not be null"
        for value, label in (
            ("Value null", "keyId"),
            ("Value", "message"),
            ("Value null", "mac"),
            ("Value null", "macAlgorithm"),
        )
    }
    refused = await kms.refused("verify_mac")
    opening, _, told = refused.message.partition(" detected: ")
    assert (refused.code, opening) == ("ValidationException", "4 validation errors")
    assert set(told.split("; ")) == problems
