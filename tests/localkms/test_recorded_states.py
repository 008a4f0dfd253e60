"""What the real service was recorded to tell of keys (docs/kms.md), from birth to a replica."""

from __future__ import annotations

from typing import Any

from .kit import DAY, FOREVER, MATERIAL, OTHER_MATERIAL, REGION, START, Kms
from .rules import RECORDED, rule

STATES, ROTATION, REGIONS = "Keys and their states", "Several materials and rotation", "Multi-Region keys"
MINUTE = 60
WANTED = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}


@rule(STATES, RECORDED, recorded="DescribeKey of a key that never had material")
async def test_a_virgin_key_tells_of_no_material(kms: Kms) -> None:
    """A key of Origin EXTERNAL is born PendingImport, not enabled, and has no expiry and no current material."""
    virgin = await kms.describe(await kms.create_key())
    assert (virgin["KeyState"], virgin["Enabled"], virgin["Origin"]) == ("PendingImport", False, "EXTERNAL")
    assert not virgin.keys() & {"ExpirationModel", "ValidTo", "CurrentKeyMaterialId"}


@rule(STATES, RECORDED, recorded="DescribeKey after the import")
async def test_a_key_tells_of_its_material(kms: Kms) -> None:
    """After the import a key is Enabled and tells its material, its ExpirationModel and, if it expires, its ValidTo."""
    expiring, lasting = await kms.create_key(), await kms.create_key()
    ids = [await kms.import_material(expiring, valid_for=DAY), await kms.import_material(lasting)]
    one, two = await kms.describe(expiring), await kms.describe(lasting)
    for told, material in zip((one, two), ids, strict=True):
        assert (told["KeyState"], told["Enabled"], told["CurrentKeyMaterialId"]) == ("Enabled", True, material)
    assert (one["ExpirationModel"], one["ValidTo"].timestamp()) == ("KEY_MATERIAL_EXPIRES", START + DAY)
    assert two["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE"
    assert "ValidTo" not in two


@rule(STATES, RECORDED, recorded="DescribeKey after DeleteImportedKeyMaterial")
async def test_a_deletion_leaves_the_materials_id(kms: Kms) -> None:
    """After a deletion of its material a key is PendingImport without expiry, and still names its current material."""
    key = await kms.create_key()
    material = await kms.import_material(key, valid_for=DAY)
    await kms.call("delete_imported_key_material", KeyId=key)
    told = await kms.describe(key)
    assert (told["KeyState"], told["Enabled"], told["CurrentKeyMaterialId"]) == ("PendingImport", False, material)
    assert not told.keys() & {"ExpirationModel", "ValidTo"}


@rule(ROTATION, RECORDED, recorded="new material before its rotation")
async def test_new_material_is_not_current_before_its_rotation(kms: Kms) -> None:
    """An import of new material answers its own id, and the current one stays until RotateKeyOnDemand has finished."""
    key = await kms.create_key()
    old = await kms.import_material(key, MATERIAL)
    new = await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    assert new != old == (await kms.describe(key))["CurrentKeyMaterialId"]
    await kms.call("rotate_key_on_demand", KeyId=key)
    assert (await kms.describe(key))["CurrentKeyMaterialId"] == new


@rule("Import and reimport", RECORDED, recorded="KeyId in the answers of both import calls")
async def test_the_import_calls_answer_the_arn(kms: Kms) -> None:
    """GetParametersForImport and ImportKeyMaterial answer the key's ARN, whether they were sent that or the id."""
    key = await kms.create_key()
    for sent in (key, key.rpartition("/")[2]):
        parameters: dict[str, Any] = await kms.call("get_parameters_for_import", KeyId=sent, **WANTED)
        imported = await kms.call("import_key_material", **await kms.import_terms(sent), **FOREVER)
        assert parameters["KeyId"] == imported["KeyId"] == key


@rule(STATES, RECORDED, recorded="CurrentKeyMaterialId of a key that is not symmetric")
async def test_only_symmetric_keys_name_their_current_material(kms: Kms) -> None:
    """An HMAC key has material and never tells its id."""
    key = await kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    answer = await kms.call("import_key_material", **await kms.import_terms(key), **FOREVER)
    told = await kms.describe(key)
    assert told["KeyState"] == "Enabled"
    assert not {"CurrentKeyMaterialId", "KeyMaterialId"} & (told.keys() | answer.keys())


@rule(REGIONS, RECORDED, recorded="the answer of ReplicateKey")
async def test_a_replica_is_answered_while_it_is_creating(kms: Kms) -> None:
    """ReplicateKey answers the replica, of the same id in the other Region, Creating and yet without its material."""
    primary = await kms.create_key(Origin="AWS_KMS", MultiRegion=True)
    answer = await kms.call("replicate_key", KeyId=primary, ReplicaRegion="us-east-1")
    told = answer["ReplicaKeyMetadata"]
    assert (told["Arn"], told["KeyState"]) == (primary.replace(REGION, "us-east-1"), "Creating")
    assert "CurrentKeyMaterialId" not in told
    later = await Kms(kms.url, kms.clock, region="us-east-1").describe(told["Arn"])
    assert later["KeyState"] == "Enabled"
    assert later["CurrentKeyMaterialId"] == (await kms.describe(primary))["CurrentKeyMaterialId"]


@rule(REGIONS, RECORDED, recorded="a second ReplicateKey into the same Region")
async def test_a_region_has_one_replica(kms: Kms) -> None:
    """A Region that has the key already is refused: AlreadyExistsException."""
    primary = await kms.create_key(Origin="AWS_KMS", MultiRegion=True)
    await kms.call("replicate_key", KeyId=primary, ReplicaRegion="us-east-1")
    kms.clock.advance(MINUTE)
    refused = await kms.refused("replicate_key", KeyId=primary, ReplicaRegion="us-east-1")
    assert refused.code == "AlreadyExistsException"
