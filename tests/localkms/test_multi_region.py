"""Multi-Region keys: replicas, their material, and its rotation. Transitions last until the clock is moved."""

from __future__ import annotations

from .kit import ACCOUNT, DAY, FOREVER, MATERIAL, OTHER_MATERIAL, Refused
from .regions import AWAITED, AWAY, FAMILY, HOME, PENDING, THIRD, Site, materials, told_family
from .rules import rule


@rule(FAMILY, "API ReplicateKey")
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
