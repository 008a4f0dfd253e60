"""Eventual consistency over HTTP: what reads may miss, for how long, and who always sees the present."""

from __future__ import annotations

from byokd.localkms.hostility.past import Past
from byokd.localkms.keys import Key, Origin
from byokd.localkms.signatures import Caller

from .kit import ACCOUNT, DAY, MATERIAL, REGION, START, Serving
from .rules import rule

PARAMETERS = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
YOUNGER = Key(id="key", owner=Caller(ACCOUNT, REGION), origin=Origin.EXTERNAL, created_at=START)


@rule("Quotas and consistency", "guide programming-eventual-consistency")
async def test_a_new_key_is_not_found_by_reads_for_a_while(serving: Serving) -> None:
    """DescribeKey and GetParametersForImport may miss a key that has just been created, no longer than the lag."""
    async with serving(lag_rate=1.0, lag_s=2.0) as kms:
        key = await kms.create_key()
        missing = await kms.refused("describe_key", KeyId=key)
        assert (missing.code, missing.message) == ("NotFoundException", f"Key '{key}' does not exist")
        assert (await kms.refused("get_parameters_for_import", KeyId=key, **PARAMETERS)).code == "NotFoundException"
        kms.clock.advance(1.9)
        assert (await kms.refused("describe_key", KeyId=key)).code == "NotFoundException"
        kms.clock.advance(0.1)
        assert await kms.state(key) == "PendingImport"


async def test_changes_and_cryptography_see_the_present(serving: Serving) -> None:
    """Only reads are behind: a key that they do not find yet can be tagged, disabled and encrypted under."""
    async with serving(lag_rate=1.0) as kms:
        key = await kms.create_key(Origin="AWS_KMS")
        await kms.call("encrypt", KeyId=key, Plaintext=b"x")
        await kms.call("disable_key", KeyId=key)
        assert (await kms.refused("encrypt", KeyId=key, Plaintext=b"x")).code == "DisabledException"
        assert (await kms.refused("describe_key", KeyId=key)).code == "NotFoundException"


@rule("Quotas and consistency", "guide programming-eventual-consistency")
async def test_an_import_is_seen_late(serving: Serving) -> None:
    """DescribeKey and ListKeyRotations show the key without its material for a while, which is in use by then."""
    async with serving(lag_rate=1.0, lag_s=2.0) as kms:
        key = await kms.create_key()
        kms.clock.advance(10)
        await kms.import_material(key, MATERIAL, valid_for=DAY)
        await kms.call("encrypt", KeyId=key, Plaintext=b"x")
        assert await kms.state(key) == "PendingImport"
        materials = {"KeyId": key, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}
        assert (await kms.call("list_key_rotations", **materials))["Rotations"] == []
        kms.clock.advance(2)
        assert await kms.state(key) == "Enabled"
        (row,) = (await kms.call("list_key_rotations", **materials))["Rotations"]
        assert row["ImportState"] == "IMPORTED"


async def test_an_expiry_is_seen_late(serving: Serving) -> None:
    """Right after ValidTo a read may still say Enabled, though nothing decrypts any more."""
    async with serving(lag_rate=1.0, lag_s=2.0) as kms:
        key = await kms.create_key()
        kms.clock.advance(10)
        await kms.import_material(key, MATERIAL, valid_for=DAY)
        kms.clock.advance(DAY)
        assert (await kms.refused("encrypt", KeyId=key, Plaintext=b"x")).code == "KMSInvalidStateException"
        assert await kms.state(key) == "Enabled"
        kms.clock.advance(2)
        assert await kms.state(key) == "PendingImport"


async def test_only_some_reads_are_behind(serving: Serving) -> None:
    """Reads within the lag go back and forth between past and present, as readers of different replicas do."""
    async with serving(lag_rate=0.5) as kms:
        key = await kms.create_key()
        kms.clock.advance(10)
        await kms.import_material(key, MATERIAL)
        states = [await kms.state(key) for _ in range(30)]
        assert set(states) == {"PendingImport", "Enabled"}
        kms.clock.advance(2)
        assert {await kms.state(key) for _ in range(10)} == {"Enabled"}


def test_nobody_is_further_behind_than_the_lag() -> None:
    """Of two changes within the lag, the older version is seen until its own lag is over, then the younger one."""
    past = Past(2.0)
    past.note(None, "key", START)
    past.note(YOUNGER, "key", START + 1)
    seen = [past.of("key", START + after) for after in (1.5, 2.5, 3.0)]
    assert [each is not None and each.key for each in seen] == [None, YOUNGER, False]


def test_the_past_is_forgotten() -> None:
    """Versions that nobody may see any more are not kept, so that a busy server does not grow."""
    past = Past(2.0)
    for second in range(1000):
        past.note(None, f"key {second % 7}", START + second)
    assert sum(len(versions) for versions in past._versions.values()) <= 3
    past.note(None, "key", START - 3600)
    assert past.of("key", START - 3600) is not None
