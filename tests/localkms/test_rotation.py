"""Rotation, on demand and by schedule, as time passes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from byokd.localkms import FRIENDLY, Options, Pace, serve
from byokd.localkms.wrapping import WrappingKeys

from .kit import DAY, MATERIAL, OTHER_MATERIAL, START, Kms, ManualClock
from .rules import rule

ROTATION = "Several materials and rotation"


@pytest.fixture
async def slow(clock: ManualClock, wrapping_keys: WrappingKeys) -> AsyncIterator[Kms]:
    """A client of a server on which a rotation takes half a minute."""
    pace = Pace(rotating_s=30)
    async with serve(Options(clock=clock, pool=wrapping_keys, hostility=FRIENDLY, pace=pace)) as server:
        yield Kms(server.url, clock)


@rule(ROTATION, "API RotateKeyOnDemand")
@pytest.mark.parametrize("origin", ["EXTERNAL", "AWS_KMS"])
async def test_a_rotation_is_in_progress_for_a_while(origin: str, slow: Kms) -> None:
    """Until it is done the old material is current, GetKeyRotationStatus tells its start, and no other may begin."""
    key = await slow.create_key(Origin=origin)
    if origin == "EXTERNAL":
        await slow.import_material(key, MATERIAL)
        await slow.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    old = (await slow.describe(key))["CurrentKeyMaterialId"]
    await slow.call("rotate_key_on_demand", KeyId=key)
    slow.clock.advance(29)
    status = await slow.call("get_key_rotation_status", KeyId=key)
    assert status["OnDemandRotationStartDate"].timestamp() == START
    assert (await slow.describe(key))["CurrentKeyMaterialId"] == old
    assert (await slow.refused("rotate_key_on_demand", KeyId=key)).code == "ConflictException"
    slow.clock.advance(1)
    assert "OnDemandRotationStartDate" not in await slow.call("get_key_rotation_status", KeyId=key)
    assert (await slow.describe(key))["CurrentKeyMaterialId"] != old
    (rotation,) = (await slow.call("list_key_rotations", KeyId=key))["Rotations"]
    assert (rotation["RotationDate"].timestamp(), rotation["RotationType"]) == (START + 30, "ON_DEMAND")


async def test_a_rotation_whose_material_goes_meanwhile_rotates_nothing(slow: Kms) -> None:
    """Pending material can be deleted until the rotation is done; the old one stays current then."""
    key = await slow.create_key()
    old = await slow.import_material(key, MATERIAL)
    new = await slow.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await slow.call("rotate_key_on_demand", KeyId=key)
    await slow.call("delete_imported_key_material", KeyId=key, KeyMaterialId=new)
    slow.clock.advance(30)
    assert (await slow.describe(key))["CurrentKeyMaterialId"] == old
    assert "OnDemandRotationStartDate" not in await slow.call("get_key_rotation_status", KeyId=key)


@rule(ROTATION, "API EnableKeyRotation")
async def test_a_key_of_aws_kms_rotates_by_its_schedule(kms: Kms) -> None:
    """Automatic rotation happens every period, 365 days if not said, and can be changed and switched off."""
    key = await kms.create_key(Origin="AWS_KMS")
    assert (await kms.call("get_key_rotation_status", KeyId=key))["KeyRotationEnabled"] is False
    await kms.call("enable_key_rotation", KeyId=key)
    status = await kms.call("get_key_rotation_status", KeyId=key)
    assert (status["KeyId"], status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (key, True, 365)
    assert status["NextRotationDate"].timestamp() == START + 365 * DAY
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    await kms.call("enable_key_rotation", KeyId=key, RotationPeriodInDays=90)
    kms.clock.advance(200 * DAY)
    rotations = (await kms.call("list_key_rotations", KeyId=key))["Rotations"]
    assert [(each["RotationDate"].timestamp() - START) / DAY for each in rotations] == [90, 180]
    assert {each["RotationType"] for each in rotations} == {"AUTOMATIC"}
    assert (await kms.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"x"
    await kms.call("disable_key_rotation", KeyId=key)
    kms.clock.advance(200 * DAY)
    assert len((await kms.call("list_key_rotations", KeyId=key))["Rotations"]) == 2
    assert (await kms.call("get_key_rotation_status", KeyId=key)).keys() >= {"KeyId", "KeyRotationEnabled"}


@rule(ROTATION, "API GetKeyRotationStatus")
async def test_a_disabled_key_rotates_once_it_is_enabled(kms: Kms) -> None:
    """A Disabled key keeps its status and its material, and a rotation that was due happens when it is enabled."""
    key = await kms.create_key(Origin="AWS_KMS")
    await kms.call("enable_key_rotation", KeyId=key, RotationPeriodInDays=90)
    await kms.call("disable_key", KeyId=key)
    kms.clock.advance(100 * DAY)
    assert (await kms.call("get_key_rotation_status", KeyId=key))["KeyRotationEnabled"] is True
    assert (await kms.call("list_key_rotations", KeyId=key))["Rotations"] == []
    await kms.call("enable_key", KeyId=key)
    assert len((await kms.call("list_key_rotations", KeyId=key))["Rotations"]) == 1
    await kms.call("schedule_key_deletion", KeyId=key)
    assert (await kms.call("get_key_rotation_status", KeyId=key))["KeyRotationEnabled"] is False
    await kms.call("cancel_key_deletion", KeyId=key)
    assert (await kms.call("get_key_rotation_status", KeyId=key))["KeyRotationEnabled"] is True


@rule(ROTATION, "API RotateKeyOnDemand")
async def test_no_rotation_on_demand_begins_close_to_a_scheduled_one(kms: Kms) -> None:
    """Within 20 minutes of an automatic rotation, RotateKeyOnDemand is a ConflictException."""
    key = await kms.create_key(Origin="AWS_KMS")
    await kms.call("enable_key_rotation", KeyId=key, RotationPeriodInDays=90)
    kms.clock.advance(90 * DAY - 20 * 60)
    assert (await kms.refused("rotate_key_on_demand", KeyId=key)).code == "ConflictException"
    kms.clock.advance(20 * 60)
    await kms.call("rotate_key_on_demand", KeyId=key)


@rule(ROTATION, "API EnableKeyRotation")
async def test_imported_material_does_not_rotate_by_itself(kms: Kms) -> None:
    """EnableKeyRotation and DisableKeyRotation are unsupported on an EXTERNAL key, whose status is false."""
    key = await kms.create_key()
    for operation in ("enable_key_rotation", "disable_key_rotation"):
        refused = await kms.refused(operation, KeyId=key)
        assert refused.code == "UnsupportedOperationException"
        assert refused.message == f"{key} origin is EXTERNAL which is not valid for this operation."
    assert (await kms.call("get_key_rotation_status", KeyId=key))["KeyRotationEnabled"] is False


@rule(ROTATION, "API RotateKeyOnDemand")
async def test_imported_material_rotates_25_times_in_a_life(kms: Kms) -> None:
    """Each rotation needs new material of its own; after 25 the budget is spent, and all 26 materials decrypt."""
    key = await kms.create_key()
    await kms.import_material(key, bytes(32))
    blobs = []
    for number in range(1, 26):
        blobs.append((await kms.call("encrypt", KeyId=key, Plaintext=bytes((number,))))["CiphertextBlob"])
        await kms.import_material(key, bytes((number,)) * 32, ImportType="NEW_KEY_MATERIAL")
        await kms.call("rotate_key_on_demand", KeyId=key)
    await kms.import_material(key, b"x" * 32, ImportType="NEW_KEY_MATERIAL")
    assert (await kms.refused("rotate_key_on_demand", KeyId=key)).code == "LimitExceededException"
    for number, blob in enumerate(blobs, 1):
        assert (await kms.call("decrypt", CiphertextBlob=blob))["Plaintext"] == bytes((number,))
    answer = await kms.call("list_key_rotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL", Limit=20)
    rest = await kms.call(
        "list_key_rotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL", Marker=answer["NextMarker"]
    )
    states = [each["KeyMaterialState"] for each in answer["Rotations"] + rest["Rotations"]]
    assert states == ["NON_CURRENT"] * 25 + ["CURRENT", "PENDING_ROTATION"]
