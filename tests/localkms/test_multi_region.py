"""Multi-Region keys: one server, seen from several Regions, with transitions that last until the clock is moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from byokd.localkms import FRIENDLY, Options, Pace, serve
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, DAY, FOREVER, MATERIAL, OTHER_MATERIAL, Kms, ManualClock, Refused
from .rules import RECORDED, rule
from .specimens import material

HOME, AWAY, THIRD = "eu-central-1", "us-east-1", "us-west-2"
AWAITED, PENDING = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION", "PENDING_ROTATION"
FAMILY = "Multi-Region keys"


@dataclass(frozen=True)
class Site:
    """Clients of one server in three Regions."""

    home: Kms
    away: Kms
    third: Kms

    def settle(self) -> None:
        """Let time pass until nothing is in transition any more."""
        self.home.clock.advance(60)

    async def family(self, *, replicas: int = 1, **members: Any) -> list[str]:
        """An EXTERNAL primary with its material, and replicas with it; the ARN in each Region."""
        primary = await self.home.create_key(MultiRegion=True, **members)
        await self.home.import_material(primary)
        arns = [primary]
        for kms in (self.away, self.third)[:replicas]:
            await self.home.call("replicate_key", KeyId=primary, ReplicaRegion=kms.region)
            arns.append(primary.replace(HOME, kms.region))
        self.settle()
        for kms, arn in zip((self.away, self.third), arns[1:], strict=False):
            await kms.import_material(arn)
        return arns


@pytest.fixture
async def site(clock: ManualClock, wrapping_keys: WrappingKeys) -> AsyncIterator[Site]:
    """A fresh server."""
    pace = Pace(creating_s=30, updating_s=30, rotating_s=30)
    async with serve(Options(clock=clock, pool=wrapping_keys, hostility=FRIENDLY, pace=pace)) as server:
        yield Site(*(Kms(server.url, clock, region=region) for region in (HOME, AWAY, THIRD)))


async def materials(kms: Kms, key: str) -> dict[str, tuple[str, str]]:
    """The state of each material of a key, and whether it is in, by its id."""
    answer = await kms.call("list_key_rotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    return {each["KeyMaterialId"]: (each["KeyMaterialState"], each["ImportState"]) for each in answer["Rotations"]}


def told_family(metadata: dict[str, Any]) -> tuple[str, str, list[str]]:
    """What a key's metadata says of its family: its own type, the primary's Region, the replicas' Regions."""
    told = metadata["MultiRegionConfiguration"]
    for each in (told["PrimaryKey"], *told["ReplicaKeys"]):
        assert each["Arn"] == f"arn:aws:kms:{each['Region']}:{ACCOUNT}:key/{metadata['KeyId']}"
    return told["MultiRegionKeyType"], told["PrimaryKey"]["Region"], [each["Region"] for each in told["ReplicaKeys"]]


@rule(FAMILY, RECORDED, recorded="ReplicateKey")
async def test_a_replica_is_born_creating_with_all_that_is_its_own(site: Site) -> None:
    """ReplicateKey answers the replica in state Creating, with its family, the default policy and no tags."""
    primary = await site.home.create_key(Origin="AWS_KMS", MultiRegion=True, Description="primary")
    answer = await site.home.call("replicate_key", KeyId=primary, ReplicaRegion=AWAY)
    replica = answer["ReplicaKeyMetadata"]
    assert (replica["Arn"], replica["KeyState"], replica["Enabled"]) == (primary.replace(HOME, AWAY), "Creating", False)
    assert (replica["Description"], replica["Origin"], replica["MultiRegion"]) == ("", "AWS_KMS", True)
    assert told_family(replica) == ("REPLICA", HOME, [AWAY])
    assert f"arn:aws:iam::{ACCOUNT}:root" in answer["ReplicaPolicy"]
    assert "ReplicaTags" not in answer
    assert await site.away.describe(replica["Arn"]) == replica
    assert told_family(await site.home.describe(primary)) == ("PRIMARY", HOME, [AWAY])


@rule(FAMILY, "API ReplicateKey")
async def test_a_replica_has_its_own_description_tags_and_policy(site: Site) -> None:
    """Description, tags and policy are the replica's own; spec, usage, origin and id are the family's."""
    primary = await site.home.create_key(MultiRegion=True, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    terms = await site.home.import_terms(primary, bytes(32))
    await site.home.call("import_key_material", **terms, **FOREVER)
    policy = '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}}'
    tags = [{"TagKey": "a", "TagValue": "b"}]
    answer = await site.home.call(
        "replicate_key", KeyId=primary, ReplicaRegion=AWAY, Description="away", Tags=tags, Policy=policy
    )
    replica = answer["ReplicaKeyMetadata"]
    assert (replica["Description"], answer["ReplicaTags"], answer["ReplicaPolicy"]) == ("away", tags, policy)
    assert (replica["KeySpec"], replica["KeyUsage"]) == ("HMAC_256", "GENERATE_VERIFY_MAC")
    assert (await site.home.describe(primary))["Description"] == ""
    assert (await site.home.call("list_resource_tags", KeyId=primary))["Tags"] == []


@rule(FAMILY, "API ReplicateKey")
async def test_an_imported_replica_starts_empty_and_takes_the_primarys_material(site: Site) -> None:
    """A replica goes from Creating to PendingImport, and takes what the primary has, by its own import and expiry."""
    primary = await site.home.create_key(MultiRegion=True)
    first = await site.home.import_material(primary, valid_for=10 * DAY)
    await site.home.call("replicate_key", KeyId=primary, ReplicaRegion=AWAY)
    replica = primary.replace(HOME, AWAY)
    site.settle()
    assert await site.away.state(replica) == "PendingImport"
    terms = await site.away.import_terms(replica, OTHER_MATERIAL)
    assert (await site.away.refused("import_key_material", **terms, **FOREVER)).code == "IncorrectKeyMaterialException"
    assert await site.away.import_material(replica, valid_for=5 * DAY) == first
    assert await site.away.state(replica) == "Enabled"
    blob = (await site.home.call("encrypt", KeyId=primary, Plaintext=b"x"))["CiphertextBlob"]
    assert (await site.away.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"x"
    site.home.clock.advance(5 * DAY)
    assert (await site.away.state(replica), await site.home.state(primary)) == ("PendingImport", "Enabled")
    site.home.clock.advance(5 * DAY)
    assert await site.home.state(primary) == "PendingImport"


@rule(FAMILY, "API ImportKeyMaterial")
async def test_the_token_of_one_region_is_none_of_anothers(site: Site) -> None:
    """Keys of a family share their id, but each needs parameters of its own Region."""
    primary, replica = await site.family()
    terms = await site.home.import_terms(primary) | {"KeyId": replica}
    assert (await site.away.refused("import_key_material", **terms, **FOREVER)).code == "InvalidImportTokenException"


@rule(FAMILY, "API ImportKeyMaterial")
async def test_new_material_goes_to_the_primary_then_to_every_replica_then_rotates(site: Site) -> None:
    """New material awaits the replicas' imports, then its rotation, which the primary alone begins for all."""
    primary, one, two = await site.family(replicas=2)
    old = (await site.home.describe(primary))["CurrentKeyMaterialId"]
    terms = await site.away.import_terms(one, OTHER_MATERIAL)
    refused = await site.away.refused("import_key_material", **terms, **FOREVER, ImportType="NEW_KEY_MATERIAL")
    assert refused.code == "UnsupportedOperationException"

    new = await site.home.import_material(primary, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    assert (await materials(site.home, primary))[new] == (AWAITED, "IMPORTED")
    nothing = Refused("KMSInvalidStateException", f"No available key material pending rotation for the key: {primary}.")
    assert await site.home.refused("rotate_key_on_demand", KeyId=primary) == nothing
    assert await site.away.import_material(one, OTHER_MATERIAL, ImportType="EXISTING_KEY_MATERIAL") == new
    assert (await materials(site.away, one))[new] == (PENDING, "IMPORTED")
    assert (await materials(site.home, primary))[new] == (AWAITED, "IMPORTED")
    assert await site.third.import_material(two, OTHER_MATERIAL) == new
    assert (await materials(site.home, primary))[new] == (PENDING, "IMPORTED")

    assert (await site.away.refused("rotate_key_on_demand", KeyId=one)).code == "UnsupportedOperationException"
    await site.home.call("rotate_key_on_demand", KeyId=primary)
    assert (await site.home.describe(primary))["CurrentKeyMaterialId"] == old
    site.settle()
    for kms, key in ((site.home, primary), (site.away, one), (site.third, two)):
        assert (await kms.describe(key))["CurrentKeyMaterialId"] == new
        assert await materials(kms, key) == {old: ("NON_CURRENT", "IMPORTED"), new: ("CURRENT", "IMPORTED")}


@rule(FAMILY, "API DeleteImportedKeyMaterial")
async def test_deleting_what_is_pending_in_the_primary_deletes_it_in_the_replicas(site: Site) -> None:
    """Pending material that the primary loses, by deletion or expiry, is gone in its replicas too."""
    primary, replica = await site.family()
    for way in ("deletion", "expiry"):
        new = await site.home.import_material(primary, OTHER_MATERIAL, valid_for=DAY, ImportType="NEW_KEY_MATERIAL")
        await site.away.import_material(replica, OTHER_MATERIAL)
        assert new in await materials(site.away, replica)
        if way == "deletion":
            await site.home.call("delete_imported_key_material", KeyId=primary, KeyMaterialId=new)
        else:
            site.home.clock.advance(DAY)
        assert new not in await materials(site.home, primary)
        assert new not in await materials(site.away, replica)
    assert (await site.home.state(primary), await site.away.state(replica)) == ("Enabled", "Enabled")


@rule(FAMILY, "API DeleteImportedKeyMaterial")
async def test_what_a_replica_deletes_is_gone_there_alone(site: Site) -> None:
    """A replica's deletion leaves primary and peers as they are; a rotation waits until the replica has it again."""
    primary, replica = await site.family()
    new = await site.home.import_material(primary, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await site.away.import_material(replica, OTHER_MATERIAL)
    before = await materials(site.home, primary)
    await site.away.call("delete_imported_key_material", KeyId=replica, KeyMaterialId=new)
    await site.away.call("delete_imported_key_material", KeyId=replica)
    assert await site.away.state(replica) == "PendingImport"
    assert await materials(site.home, primary) == before
    assert await site.home.state(primary) == "Enabled"
    assert (await site.home.refused("rotate_key_on_demand", KeyId=primary)).code == "KMSInvalidStateException"
    await site.away.import_material(replica, OTHER_MATERIAL)
    await site.home.call("rotate_key_on_demand", KeyId=primary)


async def test_a_replica_that_lost_the_new_material_meanwhile_is_pending_import(site: Site) -> None:
    """The rotation of a family ends everywhere; a replica without the bytes depends on them from then on."""
    primary, replica = await site.family()
    new = await site.home.import_material(primary, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await site.away.import_material(replica, OTHER_MATERIAL)
    await site.home.call("rotate_key_on_demand", KeyId=primary)
    await site.away.call("delete_imported_key_material", KeyId=replica, KeyMaterialId=new)
    site.settle()
    assert (await materials(site.away, replica))[new] == ("CURRENT", "PENDING_IMPORT")
    assert (await site.home.state(primary), await site.away.state(replica)) == ("Enabled", "PendingImport")
    await site.away.import_material(replica, OTHER_MATERIAL)
    assert await site.away.state(replica) == "Enabled"


async def test_a_late_replica_needs_every_material_of_its_primary(site: Site) -> None:
    """A replica of a rotated key lists both materials as missing, and is Enabled once both are in."""
    primary, _ = await site.family()
    new = await site.home.import_material(primary, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await site.away.import_material(primary.replace(HOME, AWAY), OTHER_MATERIAL)
    await site.home.call("rotate_key_on_demand", KeyId=primary)
    site.settle()
    await site.home.call("replicate_key", KeyId=primary, ReplicaRegion=THIRD)
    site.settle()
    late = primary.replace(HOME, THIRD)
    states = {state for _, state in (await materials(site.third, late)).values()}
    assert states == {"PENDING_IMPORT"}
    assert await site.third.import_material(late, OTHER_MATERIAL) == new
    assert await site.third.state(late) == "PendingImport"
    await site.third.import_material(late, MATERIAL)
    assert await site.third.state(late) == "Enabled"


async def test_a_new_replica_makes_pending_material_wait_again(site: Site) -> None:
    """Material that waited for its rotation awaits the import into a replica that was made meanwhile."""
    primary, replica = await site.family()
    new = await site.home.import_material(primary, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await site.away.import_material(replica, OTHER_MATERIAL)
    await site.home.call("replicate_key", KeyId=primary, ReplicaRegion=THIRD)
    assert (await materials(site.home, primary))[new] == (AWAITED, "IMPORTED")
    await site.third.call("schedule_key_deletion", KeyId=primary.replace(HOME, THIRD), PendingWindowInDays=7)
    site.home.clock.advance(7 * DAY)
    assert (await materials(site.home, primary))[new] == (PENDING, "IMPORTED")


@rule(FAMILY, "API ReplicateKey")
async def test_a_rotation_of_a_key_that_kms_made_reaches_its_replicas(site: Site) -> None:
    """Replicas of an AWS_KMS key have its material from the start, and every one that a rotation makes."""
    primary = await site.home.create_key(Origin="AWS_KMS", MultiRegion=True)
    await site.home.call("replicate_key", KeyId=primary, ReplicaRegion=AWAY)
    site.settle()
    replica = primary.replace(HOME, AWAY)
    await site.home.call("rotate_key_on_demand", KeyId=primary)
    site.settle()
    blob = (await site.home.call("encrypt", KeyId=primary, Plaintext=b"x"))["CiphertextBlob"]
    assert (await site.away.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"x"
    current = [
        (await kms.describe(key))["CurrentKeyMaterialId"] for kms, key in ((site.home, primary), (site.away, replica))
    ]
    assert current[0] == current[1]
    await site.home.call("enable_key_rotation", KeyId=primary, RotationPeriodInDays=90)
    assert (await site.away.refused("disable_key_rotation", KeyId=replica)).code == "UnsupportedOperationException"
    assert (await site.away.call("get_key_rotation_status", KeyId=replica))["KeyRotationEnabled"]
    site.home.clock.advance(90 * DAY)
    for kms, key in ((site.home, primary), (site.away, replica)):
        rotations = (await kms.call("list_key_rotations", KeyId=key))["Rotations"]
        assert [each["RotationType"] for each in rotations] == ["ON_DEMAND", "AUTOMATIC"]


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


NOT_PRIMARY = "<arn> is not a multi-region primary key."
REFUSALS = [
    pytest.param(
        of_a_replica,
        "UnsupportedOperationException",
        NOT_PRIMARY,
        marks=rule(FAMILY, RECORDED, recorded="ReplicateKey of a replica"),
    ),
    pytest.param(of_a_single_region_key, "UnsupportedOperationException", NOT_PRIMARY),
    pytest.param(twice, "AlreadyExistsException", "...", marks=rule(FAMILY, "API ReplicateKey")),
    pytest.param(into_its_own_region, "AlreadyExistsException", "..."),
    pytest.param(into_another_partition, "ValidationException", "..."),
    pytest.param(to_a_region_without_replica, "NotFoundException", "..."),
    pytest.param(to_a_replica_without_material, "KMSInvalidStateException", "<arn> is pending import."),
]


@pytest.mark.parametrize(("case", "code", "message"), REFUSALS)
async def test_a_family_refuses(case: Any, code: str, message: str, site: Site) -> None:
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
