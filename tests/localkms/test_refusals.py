"""The refusals that the API reference and the guide name, case by case; test_recorded_answers.py has the recorded ones.

Each case breaks one rule on a fresh server and names the code and the message, with `<arn>` for the key's ARN. `...`
stands for a message that no document gives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from .kit import DAY, FOREVER, MATERIAL, OTHER_MATERIAL, Kms, Refused, wrap
from .rules import rule

Case = Callable[[Kms], Awaitable[tuple[str, Refused]]]


async def import_for_ever_with_valid_to(kms: Kms) -> tuple[str, Refused]:
    """Material that does not expire is imported without a ValidTo."""
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, ValidTo=kms.clock.now() + DAY)


async def import_with_valid_to_now(kms: Kms) -> tuple[str, Refused]:
    """A ValidTo lies in the future."""
    key = await kms.create_key()
    return key, await kms.refused("import_key_material", **await kms.import_terms(key), ValidTo=kms.clock.now())


async def import_with_valid_to_beyond_365_days(kms: Kms) -> tuple[str, Refused]:
    """A ValidTo lies at most 365 days ahead, and exactly 365 are allowed."""
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    refused = await kms.refused("import_key_material", **terms, ValidTo=kms.clock.now() + 365 * DAY + 1)
    await kms.call("import_key_material", **terms, ValidTo=kms.clock.now() + 365 * DAY)
    return key, refused


async def delete_material_of_origin_aws_kms(kms: Kms) -> tuple[str, Refused]:
    """Only imported material can be deleted."""
    key = await kms.create_key(Origin="AWS_KMS")
    return key, await kms.refused("delete_imported_key_material", KeyId=key)


async def parameters_by_alias(kms: Kms) -> tuple[str, Refused]:
    """Parameters for an import are asked for by key id or ARN, never by alias."""
    key = await kms.create_key()
    await kms.call("create_alias", AliasName="alias/a", TargetKeyId=key)
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    return key, await kms.refused("get_parameters_for_import", KeyId="alias/a", **wanted)


async def parameters_for_pkcs1(kms: Kms) -> tuple[str, Refused]:
    """Wrapping with RSAES_PKCS1_V1_5 ended on 10 October 2023."""
    key = await kms.create_key()
    wanted = {"WrappingAlgorithm": "RSAES_PKCS1_V1_5", "WrappingKeySpec": "RSA_2048"}
    return key, await kms.refused("get_parameters_for_import", KeyId=key, **wanted)


async def parameters_for_sm2(kms: Kms) -> tuple[str, Refused]:
    """SM2 wrapping keys exist in China only."""
    key = await kms.create_key()
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "SM2"}
    return key, await kms.refused("get_parameters_for_import", KeyId=key, **wanted)


async def import_with_another_keys_token(kms: Kms) -> tuple[str, Refused]:
    """A token is good for its own key only."""
    other, key = await kms.create_key(), await kms.create_key()
    terms = await kms.import_terms(other) | {"KeyId": key}
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_with_an_altered_token(kms: Kms) -> tuple[str, Refused]:
    """A token that was altered is none."""
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    token = terms["ImportToken"]
    terms["ImportToken"] = token[:-1] + bytes((token[-1] ^ 1,))
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_with_a_made_up_token(kms: Kms) -> tuple[str, Refused]:
    """A token that KMS did not issue is none."""
    key = await kms.create_key()
    terms = await kms.import_terms(key) | {"ImportToken": b"x"}
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_with_a_token_of_24_hours_ago(kms: Kms) -> tuple[str, Refused]:
    """A token ends after 24 hours, and until then it is good."""
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    kms.clock.advance(DAY - 1)
    await kms.call("import_key_material", **terms, **FOREVER)
    kms.clock.advance(1)
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_under_the_public_key_of_another_set(kms: Kms) -> tuple[str, Refused]:
    """A token and its public key are a pair."""
    key = await kms.create_key()
    (token, _), (_, public_key) = await kms.parameters(key), await kms.parameters(key)
    wrapped = wrap(public_key, "RSAES_OAEP_SHA_256", MATERIAL)
    terms = {"KeyId": key, "ImportToken": token, "EncryptedKeyMaterial": wrapped}
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_under_another_hash(kms: Kms) -> tuple[str, Refused]:
    """Material comes wrapped by the algorithm that its token was issued for."""
    key = await kms.create_key()
    token, public_key = await kms.parameters(key)
    wrapped = wrap(public_key, "RSAES_OAEP_SHA_1", MATERIAL)
    terms = {"KeyId": key, "ImportToken": token, "EncryptedKeyMaterial": wrapped}
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_of_16_bytes(kms: Kms) -> tuple[str, Refused]:
    """Symmetric material is 32 bytes long."""
    key = await kms.create_key()
    terms = await kms.import_terms(key, b"x" * 16)
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def reimport_of_other_material(kms: Kms) -> tuple[str, Refused]:
    """A key whose material is gone takes the same material only."""
    key = await kms.create_key()
    await kms.import_material(key)
    await kms.call("delete_imported_key_material", KeyId=key)
    terms = await kms.import_terms(key, OTHER_MATERIAL)
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def new_material_that_is_already_there(kms: Kms) -> tuple[str, Refused]:
    """New material is not one that the key has already."""
    key = await kms.create_key()
    await kms.import_material(key)
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, ImportType="NEW_KEY_MATERIAL")


async def existing_material_into_a_virgin_key(kms: Kms) -> tuple[str, Refused]:
    """Existing material is one that the key has had."""
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, ImportType="EXISTING_KEY_MATERIAL")


async def material_id_with_new_material(kms: Kms) -> tuple[str, Refused]:
    """KeyMaterialId is not given with new material."""
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, KeyMaterialId="0" * 64)


async def material_id_of_other_material(kms: Kms) -> tuple[str, Refused]:
    """KeyMaterialId, if given, is that of the material."""
    key = await kms.create_key()
    await kms.import_material(key)
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, KeyMaterialId="0" * 64)


async def import_into_a_key_pending_deletion(kms: Kms) -> tuple[str, Refused]:
    """A key that is pending deletion takes no material."""
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    await kms.call("schedule_key_deletion", KeyId=key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def describe_an_arn_of_another_account(kms: Kms) -> tuple[str, Refused]:
    """A key of another account is out of reach."""
    stranger = Kms(kms.url, kms.clock, account="444455556666")
    key = await stranger.create_key()
    return key, await kms.refused("describe_key", KeyId=key)


async def decrypt_under_another_context(kms: Kms) -> tuple[str, Refused]:
    """A ciphertext decrypts under its own encryption context only."""
    key = await kms.create_key(Origin="AWS_KMS")
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x", EncryptionContext={"a": "b"}))["CiphertextBlob"]
    return key, await kms.refused("decrypt", CiphertextBlob=blob, EncryptionContext={"a": "c"})


async def decrypt_with_another_key(kms: Kms) -> tuple[str, Refused]:
    """A ciphertext decrypts under the key that made it only."""
    key, other = await kms.create_key(), await kms.create_key()
    await kms.import_material(key)
    await kms.import_material(other)
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    return key, await kms.refused("decrypt", CiphertextBlob=blob, KeyId=other)


async def dry_run(kms: Kms) -> tuple[str, Refused]:
    """DryRun tells that a call would have succeeded, and does nothing."""
    key = await kms.create_key(Origin="AWS_KMS")
    return key, await kms.refused("encrypt", KeyId=key, Plaintext=b"x", DryRun=True)


INVALID_STATE = "KMSInvalidStateException"
ORIGIN = "<arn> origin is AWS_KMS which is not valid for this operation."
PREFIX = (
    'Alias must start with the prefix "alias/". '
    "Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
)
BUDGET = (
    "The on-demand rotations limit has been reached for the given keyId. "
    "No more on-demand rotations can be performed for this key: <arn>"
)

CASES: list[tuple[Case, str, str, str, str]] = [
    # case, group of rules.py, source, code, message
    (
        import_for_ever_with_valid_to,
        "Expiry and deletion of material",
        "API ImportKeyMaterial",
        "ValidationException",
        "...",
    ),
    (
        import_with_valid_to_now,
        "Expiry and deletion of material",
        "API ImportKeyMaterial",
        "ValidationException",
        "...",
    ),
    (
        import_with_valid_to_beyond_365_days,
        "Expiry and deletion of material",
        "API ImportKeyMaterial",
        "ValidationException",
        "...",
    ),
    (
        delete_material_of_origin_aws_kms,
        "Expiry and deletion of material",
        "API DeleteImportedKeyMaterial",
        "UnsupportedOperationException",
        ORIGIN,
    ),
    (
        parameters_by_alias,
        "Parameters for an import",
        "API GetParametersForImport",
        "InvalidArnException",  # as other services quote KMS when they are given an alias to pass on
        "Key Aliases are not supported for this operation.",
    ),
    (
        parameters_for_pkcs1,
        "Parameters for an import",
        "API GetParametersForImport",
        "UnsupportedOperationException",
        "...",
    ),
    (
        parameters_for_sm2,
        "Parameters for an import",
        "API GetParametersForImport",
        "UnsupportedOperationException",
        "...",
    ),
    (
        import_with_another_keys_token,
        "Parameters for an import",
        "API ImportKeyMaterial",
        "InvalidImportTokenException",
        "...",
    ),
    (
        import_with_an_altered_token,
        "Parameters for an import",
        "API ImportKeyMaterial",
        "InvalidImportTokenException",
        "...",
    ),
    (
        import_with_a_made_up_token,
        "Parameters for an import",
        "API ImportKeyMaterial",
        "InvalidImportTokenException",
        "...",
    ),
    (
        import_with_a_token_of_24_hours_ago,
        "Parameters for an import",
        "API GetParametersForImport",
        "ExpiredImportTokenException",
        "...",
    ),
    (
        import_under_the_public_key_of_another_set,
        "Parameters for an import",
        "API GetParametersForImport",
        "InvalidCiphertextException",
        "...",
    ),
    (import_under_another_hash, "Wrapping", "API ImportKeyMaterial", "InvalidCiphertextException", "..."),
    (import_of_16_bytes, "Wrapping", "guide importing-keys-conceptual", "IncorrectKeyMaterialException", "..."),
    (
        reimport_of_other_material,
        "Import and reimport",
        "API ImportKeyMaterial",
        "IncorrectKeyMaterialException",
        "...",
    ),
    (
        new_material_that_is_already_there,
        "Several materials and rotation",
        "API ImportKeyMaterial",
        "IncorrectKeyMaterialException",
        "...",
    ),
    (
        existing_material_into_a_virgin_key,
        "Several materials and rotation",
        "API ImportKeyMaterial",
        "IncorrectKeyMaterialException",
        "...",
    ),
    (
        material_id_with_new_material,
        "Several materials and rotation",
        "API ImportKeyMaterial",
        "ValidationException",
        "...",
    ),
    (
        material_id_of_other_material,
        "Several materials and rotation",
        "API ImportKeyMaterial",
        "IncorrectKeyMaterialException",
        "...",
    ),
    (
        import_into_a_key_pending_deletion,
        "Import and reimport",
        "guide key-state",
        INVALID_STATE,
        "<arn> is pending deletion.",
    ),
    (
        describe_an_arn_of_another_account,
        "Names, aliases and tags",
        "API common errors",
        "AccessDeniedException",
        "...",
    ),
    (decrypt_under_another_context, "Encryption", "API Decrypt", "InvalidCiphertextException", ""),
    (decrypt_with_another_key, "Encryption", "API Decrypt", "IncorrectKeyException", "..."),
    (dry_run, "Encryption", "API Encrypt", "DryRunOperationException", "..."),
]


@pytest.mark.parametrize(
    ("case", "code", "message"),
    [
        pytest.param(case, code, message, id=case.__name__, marks=rule(group, source))
        for case, group, source, code, message in CASES
    ],
)
async def test_a_broken_rule_is_answered_as_aws_answers_it(case: Case, code: str, message: str, kms: Kms) -> None:
    """Each broken rule gets the error code of the API and, where it was recorded, the message."""
    arn, refused = await case(kms)
    assert refused.code == code
    if message != "...":
        assert refused.message == message.replace("<arn>", arn)
