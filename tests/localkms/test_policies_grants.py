"""Key policies and grants: stored, listed, checked for their form; and the limits of aliases and descriptions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .kit import ACCOUNT, REGION, START, Kms, Refused
from .rules import rule

GROUP = "Policies and grants"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
OPEN: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
USE = {"GranteePrincipal": ROLE, "Operations": ["Encrypt", "Decrypt"]}


@rule(GROUP, "guide key-policy-default")
async def test_a_key_has_the_default_policy_until_it_gets_its_own(kms: Kms) -> None:
    """The default policy lets the account's root do everything; another that is set is kept verbatim."""
    key = await kms.create_key()
    answer = await kms.call("get_key_policy", KeyId=key)
    default = json.loads(answer["Policy"])
    assert (answer["PolicyName"], default["Id"]) == ("default", "key-default-1")
    assert default["Statement"] == [OPEN | {"Sid": "Enable IAM User Permissions"}]
    own = json.dumps({"Statement": [OPEN]}, indent=3)
    await kms.call("put_key_policy", KeyId=key, PolicyName="default", Policy=own)
    assert (await kms.call("get_key_policy", KeyId=key))["Policy"] == own
    born = await kms.create_key(Policy=own)
    assert (await kms.call("get_key_policy", KeyId=born, PolicyName="default"))["Policy"] == own
    listed = await kms.call("list_key_policies", KeyId=key)
    assert (listed["PolicyNames"], listed["Truncated"]) == (["default"], False)


def policy(**changes: Any) -> str:
    """A policy of one statement, changed."""
    return json.dumps({"Statement": [OPEN | changes]})


MALFORMED = "MalformedPolicyDocumentException"
BAD_POLICIES: dict[str, tuple[str, str]] = {
    "no JSON": ("{", MALFORMED),
    "no object": ("[]", MALFORMED),
    "no statements": ('{"Statement": []}', MALFORMED),
    "a statement that is none": ('{"Statement": ["Allow"]}', MALFORMED),
    "a statement for nobody": (policy(Principal=None), MALFORMED),
    "only for another account": (policy(Principal={"AWS": "arn:aws:iam::999999999999:root"}), MALFORMED),
    "only to decrypt": (policy(Action=["kms:Decrypt", "kms:PutKeyPolicyOfMine"]), MALFORMED),
    "only denials": (policy(Effect="Deny"), MALFORMED),
    "too long": (policy(Sid="x" * 32 * 1024), "LimitExceededException"),
}


@rule(GROUP, "API PutKeyPolicy")
@pytest.mark.parametrize("case", BAD_POLICIES)
async def test_a_policy_that_is_none_or_locks_out_is_refused(case: str, kms: Kms) -> None:
    """Malformed policies and those that bar their owner from PutKeyPolicy are refused wherever one can be given."""
    text, code = BAD_POLICIES[case]
    key = await kms.create_key(Origin="AWS_KMS", MultiRegion=True)
    assert (await kms.refused("put_key_policy", KeyId=key, Policy=text)).code == code
    assert (await kms.refused("create_key", Policy=text)).code == code
    assert (await kms.refused("replicate_key", KeyId=key, ReplicaRegion="us-east-1", Policy=text)).code == code
    assert json.loads((await kms.call("get_key_policy", KeyId=key))["Policy"])["Id"] == "key-default-1"


@rule(GROUP, "API PutKeyPolicy")
async def test_the_lockout_check_can_be_bypassed_and_is_no_narrower_than_it_must(kms: Kms) -> None:
    """BypassPolicyLockoutSafetyCheck lets a lockout pass; wildcards, lists and account ids count as access."""
    key = await kms.create_key()
    locked = policy(Action="kms:Decrypt")
    assert (await kms.refused("put_key_policy", KeyId=key, Policy=locked)).message == (
        "The new key policy will not allow you to update the key policy in the future."
    )
    await kms.call("put_key_policy", KeyId=key, Policy=locked, BypassPolicyLockoutSafetyCheck=True)
    for changes in ({"Principal": "*"}, {"Principal": {"AWS": [ROLE, "x"]}}, {"Principal": {"AWS": ACCOUNT}}):
        await kms.call("put_key_policy", KeyId=key, Policy=policy(**changes))
    for action in ("*", "kms:Put*", ["kms:Decrypt", "KMS:PutKeyPolicy"]):
        await kms.call("put_key_policy", KeyId=key, Policy=policy(Action=action))


@rule(GROUP, "API GetKeyPolicy")
async def test_a_policy_is_called_default(kms: Kms) -> None:
    """No other policy name exists."""
    key = await kms.create_key()
    for operation, members in (("get_key_policy", {}), ("put_key_policy", {"Policy": policy()})):
        refused = await kms.refused(operation, KeyId=key, PolicyName="other", **members)
        assert refused.code == "NotFoundException"


@rule(GROUP, "API CreateGrant")
async def test_a_grant_is_told_as_it_was_made(kms: Kms) -> None:
    """ListGrants tells everything of a grant, and filters by id and grantee."""
    key = await kms.create_key(Origin="AWS_KMS")
    constraints = {"EncryptionContextSubset": {"a": "b"}}
    made = await kms.call("create_grant", KeyId=key, **USE, RetiringPrincipal=ROOT, Name="n", Constraints=constraints)
    other = await kms.call("create_grant", KeyId=key, GranteePrincipal=ROOT, Operations=["DescribeKey"])
    (grant,) = (await kms.call("list_grants", KeyId=key, GrantId=made["GrantId"]))["Grants"]
    assert grant.pop("CreationDate").timestamp() == START
    assert grant == {
        "KeyId": key,
        "GrantId": made["GrantId"],
        "Name": "n",
        "GranteePrincipal": ROLE,
        "RetiringPrincipal": ROOT,
        "IssuingAccount": ROOT,
        "Operations": ["Encrypt", "Decrypt"],
        "Constraints": constraints,
    }
    assert len(made["GrantId"]) == 64
    (grant,) = (await kms.call("list_grants", KeyId=key, GranteePrincipal=ROOT))["Grants"]
    assert grant["GrantId"] == other["GrantId"]
    assert len((await kms.call("list_grants", KeyId=key))["Grants"]) == 2
    (grant,) = (await kms.call("list_retirable_grants", RetiringPrincipal=ROOT))["Grants"]
    assert grant["GrantId"] == made["GrantId"]


@rule(GROUP, "API CreateGrant")
async def test_a_named_grant_is_made_once(kms: Kms) -> None:
    """The same named request finds the grant that is there, with another token; without a name there are two."""
    key = await kms.create_key(Origin="AWS_KMS")
    first, again = [await kms.call("create_grant", KeyId=key, **USE, Name="n") for _ in range(2)]
    assert first["GrantId"] == again["GrantId"]
    assert first["GrantToken"] != again["GrantToken"]
    assert (await kms.call("create_grant", KeyId=key, **USE, Name="m"))["GrantId"] != first["GrantId"]
    assert len({(await kms.call("create_grant", KeyId=key, **USE))["GrantId"] for _ in range(2)}) == 2


@rule(GROUP, "API RetireGrant")
async def test_a_grant_ends_by_its_token_or_its_id(kms: Kms) -> None:
    """RetireGrant takes any token of a grant, or key and id; RevokeGrant key and id. Then it is gone."""
    key = await kms.create_key(Origin="AWS_KMS")
    one, two, three = [await kms.call("create_grant", KeyId=key, **USE) for _ in range(3)]
    await kms.call("retire_grant", GrantToken=one["GrantToken"])
    await kms.call("retire_grant", KeyId=key, GrantId=two["GrantId"])
    await kms.call("revoke_grant", KeyId=key, GrantId=three["GrantId"])
    assert (await kms.call("list_grants", KeyId=key))["Grants"] == []
    for operation, members in (
        ("retire_grant", {"GrantToken": one["GrantToken"]}),
        ("retire_grant", {"KeyId": key, "GrantId": two["GrantId"]}),
        ("revoke_grant", {"KeyId": key, "GrantId": three["GrantId"]}),
    ):
        assert (await kms.refused(operation, **members)).code == "NotFoundException"


@rule(GROUP, "API CreateGrant, RetireGrant and RevokeGrant")
async def test_a_dry_run_of_a_grant_changes_nothing(kms: Kms) -> None:
    """DryRun says whether a grant could be made, retired or revoked, and does none of it."""
    key = await kms.create_key(Origin="AWS_KMS")
    assert (await kms.refused("create_grant", KeyId=key, **USE, DryRun=True)).code == "DryRunOperationException"
    assert (await kms.call("list_grants", KeyId=key))["Grants"] == []
    made = await kms.call("create_grant", KeyId=key, **USE)
    for operation in ("retire_grant", "revoke_grant"):
        refused = await kms.refused(operation, KeyId=key, GrantId=made["GrantId"], DryRun=True)
        assert refused.code == "DryRunOperationException"
    assert len((await kms.call("list_grants", KeyId=key))["Grants"]) == 1


async def test_grants_come_in_pages(kms: Kms) -> None:
    """Limit and Marker walk the grants of a key once each."""
    key = await kms.create_key(Origin="AWS_KMS")
    made = {(await kms.call("create_grant", KeyId=key, **USE, RetiringPrincipal=ROLE))["GrantId"] for _ in range(5)}
    for operation, members in (("list_grants", {"KeyId": key}), ("list_retirable_grants", {"RetiringPrincipal": ROLE})):
        first = await kms.call(operation, Limit=3, **members)
        rest = await kms.call(operation, Marker=first["NextMarker"], **members)
        assert (first["Truncated"], rest["Truncated"]) == (True, False)
        seen = [each["GrantId"] for each in first["Grants"] + rest["Grants"]]
        assert (len(seen), set(seen)) == (5, made)


SERVICE = {"GranteeServicePrincipal": "s3.amazonaws.com", "Operations": ["Decrypt"]}
SOURCE = {"SourceArn": f"arn:aws:s3:{REGION}:{ACCOUNT}:bucket"}
BAD_GRANTS: dict[str, dict[str, Any]] = {
    "nobody": {"Operations": ["Decrypt"]},
    "two grantees": USE | {"GranteeServicePrincipal": "s3.amazonaws.com"},
    "two that may retire": USE | {"RetiringPrincipal": ROOT, "RetiringServicePrincipal": "s3.amazonaws.com"},
    "a service without a source": SERVICE | {"RetiringPrincipal": ROOT},
    "a service that nobody retires": SERVICE | {"Constraints": SOURCE},
    "an operation of other keys": USE | {"Operations": ["Encrypt", "Sign"]},
    "too many pairs": USE | {"Constraints": {"EncryptionContextEquals": {str(n): "" for n in range(9)}}},
    "too long a value": USE | {"Constraints": {"EncryptionContextEquals": {"a": "x" * 385}}},
}


@rule(GROUP, "API CreateGrant")
@pytest.mark.parametrize("name", ["GranteePrincipal", "RetiringPrincipal"])
async def test_a_principal_is_named_by_its_arn(name: str, kms: Kms) -> None:
    """Who gets a grant, or may retire it, is an account, user, role or session, by its ARN: InvalidArnException."""
    key = await kms.create_key(Origin="AWS_KMS")
    for nobody in ("somebody", ACCOUNT, key, "arn:aws:iam::1:root"):
        refused = await kms.refused("create_grant", KeyId=key, **(USE | {name: nobody}))
        assert refused == Refused("InvalidArnException", f"ARN does not refer to a valid principal: {nobody}")
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s"
    await kms.call("create_grant", KeyId=key, **(USE | {name: session}))


@rule(GROUP, "API CreateGrant")
@pytest.mark.parametrize("case", BAD_GRANTS)
async def test_a_grant_must_make_sense(case: str, kms: Kms) -> None:
    """One grantee, at most one retiring principal, operations of the key, and constraints within their limits."""
    key = await kms.create_key(Origin="AWS_KMS")
    assert (await kms.refused("create_grant", KeyId=key, **BAD_GRANTS[case])).code == "ValidationException"
    await kms.call("create_grant", KeyId=key, **SERVICE, RetiringPrincipal=ROOT, Constraints=SOURCE)


OPERATIONS = {
    ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"): {"Encrypt", "ReEncryptTo", "GenerateDataKeyPairWithoutPlaintext"},
    ("RSA_2048", "ENCRYPT_DECRYPT"): {"Encrypt", "ReEncryptTo", "GetPublicKey"},
    ("ECC_NIST_P256", "SIGN_VERIFY"): {"Sign", "GetPublicKey"},
    ("ECC_NIST_P256", "KEY_AGREEMENT"): {"DeriveSharedSecret", "GetPublicKey"},
    ("HMAC_256", "GENERATE_VERIFY_MAC"): {"VerifyMac"},
}


@rule(GROUP, "API CreateGrant")
@pytest.mark.parametrize(("spec", "usage"), OPERATIONS)
async def test_a_grant_permits_only_what_its_key_can_do(spec: str, usage: str, kms: Kms) -> None:
    """A grant on a key names operations that the key's spec and usage have; context constraints are for symmetric."""
    key = await kms.create_key(Origin="AWS_KMS", KeySpec=spec, KeyUsage=usage)
    for operation in set().union(*OPERATIONS.values()) | {"DescribeKey"}:
        members = {"KeyId": key, "GranteePrincipal": ROLE, "Operations": [operation]}
        if operation in OPERATIONS[spec, usage] | {"DescribeKey"}:
            await kms.call("create_grant", **members)
        else:
            assert (await kms.refused("create_grant", **members)).code == "ValidationException", operation
    bound = {"Operations": ["DescribeKey"], "Constraints": {"EncryptionContextEquals": {"a": "b"}}}
    if spec != "SYMMETRIC_DEFAULT":
        refused = await kms.refused("create_grant", KeyId=key, GranteePrincipal=ROLE, **bound)
        assert refused.code == "ValidationException"


BAD_ENDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a token that is none": ("retire_grant", {"GrantToken": "nonsense"}, "InvalidGrantTokenException"),
    "a token in no alphabet": ("retire_grant", {"GrantToken": "ä"}, "InvalidGrantTokenException"),
    "nothing named": ("retire_grant", {}, "ValidationException"),
    "an id without its key": ("retire_grant", {"GrantId": "0" * 64}, "ValidationException"),
    "an id that cannot be": ("revoke_grant", {"GrantId": "nonsense"}, "InvalidGrantIdException"),
    "an id to filter by that cannot be": ("list_grants", {"GrantId": "nonsense"}, "InvalidGrantIdException"),
    "an unknown id": ("revoke_grant", {"GrantId": "0" * 64}, "NotFoundException"),
    "grantees of two kinds": (
        "list_grants",
        {"GranteePrincipal": ROLE, "GranteeServicePrincipal": "s3.amazonaws.com"},
        "ValidationException",
    ),
    "nobody to retire": ("list_retirable_grants", {}, "ValidationException"),
}


@rule(GROUP, "API RetireGrant, RevokeGrant, ListGrants and ListRetirableGrants")
@pytest.mark.parametrize("case", BAD_ENDS)
async def test_grants_are_named_as_the_api_says(case: str, kms: Kms) -> None:
    """What names no grant gets the error of the API reference."""
    operation, members, code = BAD_ENDS[case]
    if operation not in ("retire_grant", "list_retirable_grants"):
        members = members | {"KeyId": await kms.create_key(Origin="AWS_KMS")}
    assert (await kms.refused(operation, **members)).code == code


@rule("Names, aliases and tags", "guide resource-limits")
async def test_a_key_has_at_most_50_aliases(kms: Kms) -> None:
    """The fifty-first alias of a key is refused, whether it is new or moved there."""
    key, other = await kms.create_key(), await kms.create_key()
    for number in range(50):
        await kms.call("create_alias", AliasName=f"alias/{number}", TargetKeyId=key)
    await kms.call("create_alias", AliasName="alias/other", TargetKeyId=other)
    for operation, name in (("create_alias", "alias/new"), ("update_alias", "alias/other")):
        assert (await kms.refused(operation, AliasName=name, TargetKeyId=key)).code == "LimitExceededException"
    await kms.call("update_alias", AliasName="alias/0", TargetKeyId=key)  # it is there already
    await kms.call("update_alias", AliasName="alias/0", TargetKeyId=other)
    await kms.call("create_alias", AliasName="alias/new", TargetKeyId=key)


@rule("Names, aliases and tags", "API UpdateAlias")
async def test_an_alias_stays_with_keys_of_one_type_and_use(kms: Kms) -> None:
    """UpdateAlias moves a name between keys of the same type and usage only; sizes and curves may differ."""
    made = {
        "symmetric": await kms.create_key(),
        "HMAC": await kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC"),
        "RSA to encrypt": await kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT"),
        "RSA to sign": await kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"),
        "ECC to sign": await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY"),
    }
    for one, key in made.items():
        await kms.call("create_alias", AliasName="alias/a", TargetKeyId=key)
        for other, target in made.items():
            if one == other or {one, other} == {"RSA to sign", "ECC to sign"}:
                await kms.call("update_alias", AliasName="alias/a", TargetKeyId=target)
                await kms.call("update_alias", AliasName="alias/a", TargetKeyId=key)
            else:
                refused = await kms.refused("update_alias", AliasName="alias/a", TargetKeyId=target)
                assert refused.code == "ValidationException"
        await kms.call("delete_alias", AliasName="alias/a")


@rule("Keys and their states", "API UpdateKeyDescription")
async def test_a_description_can_be_replaced_and_emptied(kms: Kms) -> None:
    """UpdateKeyDescription replaces the description, also by nothing."""
    key = await kms.create_key(Description="old")
    for text in ("new", ""):
        await kms.call("update_key_description", KeyId=key, Description=text)
        assert (await kms.describe(key))["Description"] == text
