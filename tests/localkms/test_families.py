"""Multi-Region keys: changes of the primary, deletions, and what a family refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from .kit import DAY, FOREVER, OTHER_MATERIAL, Refused
from .regions import AWAITED, AWAY, FAMILY, HOME, PENDING, THIRD, Site, materials, told_family
from .rules import rule
from .specimens import material

Case = Callable[[Site], Awaitable[tuple[str, Refused]]]


@rule(FAMILY, "API UpdatePrimaryRegion")
async def test_the_primary_moves_to_a_replicas_region(site: Site) -> None:
    """Old and new primary are Updating, can be used meanwhile, and have exchanged their parts."""
    primary, one, two = await site.family(replicas=2)
    await site.home.call("update_primary_region", KeyId=primary, PrimaryRegion=AWAY)
    keys = ((site.home, primary), (site.away, one), (site.third, two))
    assert [await kms.state(key) for kms, key in keys] == ["Updating", "Updating", "Enabled"]
    for kms, key in keys[:2]:
        await kms.call("encrypt", KeyId=key, Plaintext=b"x")
    site.settle()
    assert [await kms.state(key) for kms, key in keys] == ["Enabled"] * 3
    told = [told_family(await kms.describe(key)) for kms, key in keys]
    assert told == [
        ("REPLICA", AWAY, [HOME, THIRD]),
        ("PRIMARY", AWAY, [HOME, THIRD]),
        ("REPLICA", AWAY, [HOME, THIRD]),
    ]
    await site.away.import_material(one, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    assert (await site.home.refused("replicate_key", KeyId=primary, ReplicaRegion="eu-west-1")).code == (
        "UnsupportedOperationException"
    )


async def test_a_key_that_is_updating_can_be_used_only_with_its_material(site: Site) -> None:
    """Material that expires during the update makes the key unusable then and there."""
    primary, _ = await site.family()
    await site.home.import_material(primary, valid_for=10)
    await site.home.call("update_primary_region", KeyId=primary, PrimaryRegion=AWAY)
    site.home.clock.advance(10)
    assert await site.home.state(primary) == "Updating"
    assert await site.home.refused("encrypt", KeyId=primary, Plaintext=b"x") == Refused(
        "KMSInvalidStateException", f"{primary} is pending import."
    )
    site.settle()
    assert await site.home.state(primary) == "PendingImport"


async def test_what_is_pending_moves_with_the_primary_if_it_is_there(site: Site) -> None:
    """New material that the new primary holds stays pending under it; otherwise it is forgotten."""
    for copied in (True, False):
        primary, one, two = await site.family(replicas=2)
        new = await site.home.import_material(primary, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
        if copied:
            await site.away.import_material(one, OTHER_MATERIAL)
        await site.home.call("update_primary_region", KeyId=primary, PrimaryRegion=AWAY)
        site.settle()
        states = [(await materials(kms, key)).get(new) for kms, key in ((site.home, primary), (site.away, one))]
        assert states == ([(PENDING, "IMPORTED"), (AWAITED, "IMPORTED")] if copied else [None, None])
        if copied:
            await site.third.import_material(two, OTHER_MATERIAL)
            assert (await materials(site.away, one))[new] == (PENDING, "IMPORTED")


@rule(FAMILY, "API ScheduleKeyDeletion")
async def test_a_primary_waits_for_its_replicas_to_be_deleted(site: Site) -> None:
    """A primary with replicas is PendingReplicaDeletion, and its own waiting period begins when the last is gone."""
    primary, one, two = await site.family(replicas=2)
    answer = await site.home.call("schedule_key_deletion", KeyId=primary, PendingWindowInDays=10)
    assert (answer["KeyState"], answer["PendingWindowInDays"]) == ("PendingReplicaDeletion", 10)
    assert "DeletionDate" not in answer
    told = await site.home.describe(primary)
    assert (told["KeyState"], told["PendingDeletionWindowInDays"]) == ("PendingReplicaDeletion", 10)
    assert "DeletionDate" not in told
    await site.away.call("schedule_key_deletion", KeyId=one, PendingWindowInDays=7)
    await site.third.call("schedule_key_deletion", KeyId=two, PendingWindowInDays=8)
    began = site.home.clock.now()
    site.home.clock.advance(7 * DAY)
    assert told_family(await site.home.describe(primary)) == ("PRIMARY", HOME, [THIRD])
    site.home.clock.advance(3 * DAY)
    told = await site.home.describe(primary)
    assert (told["KeyState"], "PendingDeletionWindowInDays" in told) == ("PendingDeletion", False)
    assert told["DeletionDate"].timestamp() == began + 18 * DAY
    site.home.clock.advance(8 * DAY)
    assert (await site.home.refused("describe_key", KeyId=primary)).code == "NotFoundException"


@rule(FAMILY, "guide key-state")
async def test_a_deletion_that_waits_for_replicas_can_be_cancelled(site: Site) -> None:
    """CancelKeyDeletion leaves a primary that was PendingReplicaDeletion Disabled."""
    primary, _ = await site.family()
    await site.home.call("schedule_key_deletion", KeyId=primary)
    await site.home.call("cancel_key_deletion", KeyId=primary)
    told = await site.home.describe(primary)
    assert (told["KeyState"], "PendingDeletionWindowInDays" in told) == ("Disabled", False)


async def test_a_jump_of_the_clock_deletes_a_family_in_its_order(site: Site) -> None:
    """One step over both waiting periods has the effect of many: replica first, then its primary, each at its time."""
    primary, replica = await site.family()
    await site.home.call("schedule_key_deletion", KeyId=primary, PendingWindowInDays=7)
    await site.away.call("schedule_key_deletion", KeyId=replica, PendingWindowInDays=7)
    site.home.clock.advance(14 * DAY - 1)
    assert await site.home.state(primary) == "PendingDeletion"
    site.home.clock.advance(1)
    assert (await site.home.call("list_keys"))["Keys"] == (await site.away.call("list_keys"))["Keys"] == []


async def of_a_replica(site: Site) -> tuple[str, Refused]:
    """A replica cannot be replicated."""
    _, replica = await site.family()
    return replica, await site.away.refused("replicate_key", KeyId=replica, ReplicaRegion=THIRD)


async def of_a_single_region_key(site: Site) -> tuple[str, Refused]:
    """A single-Region key cannot be replicated."""
    key = await site.home.create_key(Origin="AWS_KMS")
    return key, await site.home.refused("replicate_key", KeyId=key, ReplicaRegion=AWAY)


async def twice(site: Site) -> tuple[str, Refused]:
    """A Region holds one key of a family."""
    primary, replica = await site.family()
    return replica, await site.home.refused("replicate_key", KeyId=primary, ReplicaRegion=AWAY)


async def into_its_own_region(site: Site) -> tuple[str, Refused]:
    """The primary's own Region holds one of the family already."""
    primary, _ = await site.family()
    return primary, await site.home.refused("replicate_key", KeyId=primary, ReplicaRegion=HOME)


async def into_another_partition(site: Site) -> tuple[str, Refused]:
    """A family stays within its partition."""
    primary, _ = await site.family()
    return primary, await site.home.refused("replicate_key", KeyId=primary, ReplicaRegion="cn-north-1")


async def to_a_region_without_replica(site: Site) -> tuple[str, Refused]:
    """The primary moves only to where a replica is."""
    primary, _ = await site.family()
    return primary, await site.home.refused("update_primary_region", KeyId=primary, PrimaryRegion=THIRD)


async def to_a_replica_without_material(site: Site) -> tuple[str, Refused]:
    """The primary moves only to a replica that is Enabled."""
    primary, replica = await site.family()
    await site.away.call("delete_imported_key_material", KeyId=replica)
    return replica, await site.home.refused("update_primary_region", KeyId=primary, PrimaryRegion=AWAY)


UNSUPPORTED = "UnsupportedOperationException"
NOT_PRIMARY = "<arn> is not a multi-region primary key."
REFUSALS: list[tuple[Case, str, str, pytest.MarkDecorator | None]] = [
    (of_a_replica, UNSUPPORTED, NOT_PRIMARY, rule(FAMILY, "API ReplicateKey")),
    (of_a_single_region_key, UNSUPPORTED, NOT_PRIMARY, None),
    (twice, "AlreadyExistsException", "...", rule(FAMILY, "API ReplicateKey")),
    (into_its_own_region, "AlreadyExistsException", "...", None),
    (into_another_partition, "ValidationException", "...", None),
    (to_a_region_without_replica, "NotFoundException", "...", None),
    (to_a_replica_without_material, "KMSInvalidStateException", "<arn> is pending import.", None),
]


@pytest.mark.parametrize(
    ("case", "code", "message"),
    [
        pytest.param(case, code, message, id=case.__name__, marks=[mark] if mark else [])
        for case, code, message, mark in REFUSALS
    ],
)
async def test_a_family_refuses(case: Case, code: str, message: str, site: Site) -> None:
    """What would break a family is refused."""
    arn, refused = await case(site)
    assert refused.code == code
    if message != "...":
        assert refused.message == message.replace("<arn>", arn)


async def test_an_asymmetric_family_shares_one_material(site: Site) -> None:
    """A replica of an imported P-256 key takes that key and no other, and both have the same public key."""
    primary = await site.home.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", MultiRegion=True)
    terms = await site.home.import_terms(primary, material("ECC_NIST_P256"))
    await site.home.call("import_key_material", **terms, **FOREVER)
    await site.home.call("replicate_key", KeyId=primary, ReplicaRegion=AWAY)
    site.settle()
    replica = primary.replace(HOME, AWAY)
    terms = await site.away.import_terms(replica, material("ECC_NIST_P256"))
    await site.away.call("import_key_material", **terms, **FOREVER)
    publics = [
        (await kms.call("get_public_key", KeyId=key))["PublicKey"]
        for kms, key in ((site.home, primary), (site.away, replica))
    ]
    assert publics[0] == publics[1]
