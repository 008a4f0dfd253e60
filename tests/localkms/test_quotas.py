"""AWS's request quotas: what each operation may be called, by whom, and what it is told beyond that."""

from __future__ import annotations

from typing import Any

import pytest

from byokd.localkms.errors import Refusal
from byokd.localkms.hostility import FRIENDLY, Hostility
from byokd.localkms.hostility.quotas import CRYPTOGRAPHIC, PAIRS, Quotas, due, per_second
from byokd.localkms.operations import OPERATIONS
from byokd.localkms.signatures import Caller

from .kit import ACCOUNT, REGION, START, Kms, Refused, Serving
from .rules import rule

HERE = Caller(ACCOUNT, REGION)
SLOW_DOWN = Refused(
    "ThrottlingException", "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."
)
PARAMETERS = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}


@rule("Quotas and consistency", "guide requests-per-second")
async def test_parameters_for_import_come_once_in_four_seconds(serving: Serving) -> None:
    """GetParametersForImport has a burst of one, and its next token comes after four seconds of the server's clock."""
    async with serving(quota_factor=1.0) as kms:
        key = await kms.create_key()
        await kms.parameters(key)
        assert await kms.refused("get_parameters_for_import", KeyId=key, **PARAMETERS) == SLOW_DOWN
        kms.clock.advance(3.9)
        assert await kms.refused("get_parameters_for_import", KeyId=key, **PARAMETERS) == SLOW_DOWN
        kms.clock.advance(0.1)
        await kms.parameters(key)


@rule("Quotas and consistency", "guide throttling")
async def test_quotas_are_apart_by_account_region_and_operation(serving: Serving) -> None:
    """Who is throttled in one operation calls the others; other accounts and Regions notice nothing."""
    async with serving(quota_factor=1.0) as kms:
        others = [
            Kms(kms.url, kms.clock, region="us-east-1"),
            Kms(kms.url, kms.clock, account="444455556666"),
        ]
        for _ in range(5):
            await kms.create_key()
        assert await kms.refused("create_key") == SLOW_DOWN
        await kms.call("list_keys")
        for other in others:
            await other.create_key()


async def test_a_refused_call_counts_and_a_throttled_one_does_not(serving: Serving) -> None:
    """A quota is of requests, whether they succeed; but who is throttled does not put the next token off."""
    async with serving(quotas={"DescribeKey": 1.0}, quota_factor=1.0) as kms:
        assert (await kms.refused("describe_key", KeyId="nonsense")).code == "NotFoundException"
        for _ in range(3):
            assert await kms.refused("describe_key", KeyId="nonsense") == SLOW_DOWN
        kms.clock.advance(1)
        assert (await kms.refused("describe_key", KeyId="nonsense")).code == "NotFoundException"


@rule("Quotas and consistency", "guide requests-per-second")
async def test_cryptographic_operations_share_a_quota(serving: Serving) -> None:
    """Encrypt, Decrypt and GenerateDataKey of symmetric keys drink from one bucket."""
    async with serving(quotas={"Cryptographic operations (symmetric)": 3.0}, quota_factor=1.0) as kms:
        key = await kms.create_key(Origin="AWS_KMS")
        blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
        await kms.call("decrypt", CiphertextBlob=blob)
        await kms.call("generate_data_key", KeyId=key, KeySpec="AES_256")
        assert await kms.refused("decrypt", CiphertextBlob=blob) == SLOW_DOWN
        await kms.describe(key)


async def test_a_factor_scales_every_quota(serving: Serving) -> None:
    """Four times the quota of GetParametersForImport is one a second."""
    async with serving(quota_factor=4.0) as kms:
        key = await kms.create_key()
        for _ in range(3):
            await kms.parameters(key)
            assert await kms.refused("get_parameters_for_import", KeyId=key, **PARAMETERS) == SLOW_DOWN
            kms.clock.advance(1)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_its_quota(operation: str) -> None:
    """No operation of the surface is without a documented quota."""
    request = {"KeyPairSpec": "RSA_2048"} if operation in PAIRS else {}
    assert all(per_second(quota, REGION) for _, quota, _ in due(HERE, operation, request, None))


COUNTED: dict[str, tuple[str, dict[str, Any], str | None, dict[tuple[str, str], int]]] = {
    # operation, request, spec of its key: what it counts against, by Region and quota
    "a symmetric key": ("Encrypt", {}, "SYMMETRIC_DEFAULT", {(REGION, "Cryptographic operations (symmetric)"): 1}),
    "an HMAC key is symmetric": ("GenerateMac", {}, "HMAC_256", {(REGION, "Cryptographic operations (symmetric)"): 1}),
    "an RSA key": ("Sign", {}, "RSA_4096", {(REGION, "Cryptographic operations (RSA)"): 1}),
    "a curve": ("Sign", {}, "ECC_NIST_P256", {(REGION, "Cryptographic operations (ECC and SM2)"): 1}),
    "no key": ("GenerateRandom", {}, None, {(REGION, "Cryptographic operations (symmetric)"): 1}),
    "a data key pair": (
        "GenerateDataKeyPairWithoutPlaintext",
        {"KeyPairSpec": "RSA_4096"},
        "SYMMETRIC_DEFAULT",
        {(REGION, "GenerateDataKeyPair (RSA_4096)"): 1},
    ),
    "a replica": (
        "ReplicateKey",
        {"ReplicaRegion": "us-east-1"},
        None,
        {(REGION, "ReplicateKey"): 1, ("us-east-1", "CreateKey"): 2},
    ),
    "a new primary": (
        "UpdatePrimaryRegion",
        {"PrimaryRegion": "us-east-1"},
        None,
        {(REGION, "UpdatePrimaryRegion"): 1, ("us-east-1", "UpdatePrimaryRegion"): 1},
    ),
}


@rule("Quotas and consistency", "guide requests-per-second")
@pytest.mark.parametrize("case", COUNTED)
def test_what_a_request_counts_against(case: str) -> None:
    """Each request is charged to the quotas that the guide's page names for it."""
    operation, request, spec, expected = COUNTED[case]
    assert {(owner.region, quota): cost for owner, quota, cost in due(HERE, operation, request, spec)} == expected


@rule("Quotas and consistency", "guide requests-per-second")
def test_published_values_that_differ_by_region() -> None:
    """The shared symmetric quota has three sizes, and data key pairs are scarce in China."""
    symmetric = "Cryptographic operations (symmetric)"
    assert [per_second(symmetric, region) for region in ("eu-west-3", "eu-central-1", "us-east-1")] == [
        10_000,
        20_000,
        100_000,
    ]
    assert per_second("GenerateDataKeyPair (RSA_4096)", "cn-north-1") == 0.1
    assert per_second("GenerateDataKeyPair (ECC_NIST_P256)", "cn-north-1") == 100


def test_a_replication_is_all_or_nothing() -> None:
    """Where the other Region's quota is used up, the replication takes nothing of this Region's either."""
    quotas = Quotas(Hostility(quotas={"ReplicateKey": 1.0}))
    request = {"ReplicaRegion": "us-east-1"}
    there = HERE._replace(region="us-east-1")
    for _ in range(4):
        quotas.admit(due(there, "CreateKey", {}, None), START)
    with pytest.raises(Refusal):
        quotas.admit(due(HERE, "ReplicateKey", request, None), START)
    quotas.admit(due(HERE, "ReplicateKey", request, None), START + 0.5)


def test_a_clock_set_back_neither_fills_nor_empties_a_bucket() -> None:
    """After a step back the bucket goes on from there: an hour's refill is not handed out twice, nor withheld."""
    quotas = Quotas(Hostility(quotas={"DescribeKey": 1.0}))
    asked = due(HERE, "DescribeKey", {}, None)
    quotas.admit(asked, START)
    with pytest.raises(Refusal):
        quotas.admit(asked, START - 3600)
    quotas.admit(asked, START - 3599)


def test_friendly_has_no_quotas() -> None:
    """A friendly server never throttles."""
    quotas = Quotas(FRIENDLY)
    for _ in range(100):
        quotas.admit(due(HERE, "GetParametersForImport", {}, None), START)


def test_the_shared_quotas_name_every_cryptographic_operation() -> None:
    """What uses a key's material is either shared or a data key pair, and no management operation is."""
    assert CRYPTOGRAPHIC.isdisjoint({"DescribeKey", "GetPublicKey", "ImportKeyMaterial"})
    assert all(per_second(operation, REGION) is None for operation in CRYPTOGRAPHIC)
