"""What the real service was recorded to answer (docs/kms.md), case by case.

Each refusal breaks one rule on a fresh server and names the code and the message, with `<arn>` for the key's ARN and
`<a>`, `<b>` for what else the case tells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from .kit import FOREVER, OTHER_MATERIAL, REGION, Kms, Refused
from .rules import RECORDED, rule

Told = tuple[Refused, str, *tuple[str, ...]]
"""How a call was refused, the key's ARN, and what else its message is to name."""
Case = Callable[[Kms], Awaitable[Told]]

STATES, ROTATION, TAGS = "Keys and their states", "Several materials and rotation", "Names, aliases and tags"
REGIONS, MINUTE = "Multi-Region keys", 60
WANTED = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}


async def replicated(kms: Kms) -> tuple[str, Kms]:
    """A fresh replica of a key that AWS made the material of, and a client of its Region."""
    primary = await kms.create_key(Origin="AWS_KMS", MultiRegion=True)
    answer = await kms.call("replicate_key", KeyId=primary, ReplicaRegion="us-east-1")
    return str(answer["ReplicaKeyMetadata"]["Arn"]), Kms(kms.url, kms.clock, region="us-east-1")


async def encrypt_pending_import(kms: Kms) -> Told:
    """A key without its material cannot encrypt."""
    key = await kms.create_key()
    return await kms.refused("encrypt", KeyId=key, Plaintext=b"x"), key


async def rotate_pending_import(kms: Kms) -> Told:
    """A key without its material cannot be rotated."""
    key = await kms.create_key()
    return await kms.refused("rotate_key_on_demand", KeyId=key), key


async def decrypt_pending_deletion(kms: Kms) -> Told:
    """A key that will be deleted decrypts nothing any more."""
    key = await kms.create_key(Origin="AWS_KMS")
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    await kms.call("schedule_key_deletion", KeyId=key)
    return await kms.refused("decrypt", CiphertextBlob=blob), key


async def import_without_valid_to(kms: Kms) -> Told:
    """An import expires unless told otherwise, so it needs a ValidTo; the token stays good after the refusal."""
    key = await kms.create_key()
    terms = await kms.import_terms(key)
    refused = await kms.refused("import_key_material", **terms)
    await kms.call("import_key_material", **terms, **FOREVER)
    return refused, key


async def import_of_another_size(kms: Kms) -> Told:
    """Material that is wrapped directly is as long as the wrapping key."""
    key = await kms.create_key()
    terms = await kms.import_terms(key) | {"EncryptedKeyMaterial": bytes(255)}
    return await kms.refused("import_key_material", **terms, **FOREVER), key


async def parameters_for_aws_kms(kms: Kms) -> Told:
    """Only a key of Origin EXTERNAL has parameters for an import."""
    key = await kms.create_key(Origin="AWS_KMS")
    return await kms.refused("get_parameters_for_import", KeyId=key, **WANTED), key


async def parameters_for_a_wrapping_of_private_keys(kms: Kms) -> Told:
    """Only private keys are wrapped by RSA_AES_KEY_WRAP."""
    key = await kms.create_key()
    wanted = {"WrappingAlgorithm": "RSA_AES_KEY_WRAP_SHA_256", "WrappingKeySpec": "RSA_3072"}
    return await kms.refused("get_parameters_for_import", KeyId=key, **wanted), key


async def second_new_material(kms: Kms) -> Told:
    """At most one new material waits for its rotation."""
    key = await kms.create_key()
    await kms.import_material(key)
    pending = await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    terms = await kms.import_terms(key, bytes(32))
    refused = await kms.refused("import_key_material", **terms, **FOREVER, ImportType="NEW_KEY_MATERIAL")
    await kms.call("delete_imported_key_material", KeyId=key, KeyMaterialId=pending)
    third = await kms.import_material(key, bytes(32), ImportType="NEW_KEY_MATERIAL")
    return refused, key, third, pending


async def rotate_nothing(kms: Kms) -> Told:
    """A rotation needs a material that waits for it."""
    key = await kms.create_key()
    await kms.import_material(key)
    return await kms.refused("rotate_key_on_demand", KeyId=key), key


async def rotate_beyond_the_budget(kms: Kms) -> Told:
    """A key is rotated on demand at most 25 times in its life."""
    key = await kms.create_key(Origin="AWS_KMS")
    for _ in range(25):
        await kms.call("rotate_key_on_demand", KeyId=key)
    return await kms.refused("rotate_key_on_demand", KeyId=key), key


async def rotate_disabled(kms: Kms) -> Told:
    """A disabled key cannot be rotated."""
    key = await kms.create_key()
    await kms.import_material(key)
    await kms.call("disable_key", KeyId=key)
    return await kms.refused("rotate_key_on_demand", KeyId=key), key


async def rotate_hmac(kms: Kms) -> Told:
    """Only symmetric encryption keys are rotated."""
    key = await kms.create_key(Origin="AWS_KMS", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    return await kms.refused("rotate_key_on_demand", KeyId=key), key


async def replicate_a_replica(kms: Kms) -> Told:
    """Only a primary is replicated."""
    replica, elsewhere = await replicated(kms)
    kms.clock.advance(MINUTE)
    return await elsewhere.refused("replicate_key", KeyId=replica, ReplicaRegion="us-west-2"), replica


async def replicate_a_single_region_key(kms: Kms) -> Told:
    """A key of a single Region stays there."""
    key = await kms.create_key(Origin="AWS_KMS")
    return await kms.refused("replicate_key", KeyId=key, ReplicaRegion="us-west-2"), key


async def describe_unknown_arn(kms: Kms) -> Told:
    """An ARN of no key is not found."""
    key = f"{(await kms.create_key())[:-12]}000000000000"
    return await kms.refused("describe_key", KeyId=key), key


async def describe_unknown_id(kms: Kms) -> Told:
    """A well-formed id of no key is not found, and the answer names the ARN that it would have."""
    key = f"{(await kms.create_key())[:-12]}000000000000"
    return await kms.refused("describe_key", KeyId=key.rpartition("/")[2]), key


async def describe_nonsense(kms: Kms) -> Told:
    """What is no key id is told as it was sent."""
    return await kms.refused("describe_key", KeyId="nonsense"), "", "nonsense"


async def describe_in_another_region(kms: Kms) -> Told:
    """An ARN of another Region is not found."""
    key = (await kms.create_key()).replace(REGION, "us-west-2")
    return await kms.refused("describe_key", KeyId=key), key, "us-west-2"


async def unknown_enum_member(kms: Kms) -> Told:
    """A value outside an enum is refused with the values that there are."""
    key = await kms.create_key()
    wanted = WANTED | {"WrappingKeySpec": "RSA_1024"}
    return await kms.refused("get_parameters_for_import", KeyId=key, **wanted), key


async def too_long(kms: Kms) -> Told:
    """A value beyond its length is refused."""
    return await kms.refused("create_key", Description="x" * 8193), "", "x" * 8193


async def too_small(kms: Kms) -> Told:
    """A number below its range is refused."""
    return await kms.refused("list_keys", Limit=0), ""


async def alias_without_prefix(kms: Kms) -> Told:
    """An alias begins with its prefix."""
    key = await kms.create_key()
    return await kms.refused("create_alias", AliasName="a", TargetKeyId=key), key


async def hmac_without_usage(kms: Kms) -> Told:
    """An HMAC key is created with its usage."""
    return await kms.refused("create_key", KeySpec="HMAC_256"), ""


async def asymmetric_without_usage(kms: Kms) -> Told:
    """An asymmetric key is created with its usage."""
    return await kms.refused("create_key", KeySpec="ECC_NIST_P256"), ""


async def duplicate_tags(kms: Kms) -> Told:
    """A tag key occurs once in a request."""
    key = await kms.create_key()
    tags = [{"TagKey": "a", "TagValue": value} for value in "bc"]
    return await kms.refused("tag_resource", KeyId=key, Tags=tags), key


async def reserved_tags(kms: Kms) -> Told:
    """Tags that begin with aws: are AWS's."""
    return await kms.refused("create_key", Tags=[{"TagKey": "aws:a", "TagValue": ""}]), ""


async def too_many_tags(kms: Kms) -> Told:
    """A key has at most 50 tags."""
    key = await kms.create_key(Tags=[{"TagKey": str(number), "TagValue": ""} for number in range(50)])
    return await kms.refused("tag_resource", KeyId=key, Tags=[{"TagKey": "one more", "TagValue": ""}]), key


async def decrypt_garbage(kms: Kms) -> Told:
    """What is no ciphertext is refused without a word."""
    return await kms.refused("decrypt", CiphertextBlob=b"garbage"), ""


INVALID_STATE, NOT_FOUND, VALIDATION = "KMSInvalidStateException", "NotFoundException", "ValidationException"
UNSUPPORTED = "UnsupportedOperationException"
FAILED = "failed to satisfy constraint: Member must"

CASES: list[tuple[Case, str, str, str, str]] = [
    # case, group, situation in docs/kms.md, code, message
    (encrypt_pending_import, STATES, "use of a key in PendingImport", INVALID_STATE, "<arn> is pending import."),
    (decrypt_pending_deletion, STATES, "use of a key in PendingDeletion", INVALID_STATE, "<arn> is pending deletion."),
    (rotate_pending_import, STATES, "use of a key in PendingImport", INVALID_STATE, "<arn> is pending import."),
    (
        import_without_valid_to,
        "Import and reimport",
        "ImportKeyMaterial with neither ExpirationModel nor ValidTo",
        VALIDATION,
        "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
    ),
    (
        import_of_another_size,
        "Wrapping",
        "wrapped material of another size than the wrapping key's",
        VALIDATION,
        "Invalid encrypted key size.",
    ),
    (
        parameters_for_aws_kms,
        "Parameters for an import",
        "GetParametersForImport, Origin AWS_KMS",
        UNSUPPORTED,
        "<arn> origin is AWS_KMS which is not valid for this operation.",
    ),
    (
        parameters_for_a_wrapping_of_private_keys,
        "Parameters for an import",
        "a wrapping that the key spec does not take",
        VALIDATION,
        "Wrapping algorithm RSA_AES_KEY_WRAP_SHA_256 and wrapping key spec RSA_3072 cannot be used to import a "
        "SYMMETRIC_DEFAULT key.",
    ),
    (
        second_new_material,
        ROTATION,
        "new material while another waits for rotation",
        INVALID_STATE,
        "New key material (id: <a>) cannot be imported into KMS key <arn>, "
        "because another key material (id: <b>) is pending rotation.",
    ),
    (
        rotate_nothing,
        ROTATION,
        "RotateKeyOnDemand with nothing waiting",
        INVALID_STATE,
        "No available key material pending rotation for the key: <arn>.",
    ),
    (
        rotate_beyond_the_budget,
        ROTATION,
        "RotateKeyOnDemand beyond the budget of a key's life",
        "LimitExceededException",
        "The on-demand rotations limit has been reached for the given keyId. "
        "No more on-demand rotations can be performed for this key: <arn>",
    ),
    (rotate_disabled, STATES, "use of a disabled key", "DisabledException", "<arn> is disabled."),
    (rotate_hmac, ROTATION, "RotateKeyOnDemand on a key that is not symmetric", UNSUPPORTED, "..."),
    *(
        (
            case,
            REGIONS,
            "ReplicateKey of what is no primary",
            UNSUPPORTED,
            "<arn> is not a multi-region primary key.",
        )
        for case in (replicate_a_replica, replicate_a_single_region_key)
    ),
    (describe_unknown_arn, TAGS, "unknown key", NOT_FOUND, "Key '<arn>' does not exist"),
    (describe_unknown_id, TAGS, "unknown key", NOT_FOUND, "Key '<arn>' does not exist"),
    (describe_nonsense, TAGS, "malformed key id", NOT_FOUND, "Invalid keyId '<a>'"),
    (describe_in_another_region, TAGS, "ARN of another Region", NOT_FOUND, "Invalid arn <a>"),
    (
        unknown_enum_member,
        "Requests",
        "unknown enum member",
        VALIDATION,
        f"1 validation error detected: Value 'RSA_1024' at 'wrappingKeySpec' {FAILED} satisfy enum value set: "
        "[RSA_2048, RSA_3072, RSA_4096, SM2]",
    ),
    (
        too_long,
        "Requests",
        "a length that is off",
        VALIDATION,
        f"1 validation error detected: Value '<a>' at 'description' {FAILED} have length less than or equal to 8192",
    ),
    (
        too_small,
        "Requests",
        "a number out of its range",
        VALIDATION,
        f"1 validation error detected: Value '0' at 'limit' {FAILED} have value greater than or equal to 1",
    ),
    (
        alias_without_prefix,
        TAGS,
        "alias without its prefix",
        VALIDATION,
        'Alias must start with the prefix "alias/". '
        "Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
    ),
    *(
        (
            case,
            STATES,
            "HMAC or asymmetric key without KeyUsage",
            VALIDATION,
            "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
        )
        for case in (hmac_without_usage, asymmetric_without_usage)
    ),
    (duplicate_tags, TAGS, "the same tag twice", "TagException", "Duplicate tag keys"),
    (reserved_tags, TAGS, "a tag of AWS's", "TagException", "Tags beginning with aws: are reserved"),
    (too_many_tags, TAGS, "more than 50 tags", "TagException", "Too many tags"),
    (decrypt_garbage, "Encryption", "bytes that do not decrypt", "InvalidCiphertextException", ""),
]


@pytest.mark.parametrize(
    ("case", "code", "message"),
    [
        pytest.param(case, code, message, id=case.__name__, marks=rule(group, RECORDED, recorded=situation))
        for case, group, situation, code, message in CASES
    ],
)
async def test_a_refusal_is_the_recorded_one(case: Case, code: str, message: str, kms: Kms) -> None:
    """Each broken rule gets the code and the message that the real service gave."""
    refused, arn, *named = await case(kms)
    assert refused.code == code
    if message != "...":
        told = dict(zip(("<a>", "<b>"), named, strict=False)) | {"<arn>": arn}
        for placeholder, value in told.items():
            message = message.replace(placeholder, value)
        assert refused.message == message
