"""What the real service was recorded to answer, case by case; and the import errors that the API reference names.

Each case breaks one rule on a fresh server and names the code and the message, with `<arn>` for the key's ARN. `...`
stands for a message that no document gives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from .kit import DAY, MATERIAL, OTHER_MATERIAL, REGION, Kms, Refused, wrap

Case = Callable[[Kms], Awaitable[tuple[str, Refused]]]
FOREVER: dict[str, Any] = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


async def encrypt_on_a_key_pending_import(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    return key, await kms.refused("encrypt", KeyId=key, Plaintext=b"x")


async def rotate_on_a_key_pending_import(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    return key, await kms.refused("rotate_key_on_demand", KeyId=key)


async def rotate_with_nothing_pending(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    await kms.import_material(key)
    return key, await kms.refused("rotate_key_on_demand", KeyId=key)


async def rotate_a_disabled_key(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    await kms.import_material(key)
    await kms.call("disable_key", KeyId=key)
    return key, await kms.refused("rotate_key_on_demand", KeyId=key)


async def rotate_beyond_the_budget_of_a_life(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key(Origin="AWS_KMS")
    for _ in range(25):
        await kms.call("rotate_key_on_demand", KeyId=key)
    return key, await kms.refused("rotate_key_on_demand", KeyId=key)


async def import_without_valid_to(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    refused = await kms.refused("import_key_material", **terms)
    await kms.call("import_key_material", **terms, **FOREVER)  # the token is still good
    return key, refused


async def import_for_ever_with_valid_to(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, ValidTo=kms.clock.now() + DAY)


async def import_with_valid_to_now(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    return key, await kms.refused("import_key_material", **await kms.import_terms(key), ValidTo=kms.clock.now())


async def import_with_valid_to_beyond_365_days(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    refused = await kms.refused("import_key_material", **terms, ValidTo=kms.clock.now() + 365 * DAY + 1)
    await kms.call("import_key_material", **terms, ValidTo=kms.clock.now() + 365 * DAY)
    return key, refused


async def parameters_for_a_key_of_origin_aws_kms(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key(Origin="AWS_KMS")
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    return key, await kms.refused("get_parameters_for_import", KeyId=key, **wanted)


async def delete_material_of_origin_aws_kms(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key(Origin="AWS_KMS")
    return key, await kms.refused("delete_imported_key_material", KeyId=key)


async def parameters_by_alias(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    await kms.call("create_alias", AliasName="alias/a", TargetKeyId=key)
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    return key, await kms.refused("get_parameters_for_import", KeyId="alias/a", **wanted)


async def parameters_for_pkcs1(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    wanted = {"WrappingAlgorithm": "RSAES_PKCS1_V1_5", "WrappingKeySpec": "RSA_2048"}
    return key, await kms.refused("get_parameters_for_import", KeyId=key, **wanted)


async def parameters_for_sm2(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "SM2"}
    return key, await kms.refused("get_parameters_for_import", KeyId=key, **wanted)


async def import_with_another_keys_token(kms: Kms) -> tuple[str, Refused]:
    other, key = await kms.create_key(), await kms.create_key()
    terms = await kms.import_terms(other) | {"KeyId": key}
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_with_an_altered_token(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    token = terms["ImportToken"]
    terms["ImportToken"] = token[:-1] + bytes((token[-1] ^ 1,))
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_with_a_made_up_token(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key) | {"ImportToken": b"x"}
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_with_a_token_of_24_hours_ago(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    kms.clock.advance(DAY - 1)
    await kms.call("import_key_material", **terms, **FOREVER)
    kms.clock.advance(1)
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_under_the_public_key_of_another_set(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    (token, _), (_, public_key) = await kms.parameters(key), await kms.parameters(key)
    wrapped = wrap(public_key, "RSAES_OAEP_SHA_256", MATERIAL)
    terms = {"KeyId": key, "ImportToken": token, "EncryptedKeyMaterial": wrapped}
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_under_another_hash(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    token, public_key = await kms.parameters(key)
    wrapped = wrap(public_key, "RSAES_OAEP_SHA_1", MATERIAL)
    terms = {"KeyId": key, "ImportToken": token, "EncryptedKeyMaterial": wrapped}
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def import_of_16_bytes(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key, b"x" * 16)
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def reimport_of_other_material(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    await kms.import_material(key)
    await kms.call("delete_imported_key_material", KeyId=key)
    terms = await kms.import_terms(key, OTHER_MATERIAL)
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def new_material_that_is_already_there(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    await kms.import_material(key)
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, ImportType="NEW_KEY_MATERIAL")


async def existing_material_into_a_virgin_key(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, ImportType="EXISTING_KEY_MATERIAL")


async def material_id_with_new_material(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, KeyMaterialId="0" * 64)


async def material_id_of_other_material(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    await kms.import_material(key)
    terms = await kms.import_terms(key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER, KeyMaterialId="0" * 64)


async def import_into_a_key_pending_deletion(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    await kms.call("schedule_key_deletion", KeyId=key)
    return key, await kms.refused("import_key_material", **terms, **FOREVER)


async def describe_an_unknown_arn(kms: Kms) -> tuple[str, Refused]:
    key = f"{(await kms.create_key())[:-12]}000000000000"
    return key, await kms.refused("describe_key", KeyId=key)


async def describe_an_unknown_id(kms: Kms) -> tuple[str, Refused]:
    key = f"{(await kms.create_key())[:-12]}000000000000"
    return key, await kms.refused("describe_key", KeyId=key.rpartition("/")[2])


async def describe_nonsense(kms: Kms) -> tuple[str, Refused]:
    return "", await kms.refused("describe_key", KeyId="nonsense")


async def describe_an_arn_of_another_region(kms: Kms) -> tuple[str, Refused]:
    key = (await kms.create_key()).replace(REGION, "us-west-2")
    return key, await kms.refused("describe_key", KeyId=key)


async def describe_an_arn_of_another_account(kms: Kms) -> tuple[str, Refused]:
    stranger = Kms(kms.url, kms.clock, account="444455556666")
    key = await stranger.create_key()
    return key, await kms.refused("describe_key", KeyId=key)


async def decrypt_garbage(kms: Kms) -> tuple[str, Refused]:
    return "", await kms.refused("decrypt", CiphertextBlob=b"garbage")


async def decrypt_under_another_context(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key(Origin="AWS_KMS")
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x", EncryptionContext={"a": "b"}))["CiphertextBlob"]
    return key, await kms.refused("decrypt", CiphertextBlob=blob, EncryptionContext={"a": "c"})


async def decrypt_with_another_key(kms: Kms) -> tuple[str, Refused]:
    key, other = await kms.create_key(), await kms.create_key()
    await kms.import_material(key)
    await kms.import_material(other)
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    return key, await kms.refused("decrypt", CiphertextBlob=blob, KeyId=other)


async def dry_run(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key(Origin="AWS_KMS")
    return key, await kms.refused("encrypt", KeyId=key, Plaintext=b"x", DryRun=True)


async def alias_without_its_prefix(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    return key, await kms.refused("create_alias", AliasName="a", TargetKeyId=key)


async def hmac_key_without_usage(kms: Kms) -> tuple[str, Refused]:
    return "", await kms.refused("create_key", KeySpec="HMAC_256")


async def duplicate_tags(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key()
    tags = [{"TagKey": "a", "TagValue": value} for value in "bc"]
    return key, await kms.refused("tag_resource", KeyId=key, Tags=tags)


async def reserved_tags(kms: Kms) -> tuple[str, Refused]:
    return "", await kms.refused("create_key", Tags=[{"TagKey": "aws:a", "TagValue": ""}])


async def too_many_tags(kms: Kms) -> tuple[str, Refused]:
    key = await kms.create_key(Tags=[{"TagKey": str(number), "TagValue": ""} for number in range(50)])
    return key, await kms.refused("tag_resource", KeyId=key, Tags=[{"TagKey": "one more", "TagValue": ""}])


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

CASES: list[tuple[Case, str, str]] = [
    (encrypt_on_a_key_pending_import, INVALID_STATE, "<arn> is pending import."),
    (rotate_on_a_key_pending_import, INVALID_STATE, "<arn> is pending import."),
    (rotate_with_nothing_pending, INVALID_STATE, "No available key material pending rotation for the key: <arn>."),
    (rotate_a_disabled_key, "DisabledException", "<arn> is disabled."),
    (rotate_beyond_the_budget_of_a_life, "LimitExceededException", BUDGET),
    (
        import_without_valid_to,
        "ValidationException",
        "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
    ),
    (import_for_ever_with_valid_to, "ValidationException", "..."),
    (import_with_valid_to_now, "ValidationException", "..."),
    (import_with_valid_to_beyond_365_days, "ValidationException", "..."),
    (parameters_for_a_key_of_origin_aws_kms, "UnsupportedOperationException", ORIGIN),
    (delete_material_of_origin_aws_kms, "UnsupportedOperationException", ORIGIN),
    (parameters_by_alias, "NotFoundException", "Invalid keyId 'alias/a'"),
    (parameters_for_pkcs1, "UnsupportedOperationException", "..."),
    (parameters_for_sm2, "UnsupportedOperationException", "..."),
    (import_with_another_keys_token, "InvalidImportTokenException", "..."),
    (import_with_an_altered_token, "InvalidImportTokenException", "..."),
    (import_with_a_made_up_token, "InvalidImportTokenException", "..."),
    (import_with_a_token_of_24_hours_ago, "ExpiredImportTokenException", "..."),
    (import_under_the_public_key_of_another_set, "InvalidCiphertextException", "..."),
    (import_under_another_hash, "InvalidCiphertextException", "..."),
    (import_of_16_bytes, "IncorrectKeyMaterialException", "..."),
    (reimport_of_other_material, "IncorrectKeyMaterialException", "..."),
    (new_material_that_is_already_there, "IncorrectKeyMaterialException", "..."),
    (existing_material_into_a_virgin_key, "IncorrectKeyMaterialException", "..."),
    (material_id_with_new_material, "ValidationException", "..."),
    (material_id_of_other_material, "IncorrectKeyMaterialException", "..."),
    (import_into_a_key_pending_deletion, INVALID_STATE, "<arn> is pending deletion."),
    (describe_an_unknown_arn, "NotFoundException", "Key '<arn>' does not exist"),
    (describe_an_unknown_id, "NotFoundException", "Key '<arn>' does not exist"),
    (describe_nonsense, "NotFoundException", "Invalid keyId 'nonsense'"),
    (describe_an_arn_of_another_region, "NotFoundException", "Invalid arn us-west-2"),
    (describe_an_arn_of_another_account, "AccessDeniedException", "..."),
    (decrypt_garbage, "InvalidCiphertextException", ""),
    (decrypt_under_another_context, "InvalidCiphertextException", ""),
    (decrypt_with_another_key, "IncorrectKeyException", "..."),
    (dry_run, "DryRunOperationException", "..."),
    (alias_without_its_prefix, "ValidationException", PREFIX),
    (
        hmac_key_without_usage,
        "ValidationException",
        "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
    ),
    (duplicate_tags, "TagException", "Duplicate tag keys"),
    (reserved_tags, "TagException", "Tags beginning with aws: are reserved"),
    (too_many_tags, "TagException", "Too many tags"),
]


@pytest.mark.parametrize(("case", "code", "message"), CASES, ids=[case.__name__ for case, _, _ in CASES])
async def test_a_broken_rule_is_answered_as_aws_answers_it(case: Case, code: str, message: str, kms: Kms) -> None:
    """Each broken rule gets the error code of the API and, where it was recorded, the message."""
    arn, refused = await case(kms)
    assert refused.code == code
    if message != "...":
        assert refused.message == message.replace("<arn>", arn)
