"""Several materials in one symmetric key: rotation, the one pending, and what a lapse of each does."""

from __future__ import annotations

from typing import Any

from .kit import DAY, MATERIAL, OTHER_MATERIAL, START, Kms
from .rules import rule

THIRD_MATERIAL = bytes(range(64, 96))


async def rotations(kms: Kms, key: str, include: str = "ALL_KEY_MATERIAL") -> list[dict[str, Any]]:
    """What ListKeyRotations tells of a key."""
    answer = await kms.call("list_key_rotations", KeyId=key, IncludeKeyMaterial=include)
    entries: list[dict[str, Any]] = answer["Rotations"]
    return entries


async def rotated_key(kms: Kms, *, first: float | None = None, second: float | None = None) -> tuple[str, str, str]:
    """A key that went through one rotation, and its materials' ids; `first` and `second` are validities in seconds."""
    key = await kms.create_key()
    old = await kms.import_material(key, MATERIAL, valid_for=first, KeyMaterialDescription="first")
    new = await kms.import_material(key, OTHER_MATERIAL, valid_for=second, ImportType="NEW_KEY_MATERIAL")
    await kms.call("rotate_key_on_demand", KeyId=key)
    return key, old, new


@rule("Several materials and rotation", "API ImportKeyMaterial")
async def test_new_material_waits_for_its_rotation(kms: Kms) -> None:
    """NEW_KEY_MATERIAL answers its own id and leaves the current one alone until RotateKeyOnDemand."""
    key = await kms.create_key()
    old = await kms.import_material(key, MATERIAL)
    new = await kms.import_material(key, OTHER_MATERIAL, valid_for=DAY, ImportType="NEW_KEY_MATERIAL")
    described = await kms.describe(key)
    assert described["CurrentKeyMaterialId"] == old != new
    assert described["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE"
    assert [entry["KeyMaterialState"] for entry in await rotations(kms, key)] == ["CURRENT", "PENDING_ROTATION"]
    assert await rotations(kms, key, "ROTATIONS_ONLY") == []

    await kms.call("rotate_key_on_demand", KeyId=key)
    assert (await kms.describe(key))["CurrentKeyMaterialId"] == new
    first, second = await rotations(kms, key)
    assert (first["KeyMaterialState"], second["KeyMaterialState"]) == ("NON_CURRENT", "CURRENT")
    assert second["RotationType"] == "ON_DEMAND"
    assert second["RotationDate"].timestamp() == START
    assert "RotationDate" not in first
    assert [entry["KeyMaterialId"] for entry in await rotations(kms, key, "ROTATIONS_ONLY")] == [new]


async def test_only_one_material_may_be_pending(kms: Kms) -> None:
    """A second NEW_KEY_MATERIAL is refused with a message that names both materials."""
    key = await kms.create_key()
    await kms.import_material(key, MATERIAL)
    pending = await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    terms = await kms.import_terms(key, THIRD_MATERIAL)
    forever = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", "ImportType": "NEW_KEY_MATERIAL"}
    refused = await kms.refused("import_key_material", **terms, **forever)
    await kms.call("delete_imported_key_material", KeyId=key, KeyMaterialId=pending)
    third = await kms.import_material(key, THIRD_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    assert refused.code == "KMSInvalidStateException"
    assert refused.message == (
        f"New key material (id: {third}) cannot be imported into KMS key {key}, "
        f"because another key material (id: {pending}) is pending rotation."
    )


@rule("Several materials and rotation", "guide importing-keys-delete-key-material")
async def test_any_lapsed_permanent_material_makes_the_key_pending_import(kms: Kms) -> None:
    """One expired NON_CURRENT material is enough, and only when all are in is the key Enabled again."""
    key, old, new = await rotated_key(kms, first=2 * DAY, second=3 * DAY)
    assert (await kms.describe(key))["ValidTo"].timestamp() == START + 2 * DAY
    kms.clock.advance(2 * DAY)
    assert await kms.state(key) == "PendingImport"
    kms.clock.advance(DAY)
    first, second = await rotations(kms, key)
    assert (first["ImportState"], second["ImportState"]) == ("PENDING_IMPORT", "PENDING_IMPORT")
    assert first["KeyMaterialDescription"] == "first"
    assert not {"ExpirationModel", "ValidTo"} & (first.keys() | second.keys())

    assert await kms.import_material(key, OTHER_MATERIAL) == new
    assert await kms.state(key) == "PendingImport"
    assert await kms.import_material(key, MATERIAL, KeyMaterialId=old) == old
    assert await kms.state(key) == "Enabled"
    assert (await rotations(kms, key))[0]["KeyMaterialDescription"] == "first"


@rule("Several materials and rotation", "guide rotate-keys")
async def test_ciphertexts_of_every_material_decrypt(kms: Kms) -> None:
    """A ciphertext names the material that made it, and an old one decrypts after the rotation."""
    key = await kms.create_key()
    old = await kms.import_material(key, MATERIAL)
    before = (await kms.call("encrypt", KeyId=key, Plaintext=b"before"))["CiphertextBlob"]
    new = await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await kms.call("rotate_key_on_demand", KeyId=key)
    after = (await kms.call("encrypt", KeyId=key, Plaintext=b"after"))["CiphertextBlob"]
    answers = [await kms.call("decrypt", CiphertextBlob=blob) for blob in (before, after)]
    assert [(answer["Plaintext"], answer["KeyMaterialId"]) for answer in answers] == [(b"before", old), (b"after", new)]


@rule("Several materials and rotation", "API ImportKeyMaterial")
async def test_pending_material_may_vanish_without_harm(kms: Kms) -> None:
    """Pending material that expires or is deleted is forgotten, and the key stays Enabled."""
    key = await kms.create_key()
    await kms.import_material(key, MATERIAL)
    await kms.import_material(key, OTHER_MATERIAL, valid_for=DAY, ImportType="NEW_KEY_MATERIAL")
    kms.clock.advance(DAY)
    assert await kms.state(key) == "Enabled"
    assert len(await rotations(kms, key)) == 1
    again = await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await kms.call("delete_imported_key_material", KeyId=key, KeyMaterialId=again)
    assert await kms.state(key) == "Enabled"
    assert len(await rotations(kms, key)) == 1


@rule("Several materials and rotation", "API DeleteImportedKeyMaterial")
async def test_a_delete_without_an_id_takes_the_current_material(kms: Kms) -> None:
    """DeleteImportedKeyMaterial without KeyMaterialId deletes the current one; with it, that one."""
    key, old, new = await rotated_key(kms)
    assert (await kms.call("delete_imported_key_material", KeyId=key))["KeyMaterialId"] == new
    assert [entry["ImportState"] for entry in await rotations(kms, key)] == ["IMPORTED", "PENDING_IMPORT"]
    await kms.call("delete_imported_key_material", KeyId=key, KeyMaterialId=old)
    assert [entry["ImportState"] for entry in await rotations(kms, key)] == ["PENDING_IMPORT", "PENDING_IMPORT"]
    assert (await kms.refused("delete_imported_key_material", KeyId=key, KeyMaterialId="0" * 64)).code == (
        "NotFoundException"
    )


@rule("Several materials and rotation", "API ImportKeyMaterial")
async def test_the_same_bytes_have_another_id_in_another_key(kms: Kms) -> None:
    """KeyMaterialId depends on key and bytes alone: 64 hex digits, stable over reimports, different per key."""
    one, two = await kms.create_key(), await kms.create_key()
    ids = [await kms.import_material(key) for key in (one, one, two)]
    assert ids[0] == ids[1] != ids[2]
    assert all(len(each) == 64 and int(each, 16) for each in ids)


@rule("Expiry and deletion of material", "API KeyMetadata")
async def test_describe_tells_the_earliest_expiry_of_those_that_expire(kms: Kms) -> None:
    """ExpirationModel says "does not expire" only if none does."""
    key, _, _ = await rotated_key(kms, first=None, second=DAY)
    described = await kms.describe(key)
    assert described["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
    assert described["ValidTo"].timestamp() == START + DAY
